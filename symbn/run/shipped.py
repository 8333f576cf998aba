"""The shipped kernels: compiled when symbn was installed, loaded without SymPy, Jinja2 or a compiler."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

from symbn import loading
from symbn.emit.interface import Interface
from symbn.errors import NotBuiltError
from symbn.run.call import Compiled

#: the package that the installation fills
PACKAGE = "symbn.shipped"


@cache
def _library() -> tuple[Any, Any, str]:
    """cffi's ffi, the library, and what this CPU's functions have at the end of their names."""
    try:
        module = importlib.import_module(f"{PACKAGE}.native")
    except ModuleNotFoundError:
        raise NotBuiltError from None
    path = Path(str(module.__file__)).with_name(module.LIBRARY)
    try:
        library = loading.load(module.ffi, path)
    except OSError as error:
        raise NotBuiltError(f"the shipped kernels cannot be loaded: {error}; install symbn again") from None
    several = len(module.SUFFIXES) > 1
    return module.ffi, library, module.SUFFIXES[getattr(library, module.CHOOSE)()] if several else ""


def describe() -> str:
    """The library and the instruction set in use, for a reader."""
    _, _, suffix = _library()
    return f"{PACKAGE}, {suffix.removeprefix('_') or 'baseline'}"


def load(interface: Interface) -> Compiled:
    """The shipped function of an interface, with the best instruction set that this CPU has."""
    ffi, library, suffix = _library()
    return Compiled(interface, ffi, getattr(library, interface.function + suffix))
