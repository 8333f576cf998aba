"""What a call does that follows from shapes, strides and dtypes alone: worked out once, kept for the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from symbn.emit.interface import CACHE_BYPASS, CACHE_BYTES, ArrayArgument, Interface
from symbn.errors import ArgumentError, ArgumentTypeError
from symbn.run import layout, machine

#: below so many elements one thread is as fast as two, for some kernels faster: waking another takes 4 us or more
THREADED_ELEMENTS = 1 << 16

Array = Any


@dataclass(frozen=True)
class Output:
    """An output: is the caller's array written itself, and if not, what array is made for it."""

    direct: bool
    shape: tuple[int, ...]
    dtype: Any
    #: the order of its axes in memory, None for C's
    order: tuple[int, ...] | None


@dataclass(frozen=True)
class Plan:
    """How a call's arrays are handed to the C function."""

    #: the layout struct's fields
    fields: Mapping[str, int]
    #: for each input: must it be copied first (dtype, alignment, or axes that the loops cannot step over)?
    copies: tuple[bool, ...]
    outputs: tuple[Output, ...]
    #: array name -> the index that each of its axes belongs to
    axes: Mapping[str, tuple[str, ...]]
    #: index -> its extent
    extents: Mapping[str, int]
    threaded: bool


def dtype_of(interface: Interface, argument: ArrayArgument) -> Any:
    """The dtype in which the C function takes an array."""
    return np.dtype(np.float64 if argument.wide else interface.dtype)


def make(
    interface: Interface,
    inputs: Sequence[Array | None],
    given: Sequence[Array | None],
    writable: Sequence[bool],
    bound: Mapping[str, tuple[str, ...]],
    names: Mapping[str, str],
) -> Plan:
    """Plan a call.

    ``inputs`` and ``given`` are arrays in the interface's order, None for a default or an output that is not
    given; ``writable`` says which given outputs the kernel may write while it reads; ``bound`` says which
    index each axis belongs to, for arrays in which that is not one to one.
    """
    return _Planner(interface, names).plan(inputs, given, writable, bound)


