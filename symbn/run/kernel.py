"""A user's kernel: an operator compiled for one dtype, called by name."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symbn import dtypes
from symbn.build.native import Native
from symbn.emit import templates
from symbn.emit.c import Source
from symbn.emit.interface import Interface
from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.errors import ArgumentError, ArgumentTypeError
from symbn.run import known, machine, reference, settings
from symbn.run.call import Call, Compiled, no_memory
from symbn.run.check import Report


class Kernel:
    """An operator compiled for one dtype of data.

    Called by keyword, with an array for each array input (one axis for each index, in the order written)
    and a number for each scalar; inputs with a default may be left out. An index may stand for several
    axes: ``axes={"x": ("i", "k", "i", "i")}`` says so for an array, and outputs on the same indices take
    its shape. Returns the output where there is one, else a named tuple: new arrays, or those given as
    ``out=`` (an array for the first output, or a tuple with an array or None for each). ``check=`` is
    "full", "sample" (some features of each output, drawn at random; of large arrays often none) or "off".

    Attributes
    ----------
    operator : Operator
    dtype : numpy.dtype
    source : str
        The C; it includes the header ``kernel.header`` as ``kernel.name + ".h"``.
    cached : bool
        Was the library found in the cache?
    """

    def __init__(self, operator: Operator, source: Source, native: Native) -> None:
        self.operator = operator
        self.dtype = np.dtype(source.interface.dtype)
        self.name = source.interface.function
        self.source = source.text
        self.header = source.header
        self.reference_source = reference.numpy_source(operator)
        self.path: Path = native.path
        self.cached = native.cached
        interface = source.interface
        self._names = {name: identifier(name) for name in operator.inputs}
        self._arrays = tuple(one.name for one in interface.arrays if one.role == "input")
        self._scalars = tuple(one.name for one in interface.scalars)
        self._defaults = dict(interface.defaults)
        result = namedtuple(f"{operator.name}_result", interface.outputs) if len(interface.outputs) > 1 else None
        function = reference.compile_reference(self.reference_source)
        compiled = Compiled(interface, native.ffi, native.function)
        self._call = Call([interface], lambda _: compiled, function, None, {}, result)
        self._inputs = frozenset(self._names.values())
        self._short_way = _short_way(interface, self._call, result)

    def __repr__(self) -> str:
        return f"<symbn.Kernel {self.name}({', '.join(self.operator.inputs)})>"

    def __call__(
        self,
        /,
        *positional: Any,
        out: Any = None,
        check: str | None = None,
        axes: Mapping[str, Sequence[str]] | None = None,
        **named: Any,
    ) -> Any:
        """Run the kernel; see the class. CheckError if the result differs from the equations."""
        if axes is None and not positional and self._inputs.issuperset(named):
            result = self._short_way(named, out, check)
            if result is not NotImplemented:
                return result
        arrays, scalars, bound = self._arguments(positional, named, axes)
        return self._call(arrays, scalars, None, out, check, bound)

    def explain(self) -> str:
        """What the kernel does, in words: its steps, what each visit of the data computes, which loops run when.

        For each step also what is moved and computed for an element, and how fast that can be at best on this machine.
        For a gradient: what of the forward pass it takes as saved, and what it computes again.
        """
        from symbn.kernel import explain

        rates = {"copy_rate": machine.copy_rate(), "operation_rate": machine.operation_rate()}
        return explain.explain(self.operator, dtypes.dtype(self.dtype), **rates)

    def report(self, axes: Mapping[str, Sequence[str]] | None = None, **named: Any) -> Report:
        """Run, and return how every element of every output compares with the equations, good or bad."""
        arrays, scalars, bound = self._arguments((), named, axes)
        return self._call.report(arrays, scalars, None, bound)

    def _arguments(
        self, positional: tuple[Any, ...], named: Mapping[str, Any], axes: Mapping[str, Sequence[str]] | None
    ) -> tuple[list[Any], list[Any], dict[str, tuple[str, ...]]]:
        expected = ", ".join(self._names.values())
        if positional:
            raise ArgumentTypeError(f"{self.name}: takes its inputs by keyword: {expected}")
        given = {self._names.get(name, name): value for name, value in named.items()}
        for name in given:
            if name not in self._names.values():
                raise ArgumentTypeError(f"{self.name}: has no input {name!r}; its inputs are {expected}")
        missing = [own for own in self._names.values() if given.get(own) is None and own not in self._defaults]
        if missing:
            raise ArgumentTypeError(f"{self.name}: lacks {', '.join(missing)}; its inputs are {expected}")
        arrays = [given.get(name) for name in self._arrays]
        scalars = [self._defaults[name] if given.get(name) is None else given[name] for name in self._scalars]
        if axes is not None and not isinstance(axes, Mapping):
            raise ArgumentTypeError(
                f"axes: is a {type(axes).__name__}, expected a dict such as {{'x': ('i', 'k', 'i')}}"
            )
        bound = {self._names.get(name, name): _indices(name, indices) for name, indices in (axes or {}).items()}
        for name in bound:
            if name not in self._arrays:
                raise ArgumentError(f"axes: {name!r} is not an array input; those are {', '.join(self._arrays)}")
        return arrays, scalars, bound


def _short_way(interface: Interface, call: Call, result: Any) -> Callable[..., Any]:
    """A kernel's short way, written out for its own arguments: NotImplemented where a call cannot take it."""
    defaults = dict(interface.defaults)
    source = templates.render(
        "kernel_call.py.j2",
        function=interface.function,
        arrays=[
            {"name": f"in_{one.name}", "input": one.name, "optional": one.name in defaults}
            for one in interface.arrays
            if one.role == "input"
        ],
        scalars=[
            {
                "name": f"in_{one.name}",
                "input": one.name,
                "default": defaults.get(one.name),
                "lower": one.lower,
                "upper": one.upper,
                "choices": one.choices,
            }
            for one in interface.scalars
        ],
        outputs=[{"name": name} for name in interface.outputs],
        optional=[(output, f"in_{name}") for output, name in interface.optional],
        several=result is not None,
    )
    names = {
        "CALL": call,
        "RESULT": result,
        "apart": known.apart,
        "signature": known.signature,
        "tuple_of": known.tuple_of,
        "get_check": settings.get_check,
        "get_num_threads": settings.get_num_threads,
        "no_memory": no_memory,
        "inf": math.inf,
    }
    exec(compile(source, f"<the call of {interface.function}>", "exec"), names)
    short_way: Callable[..., Any] = names["short_way"]
    return short_way


def _indices(name: str, given: Any) -> tuple[str, ...]:
    """The indices in an ``axes=`` entry: names, or SymPy's Idx or Symbol."""
    if not isinstance(given, Sequence):
        raise ArgumentTypeError(f"axes: {given!r} for {name} is not a tuple with an index for each axis")
    return tuple(str(getattr(index, "name", index)) for index in given)
