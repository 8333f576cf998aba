"""The shipped kernels: compiled when symbn was installed, loaded without SymPy, Jinja2 or a compiler."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from symbn.emit.interface import Interface
from symbn.errors import ArgumentTypeError, NotBuiltError
from symbn.run import arguments
from symbn.run.call import Call

#: the package that the installation fills, its library and its cffi module
PACKAGE = "symbn.shipped"
LIBRARY = "kernels.so"
MODULE = "native"


@cache
def _library() -> tuple[Any, Any, str]:
    """cffi's ffi, the library, and what this CPU's functions have at the end of their names."""
    try:
        module = importlib.import_module(f"{PACKAGE}.{MODULE}")
    except ModuleNotFoundError:
        raise NotBuiltError("the shipped kernels are not built; install symbn: python -m pip install .") from None
    path = Path(str(module.__file__)).with_name(LIBRARY)
    try:
        library = module.ffi.dlopen(str(path))
    except OSError as error:
        raise NotBuiltError(f"the shipped kernels cannot be loaded: {error}; install symbn again") from None
    return module.ffi, library, module.SUFFIXES[library.symbn_target()] if len(module.SUFFIXES) > 1 else ""


class Shipped:
    """A shipped operator as a function of positional arguments, for each dtype that it is compiled for."""

    def __init__(
        self,
        interfaces: Sequence[Interface],
        reference: Callable[..., tuple[Any, ...]],
        along: tuple[str, str] | None,
        names: Mapping[str, str],
        result: Any,
    ) -> None:
        self._interfaces = {np.dtype(interface.dtype): interface for interface in interfaces}
        self._calls: dict[Any, Call] = {}
        self._reference = reference
        self._along = along
        self._names = names
        self._result = result
        first = interfaces[0]
        self._labels = tuple(names.get(one.name, one.name) for one in first.arrays if one.role == "input")
        self._scalars = tuple((spec, names.get(spec.name, spec.name)) for spec in first.scalars)

    def __call__(
        self, arrays: Sequence[Any], scalars: Sequence[Any], axis: int, out: Any, check: str | None
    ) -> Any:
        converted = [
            a if a is None else arguments.array(a, label) for a, label in zip(arrays, self._labels, strict=True)
        ]
        numbers = [arguments.number(value, spec, label) for value, (spec, label) in zip(scalars, self._scalars, strict=True)]
        first = converted[0]
        call = self._calls.get(first.dtype) if first is not None else None
        if call is None:
            call = self._load(first)
        return call(converted, numbers, axis, out, check)

    def _load(self, first: Any) -> Call:
        label = self._labels[0]
        if first is None:
            raise ArgumentTypeError(f"{label}: is None, expected an array")
        dtype = first.dtype.newbyteorder("=")
        if dtype not in self._interfaces:
            expected = " or ".join(one.name for one in self._interfaces)
            raise ArgumentTypeError(
                f"{label}: has dtype {first.dtype}, expected {expected}; cast it with {label}.astype('float32')"
            )
        if dtype not in self._calls:
            ffi, library, suffix = _library()
            interface = self._interfaces[dtype]
            function = getattr(library, interface.function + suffix)
            self._calls[dtype] = Call(
                interface, ffi, function, self._reference, self._along, self._names, self._result
            )
        return self._calls[dtype]
