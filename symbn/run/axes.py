"""Which axes of a call's arrays an index of a shipped operator stands for; see symbn.equations.binding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symbn.emit.interface import ArrayArgument
from symbn.errors import ArgumentError
from symbn.run import arguments

Array = Any


@dataclass(frozen=True)
class Bound:
    """The axes of one call: for each axis of the data the index, or the two that share it ("g c")."""

    axes: tuple[str, ...]
    groups: int

    def places(self, argument: ArrayArgument) -> tuple[str, ...]:
        """For each axis of an array the index, or the two that share it."""
        if set(argument.indices) == set(self.indices):
            return self.axes
        pair = next((one for one in self.axes if " " in one), "")
        together = pair if pair in " ".join(argument.indices) else ""
        result: list[str] = []
        for index in argument.indices:
            if index not in pair.split():
                result += [index] * self.axes.count(index)
            elif not together:
                result.append(index)
            elif together.startswith(index):
                result.append(together)
        return tuple(result)

    @property
    def indices(self) -> tuple[str, ...]:
        """The index of each axis of the data, once each index has axes of its own."""
        return tuple(index for place in self.axes for index in place.split())

    def shape(self, argument: ArrayArgument, data: Sequence[int]) -> tuple[int, ...]:
        """The shape of an array, where that of the data is known."""
        sizes: dict[str, list[int]] = {}
        for place, size in zip(self.axes, data, strict=True):
            sizes.setdefault(place, []).append(size)
            if " " in place:
                first, second = place.split()
                sizes[first], sizes[second] = [self.groups], [size // self.groups]
        return tuple(sizes[place].pop(0) for place in self.places(argument))

    def split(self, array: Array, argument: ArrayArgument) -> Array:
        """A view of an array in which each index has axes of its own."""
        return array.reshape([size for pair in self._sizes(array.shape, argument) for size in pair])

    def _sizes(self, shape: Sequence[int], argument: ArrayArgument) -> list[tuple[int, ...]]:
        places = self.places(argument)
        return [
            (self.groups, size // self.groups) if " " in place else (size,)
            for place, size in zip(places, shape, strict=True)
        ]

    def merged(self, shape: Sequence[int], argument: ArrayArgument) -> tuple[int, ...]:
        """The shape that the caller knows of an array in which each index has axes of its own."""
        sizes = list(shape)
        return tuple(math.prod(sizes.pop(0) for _ in place.split()) for place in self.places(argument))


class Axes:
    """The places of a function's indices, before the arrays are known.

    Parameters
    ----------
    places
        (index or two indices, place) pairs as in ``AxisBinding``.
    argument
        The function's argument that they depend on, None where they do not.
    """

    def __init__(self, places: Sequence[tuple[str, str]], argument: str | None) -> None:
        self._places = places
        self._argument = argument
        self._indices = frozenset(index for indices, _ in places for index in indices.split())
        self._grouped = any(" " in indices for indices, _ in places)

    def is_data(self, argument: ArrayArgument) -> bool:
        """Does the array have all indices?"""
        return set(argument.indices) == self._indices

    def bind(self, arrays: Sequence[tuple[ArrayArgument, Array, str]], value: Any) -> Bound:
        """The places in one call; ``arrays`` are (argument, array or None, what the caller calls it)."""
        number = None if self._argument is None else arguments.integer(value, self._argument)
        data, label = next((a, label) for one, a, label in arrays if self.is_data(one))
        for one, a, own in arrays:
            if self.is_data(one) and a is not None and a.shape != data.shape:
                raise ArgumentError(f"{own}: has shape {a.shape}, expected {data.shape}, as {label} has")
        axis = None if self._grouped else number
        bound = Bound(self._of_data(data, axis, label), number if self._grouped and number is not None else 1)
        if self._grouped:
            self._check_groups(bound, arrays, data, label)
        return bound

    def _of_data(self, data: Array, axis: int | None, label: str) -> tuple[str, ...]:
        ndim = data.ndim
        least = max(
            (int(place.strip(":")) + (":" not in place) for _, place in self._places if place[0].isdigit()), default=0
        )
        if ndim < least:
            raise ArgumentError(f"{label}: has {ndim} dimensions (shape {data.shape}), expected {least} or more")
        if axis is not None:
            if not -ndim <= axis < ndim:
                raise ArgumentError(
                    f"{self._argument}: {axis} is out of range for {label}, which has {ndim} dimensions"
                )
            axis %= ndim
        result = [""] * ndim
        for indices, place in self._places:
            if place != "...":
                numbers = {"axis": axis, "": None}
                start, colon, stop = (numbers.get(one, one) for one in place.partition(":"))
                first = 0 if start is None else int(start)
                last = (ndim if stop is None else int(stop)) if colon else first + 1
                result[first:last] = [indices] * (last - first)
        (rest,) = [indices for indices, place in self._places if place == "..."] or [""]
        return tuple(one or rest for one in result)

    def _check_groups(
        self, bound: Bound, arrays: Sequence[tuple[ArrayArgument, Array, str]], data: Array, label: str
    ) -> None:
        """The caller's own words for what is wrong with an array, before its axis is split."""
        axis = next(number for number, one in enumerate(bound.axes) if " " in one)
        channels = data.shape[axis]
        if bound.groups < 1 or channels % bound.groups:
            raise ArgumentError(
                f"{self._argument}: is {bound.groups}, expected a divisor of {channels}, "
                f"the length of axis {axis} of {label}"
            )
        for one, a, own in arrays:
            if a is None or not any(" " in place for place in bound.places(one)):
                continue
            expected = bound.shape(one, data.shape)
            if a.shape != expected:
                raise ArgumentError(f"{own}: has shape {a.shape}, expected {expected}")
