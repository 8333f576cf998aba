"""Operators to print, and C compilers to try what is printed."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from symbn import equations, pipeline

USERS = runpy.run_path(str(Path(__file__).parents[1] / "kernel" / "user_operators.py"))["OPERATORS"]
OPERATORS = {**{name: equations.load(name)[0] for name in equations.names()}, **USERS}


def pytest_generate_tests(metafunc):
    """Each test that takes ``operator`` runs on every shipped operator and every user's."""
    if "operator" in metafunc.fixturenames:
        metafunc.parametrize("operator", OPERATORS.values(), ids=OPERATORS)


@pytest.fixture(scope="session")
def operators():
    return OPERATORS


@pytest.fixture(scope="session")
def emit():
    """The C of an operator, kept for the next test that asks for it."""
    known = {}

    def emit(operator, dtype):
        key = operator.name, dtype
        if key not in known:
            known[key] = pipeline.emit(operator, dtype)
        return known[key]

    return emit


@pytest.fixture(params=["cc", "clang"])
def compiler(request):
    path = shutil.which(request.param)
    if path is None:
        pytest.skip(f"there is no {request.param}")
    return path


@pytest.fixture
def compiles(tmp_path):
    """Compile C text that stands alone, with every warning an error."""

    def compiles(compiler, source, *flags):
        name = source.interface.function
        (tmp_path / f"{name}.h").write_text(source.header, encoding="utf-8")
        (tmp_path / f"{name}.c").write_text(source.text, encoding="utf-8")
        strict = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", *flags]
        command = [compiler, *strict, "-c", f"{name}.c"]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr

    return compiles
