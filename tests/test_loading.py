"""A library that has been loaded stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import cffi
import pytest
from sympy import Eq, Idx, IndexedBase

import symbn
from symbn import loading

MAPS = Path("/proc/self/maps")


@pytest.mark.skipif(not MAPS.exists(), reason="needs /proc")
def test_a_library_stays_loaded(tmp_path):
    """Its last user's end must not take OpenMP's code from under OpenMP's idle threads."""
    i = Idx("i")
    x, y = IndexedBase("x"), IndexedBase("y")
    kernel = symbn.build(symbn.Operator("twice", [Eq(y[i], 2 * x[i])], outputs=[y]), dtype="float32")
    path = shutil.copy(kernel.path, tmp_path / "copy.so")
    ffi = cffi.FFI()
    ffi.dlclose(loading.load(ffi, path))
    assert str(path) in MAPS.read_text()


def test_what_is_no_library_is_an_os_error(tmp_path):
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(OSError, match=r"text\.so"):
        loading.load(cffi.FFI(), tmp_path / "text.so")