class _Planner:
    def __init__(self, interface: Interface, names: Mapping[str, str]) -> None:
        self.interface = interface
        self.names = names
        self.inputs = [argument for argument in interface.arrays if argument.role == "input"]
        self.outputs = [argument for argument in interface.arrays if argument.role == "output"]

    def label(self, argument: ArrayArgument) -> str:
        return self.names.get(argument.name, argument.name)

    def plan(
        self,
        inputs: Sequence[Array | None],
        given: Sequence[Array | None],
        writable: Sequence[bool],
        bound: Mapping[str, tuple[str, ...]],
    ) -> Plan:
        arrays = {one.name: a for one, a in zip(self.inputs, inputs, strict=True) if a is not None}
        for one in self.inputs:
            if one.name in arrays:
                self.check_dtype(one, arrays[one.name])
        axes = layout.axes_of(self.interface, arrays, bound, self.names)
        sizes = layout.sizes_of(self.interface, arrays, axes, self.names)
        shapes: dict[str, tuple[int, ...]] = {}
        for one in self.outputs:
            alike = [name for name in bound if name in axes and set(self.argument(name).indices) == set(one.indices)]
            if alike:
                axes[one.name], shapes[one.name] = axes[alike[0]], arrays[alike[0]].shape
            else:
                axes[one.name] = tuple(index for index in one.indices for _ in sizes[index])
                shapes[one.name] = tuple(size for index in one.indices for size in sizes[index])
        self.check_given(given, shapes)
        copies = {
            one.name: not usable(arrays[one.name], dtype_of(self.interface, one))
            for one in self.inputs
            if one.name in arrays
        }
        direct = {
            one.name: a
            for one, a, may in zip(self.outputs, given, writable, strict=True)
            if a is not None and may and usable(a, dtype_of(self.interface, one))
        }
        while True:
            made = {
                name: _dense(a.shape, dtype_of(self.interface, self.argument(name))) if copies[name] else a
                for name, a in arrays.items()
            }
            orders = {one.name: self.order(one, made, axes) for one in self.outputs}
            for one in self.outputs:
                dtype = dtype_of(self.interface, one)
                made[one.name] = direct.get(one.name, _dense(shapes[one.name], dtype, orders[one.name]))
            outer = {
                index: layout.outer_axes([(a, axes[name]) for name, a in made.items()], index)
                for index, _ in self.interface.extents
            }
            parts = dict(self.interface.extents)
            stuck = {index for index, cut in outer.items() if cut is None or (cut and len(parts[index]) == 1)}
            if not stuck:
                break
            if direct:
                direct = {}
            elif all(copies[name] for name in copies if stuck & set(axes[name])):
                index = sorted(stuck)[0]
                raise ArgumentError(
                    f"axes: the axes of {index} lie in more places than the kernel's loops can step over; "
                    f"bring them together with np.moveaxis"
                )
            else:
                copies = {name: copy or bool(stuck & set(axes[name])) for name, copy in copies.items()}
        return Plan(
            self.fields(made, axes, {index: cut or 0 for index, cut in outer.items()}),
            tuple(copies.get(one.name, False) for one in self.inputs),
            tuple(
                Output(one.name in direct, shapes[one.name], dtype_of(self.interface, one), orders[one.name])
                for one in self.outputs
            ),
            axes,
            {index: math.prod(size) for index, size in sizes.items()},
            max((math.prod(a.shape) for a in made.values()), default=0) >= THREADED_ELEMENTS,
        )

    def argument(self, name: str) -> ArrayArgument:
        return next(argument for argument in self.interface.arrays if argument.name == name)

    def order(
        self, output: ArrayArgument, made: Mapping[str, Array], axes: Mapping[str, tuple[str, ...]]
    ) -> tuple[int, ...] | None:
        """The memory order of an output: that of the first input with the same axes."""
        for one in self.inputs:
            a = made.get(one.name)
            if a is not None and axes[one.name] == axes[output.name] and not a.flags.c_contiguous:
                return memory_order(a)
        return None

    # ---- what is wrong ---------------------------------------------------------------------------

    def check_dtype(self, argument: ArrayArgument, a: Array) -> None:
        data, native = np.dtype(self.interface.dtype), a.dtype.newbyteorder("=")
        if native not in (data, dtype_of(self.interface, argument)):
            label = self.label(argument)
            raise ArgumentTypeError(
                f"{label}: has dtype {a.dtype}, expected {data.name}; cast it with {label}.astype('{data.name}')"
            )

    def check_given(self, given: Sequence[Array | None], shapes: Mapping[str, tuple[int, ...]]) -> None:
        for one, a in zip(self.outputs, given, strict=True):
            if a is None:
                continue
            label, dtype = f"out ({self.label(one)})", dtype_of(self.interface, one)
            if a.shape != shapes[one.name]:
                raise ArgumentError(f"{label}: has shape {a.shape}, expected {shapes[one.name]}")
            if a.dtype.newbyteorder("=") != dtype:
                raise ArgumentTypeError(f"{label}: has dtype {a.dtype}, expected {dtype.name}")
            if not a.flags.writeable:
                raise ArgumentError(f"{label}: is read-only; give an array that can be written")
            if a.size and any(stride == 0 and size > 1 for stride, size in zip(a.strides, a.shape, strict=True)):
                raise ArgumentError(f"{label}: its elements share memory (a broadcast array); give one of its own")

    # ---- the layout struct -----------------------------------------------------------------------

    def fields(
        self, made: Mapping[str, Array], axes: Mapping[str, tuple[str, ...]], outer: Mapping[str, int]
    ) -> dict[str, int]:
        result = dict.fromkeys(self.interface.layout, 0)
        extents = dict(self.interface.extents)
        for argument in self.interface.arrays:
            if argument.name not in made:
                continue  # a default: one element, every stride 0
            for index, strides in zip(argument.indices, argument.strides, strict=True):
                levels = layout.level_values(
                    made[argument.name], axes[argument.name], index, outer[index], len(strides)
                )
                for (extent, stride), size, field in zip(levels, extents[index], strides, strict=True):
                    result[size], result[field] = extent, stride
        written = sum(math.prod(made[one.name].shape) * made[one.name].itemsize for one in self.outputs)
        result[CACHE_BYTES], result[CACHE_BYPASS] = machine.cache_bytes(), int(written >= machine.BYPASS)
        return result


def usable(a: Array, dtype: Any) -> bool:
    """Can the C function use the array where it is: dtype, byte order, alignment, strides of whole elements?"""
    return bool(
        a.dtype == dtype
        and a.dtype.isnative
        and a.flags.aligned
        and all(stride % a.itemsize == 0 for stride in a.strides)
    )


def memory_order(array: Array) -> tuple[int, ...] | None:
    """The order of an array's axes in memory, None for C's."""
    if array.flags.c_contiguous:
        return None
    order = tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))
    return None if order == tuple(range(array.ndim)) else order


def maker(shape: tuple[int, ...], dtype: Any, order: tuple[int, ...] | None) -> Callable[[], Array]:
    """What makes a new array each time that it is called, its axes in the given order in memory."""
    return partial(np.empty, shape, dtype) if order is None else partial(_empty, shape, dtype, order)


def _dense(shape: tuple[int, ...], dtype: Any, order: tuple[int, ...] | None = None) -> Array:
    """A stand-in for an array that will be made: its shape and strides, without its memory."""
    memory = range(len(shape)) if order is None else order
    strides, step = [0] * len(shape), np.dtype(dtype).itemsize
    for axis in reversed(memory):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return np.lib.stride_tricks.as_strided(np.empty((), dtype), shape, strides, writeable=False)


def _empty(shape: tuple[int, ...], dtype: Any, order: tuple[int, ...]) -> Array:
    """An array whose axes lie in memory in the given order."""
    back = [order.index(axis) for axis in range(len(shape))]
    return np.empty([shape[axis] for axis in order], dtype).transpose(back)
