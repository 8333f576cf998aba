"""A small operator, a cache of the test's own, and compilers that misbehave."""

from __future__ import annotations

import shutil

import pytest
from sympy import Eq, Idx, IndexedBase, Sum, symbols

from symbn import pipeline
from symbn.dtypes import FLOAT32
from symbn.equations.operator import Operator


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """A cache that no other test sees."""
    path = tmp_path / "cache"
    monkeypatch.setenv("SYMBN_CACHE_DIR", str(path))
    monkeypatch.delenv("CC", raising=False)
    return path


@pytest.fixture
def operator():
    m, n = symbols("m n", integer=True, positive=True)
    i, k = Idx("i", (1, m)), Idx("k", (1, n))
    x, y, mu = IndexedBase("x"), IndexedBase("y"), IndexedBase("mu")
    return Operator("centred", [Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m), Eq(y[i, k], x[i, k] - mu[k])], outputs=[y, mu])


@pytest.fixture
def small():
    """The C of an operator that compiles quickly."""
    k = Idx("k", (1, symbols("n")))
    x, y = IndexedBase("x"), IndexedBase("y")
    return pipeline.emit(Operator("twice", [Eq(y[k], 2 * x[k])], outputs=[y]), FLOAT32)


@pytest.fixture
def real_compiler():
    path = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if path is None:
        pytest.skip("there is no C compiler")
    return path


@pytest.fixture
def compiler_script(tmp_path, monkeypatch, real_compiler):
    """Make CC a shell script; ``{cc}`` in it is the real compiler."""

    def compiler_script(text, name="cc-script"):
        path = tmp_path / name
        path.write_text("#!/bin/sh\n" + text.format(cc=real_compiler), encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("CC", str(path))
        return path

    return compiler_script
