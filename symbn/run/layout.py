"""Where an operator's indices lie in a call's arrays: extents and strides for the kernel's loop levels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from symbn.emit.interface import ArrayArgument, Interface
from symbn.errors import ArgumentError

Array = Any


def axes_of(
    interface: Interface, arrays: Mapping[str, Array], bound: Mapping[str, tuple[str, ...]], names: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """The index that each axis of each array belongs to.

    ``bound`` says it for some arrays, in which an index may have several axes or none. Any other has, for each of
    its indices in the order written, as many axes as that has there.
    """
    result = {}
    counts = axis_counts(interface, bound)
    for argument in interface.arrays:
        array = arrays.get(argument.name)
        if array is None:
            continue
        label = names.get(argument.name, argument.name)
        axes = bound.get(argument.name, expanded(argument, counts))
        if not set(axes) <= set(argument.indices):
            raise ArgumentError(
                f"axes: {label} has the indices {', '.join(argument.indices)}, but {', '.join(axes)} were given"
            )
        if array.ndim != len(axes):
            written = f"{label}[{', '.join(argument.indices)}]" if argument.indices else label
            raise ArgumentError(
                f"{label}: has {array.ndim} dimensions (shape {array.shape}), expected {len(axes)}, "
                + (
                    "as its axes were given"
                    if argument.name in bound
                    else f"one for each index of {written}; a kernel's axes= says which index an axis belongs to"
                    if len(axes) == len(argument.indices)
                    else f"as many for each index of {written} as it has elsewhere"
                )
            )
        result[argument.name] = axes
    return result


def axis_counts(interface: Interface, bound: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """How many axes each index stands for: as many as in the arrays whose axes are given, else one."""
    extents = dict(interface.extents)
    by_extent = {
        extents[index]: bound[argument.name].count(index)
        for argument in interface.arrays
        if argument.name in bound
        for index in argument.indices
    }
    return {index: by_extent.get(extent, 1) for index, extent in interface.extents}


def expanded(argument: ArrayArgument, counts: Mapping[str, int]) -> tuple[str, ...]:
    """An array's indices in the order written, each as often as it has axes."""
    return tuple(index for index in argument.indices for _ in range(counts[index]))


def sizes_of(
    interface: Interface, arrays: Mapping[str, Array], axes: Mapping[str, tuple[str, ...]], names: Mapping[str, str]
) -> dict[str, tuple[int, ...]]:
    """The lengths of the axes that each index stands for; ArgumentError where two arrays differ."""
    by_extent: dict[tuple[str, ...], tuple[tuple[int, ...], str]] = {}
    extents = dict(interface.extents)
    fixed = dict(interface.fixed)
    for argument in interface.arrays:
        array = arrays.get(argument.name)
        if array is None:
            continue
        label = names.get(argument.name, argument.name)
        for index in argument.indices:
            own = tuple(size for size, one in zip(array.shape, axes[argument.name], strict=True) if one == index)
            if index in fixed and math.prod(own) != fixed[index]:
                raise ArgumentError(f"{label}: has {math.prod(own)} along {index}, expected {fixed[index]}")
            known = by_extent.setdefault(extents[index], (own, argument.name))
            if known[0] != own:
                other = known[1]
                wanted = list(known[0])
                expected = tuple(
                    (wanted.pop(0) if wanted else 1) if one == index else size
                    for one, size in zip(axes[argument.name], array.shape, strict=True)
                )
                if set(axes[other]) == set(axes[argument.name]):
                    expected = arrays[other].shape
                raise ArgumentError(
                    f"{label}: has shape {array.shape}, expected {expected}: "
                    f"{' x '.join(map(str, known[0])) or 1} along {index}, as in {names.get(other, other)}"
                )
    # An index of an output alone has an extent that is a number.
    sizes = {index: (size,) for index, size in fixed.items()}
    return sizes | {index: by_extent[fields][0] for index, fields in interface.extents if fields in by_extent}


def outer_axes(arrays: Sequence[tuple[Array, tuple[str, ...]]], index: str) -> int | None:
    """How many of an index's axes (those longer than 1 counted) belong to its outer part.

    Neighbouring axes are one where every array steps evenly across both; None where more than two parts
    would be left, so that a copy has to be made. An empty array is nowhere stepped over.
    """
    breaks: set[int] = set()
    for array, axes in arrays:
        if array.size == 0:
            continue
        own = [axis for axis, one in enumerate(axes) if one == index and array.shape[axis] != 1]
        for number, (first, second) in enumerate(zip(own, own[1:], strict=False), 1):
            if array.strides[first] != array.shape[second] * array.strides[second]:
                breaks.add(number)
    if len(breaks) > 1:
        return None
    return breaks.pop() if breaks else 0


def level_values(array: Array, axes: tuple[str, ...], index: str, outer: int, parts: int) -> list[tuple[int, int]]:
    """(extent, stride in elements) of an index's loop levels in one array, outermost first."""
    own = [axis for axis, one in enumerate(axes) if one == index]
    long = [axis for axis in own if array.shape[axis] != 1]
    result = []
    for group in (long[:outer], long[outer:]) if parts == 2 else (long,):
        extent = math.prod(array.shape[axis] for axis in group)
        result.append((extent, array.strides[group[-1]] // array.itemsize if group else 0))
    return result
