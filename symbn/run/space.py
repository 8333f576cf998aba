"""Where the elements of a check's arrays lie on the axes of the reference, and parts of them.

The reference has one axis for each index; an index may stand for several axes of the caller's arrays, and those lie
in memory in any order. Here each array has its own axes, as few as its strides allow, labelled (axis of the
reference, number). A part of all this is what belongs to some positions along one axis, the feature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symbn.run.graph import View

Array = Any
#: an axis of the reference, and which of the caller's axes that belong to it
Axis = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """What is compared together: positions along an axis (a slice, or an array of them), or everything."""

    feature: int | None = None
    picks: Any = None

    @property
    def positions(self) -> Array:
        """All the positions."""
        return np.arange(self.picks.start, self.picks.stop) if isinstance(self.picks, slice) else self.picks

    @property
    def count(self) -> int:
        """How many there are."""
        return self.picks.stop - self.picks.start if isinstance(self.picks, slice) else len(self.picks)


EVERYTHING = Part()


class Space:
    """The arrays of a check, and the sizes of the reference's axes.

    ``arrays`` has for each name the array and, axis by axis, the axis of the reference that it lies on; ``written``
    has the axes of the reference that an array is indexed by, as written; ``sizes`` has for each axis of the reference
    the lengths of the caller's axes that belong to it. An array without axes stands for equal elements.
    """

    def __init__(
        self,
        arrays: Mapping[str, tuple[Array, Sequence[int]]],
        written: Mapping[str, Sequence[int]],
        sizes: Sequence[Sequence[int]],
    ) -> None:
        self.written = written
        joined = _joined(arrays, [tuple(one) for one in sizes])
        self.sizes = [tuple(map(math.prod, _parted(one, joined.get(tuple(one), ())))) for one in sizes]
        #: name -> the array, and for each axis of the reference that it has the numbers of its own
        self.arrays: dict[str, tuple[Array, dict[int, list[int]]]] = {}
        for name, (given, own_axes) in arrays.items():
            array, axes = given, own_axes
            if array.ndim == 0 and any(sizes[axis] for axis in written[name]):
                # One number stands for all elements.
                axes = [axis for axis in written[name] for _ in sizes[axis]]
                array = np.broadcast_to(array, [size for axis in written[name] for size in sizes[axis]])
            where = {axis: [own for own, one in enumerate(axes) if one == axis] for axis in axes}
            order = [own for axis in where for own in where[axis]]
            shape: list[int] = []
            numbers: dict[int, list[int]] = {}
            for axis in where:
                numbers[axis] = list(range(len(shape), len(shape) + len(self.sizes[axis])))
                shape += self.sizes[axis]
            view = array.transpose(order)
            self.arrays[name] = (view.reshape(shape) if view.shape != tuple(shape) else view), numbers

    def axes(self, part: Part, among: Sequence[int] | frozenset[int]) -> dict[Axis, int]:
        """The lengths of the axes of a part, in the reference's order."""
        return {
            (axis, number): size
            for axis in sorted(among)
            for number, size in enumerate([part.count] if axis == part.feature else self.sizes[axis])
        }

    def extent(self, axis: int) -> int:
        return math.prod(self.sizes[axis])

    def laid(self, view: View, part: Part, order: Sequence[Axis]) -> Array:
        """An input's part, its axes in the given order, of length 1 where it does not vary; a view if it can be."""
        array, numbers = self.arrays[str(view.source)]
        written = self.written[str(view.source)]
        places = {axis: numbers.get(written[own], []) for axis, own in enumerate(view.entries) if own is not None}
        return placed(array, places, part, order)

    def output(self, name: str, part: Part, order: Sequence[Axis]) -> Array:
        """An output's part, laid out like an input's."""
        array, numbers = self.arrays[name]
        return placed(array, numbers, part, order)

    def fill(self, name: str, part: Part, value: float) -> None:
        """Set an output's part to a value."""
        array, numbers = self.arrays[name]
        picked = [] if part.feature is None else numbers.get(part.feature, [])
        if len(picked) > 1:
            rest = [own for own in range(array.ndim) if own not in picked]
            places = np.unravel_index(part.positions, [array.shape[own] for own in picked])
            array.transpose([*picked, *rest])[places] = value
        else:
            array[tuple(part.picks if own in picked else slice(None) for own in range(array.ndim))] = value

    def constant(self, view: View, array: Array, part: Part, order: Sequence[Axis]) -> Array:
        """A constant array's part; it has one axis for each of the reference's."""
        shape: list[int] = []
        places = {}
        for axis, own in enumerate(view.entries):
            if own is not None:
                places[axis] = list(range(len(shape), len(shape) + len(self.sizes[axis])))
                shape += self.sizes[axis]
        moved = array.transpose([*(own for own in view.entries if own is not None), *_missing(view, array)])
        return placed(moved.reshape(shape), places, part, order)


def _missing(view: View, array: Array) -> list[int]:
    return [own for own in range(array.ndim) if own not in view.entries]


def placed(array: Array, places: Mapping[int, Sequence[int]], part: Part, order: Sequence[Axis]) -> Array:
    """An array's part with its axes in the given order; ``places`` are its own axes for each axis of the reference."""
    picked = places.get(part.feature, ()) if part.feature is not None else ()
    if len(picked) == 1:
        array = array[tuple(part.picks if own == picked[0] else slice(None) for own in range(array.ndim))]
    elif picked:
        rest = [own for own in range(array.ndim) if own not in picked]
        # The picked axes come first and become one.
        sizes = [array.shape[own] for own in picked]
        array = array.transpose([*picked, *rest])[np.unravel_index(part.positions, sizes)]
        numbers = {own: number for number, own in enumerate(rest, 1)}
        places = {
            axis: [0] if axis == part.feature else [numbers[own] for own in owns] for axis, owns in places.items()
        }
    mine = [places[axis][number] for axis, number in order if places.get(axis)]
    key = tuple(slice(None) if places.get(axis) else None for axis, _ in order)
    # Any other axis has length 1.
    array = array[tuple(slice(None) if own in mine else 0 for own in range(array.ndim))]
    left = sorted(mine)
    return array.transpose([left.index(own) for own in mine])[key]


def _joined(
    arrays: Mapping[str, tuple[Array, Sequence[int]]], sizes: Sequence[tuple[int, ...]]
) -> dict[tuple[int, ...], list[bool]]:
    """For each way to have several axes: may each be joined with the one after it, in all arrays?"""
    result = {one: [True] * (len(one) - 1) for one in sizes if len(one) > 1}
    for array, axes in arrays.values():
        for axis in dict.fromkeys(axes):
            if sizes[axis] in result:
                own = [number for number, one in enumerate(axes) if one == axis]
                may = [
                    array.strides[a] == array.strides[b] * array.shape[b] for a, b in zip(own, own[1:], strict=False)
                ]
                result[sizes[axis]] = [x and y for x, y in zip(result[sizes[axis]], may, strict=True)]
    return result


def _parted(sizes: Sequence[int], joined: Sequence[bool]) -> list[list[int]]:
    """The sizes in groups: those that are joined are together."""
    groups = [[sizes[0]]] if sizes else []
    for size, with_last in zip(sizes[1:], joined, strict=False):
        if with_last:
            groups[-1].append(size)
        else:
            groups.append([size])
    return groups
