"""What is known of a part while it is evaluated: arrays, what has been reduced, the values on one block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from symbn.run.graph import Constant, Node, Reduction, View
from symbn.run.passes import Output
from symbn.run.pool import Pool
from symbn.run.space import EVERYTHING, Axis, Part, Space, placed

Array = Any
#: positions along each axis of some elements of a part
Places = Mapping[Axis, Array]


@dataclass(eq=False)
class Table:
    """What a reduction yields for a part, on its own axes; longdouble, so that a sum is held in two parts."""

    reduction: Reduction
    #: how many terms each has
    count: int
    #: axis of the reference -> axes of the arrays
    places: Mapping[int, Sequence[int]]
    value: Array
    #: what is subtracted from each term of a sum, if anything
    centre: Array | None
    #: of some terms of a sum the magnitudes' sum, where it is asked for and nothing is subtracted
    some: Array | None

    def laid(self, array: Array, view: View, part: Part, order: Sequence[Axis]) -> Array:
        """One of the arrays as a view of the reduction shows it."""
        places = {axis: self.places[own] for axis, own in enumerate(view.entries) if own is not None}
        # On its own feature axis the table has the part's positions alone.
        whole = part.feature is None or view.entries[part.feature : part.feature + 1] == (part.feature,)
        return placed(array, places, EVERYTHING if whole else part, order)

    def finish(self, cut: Callable[[Array], Array]) -> None:
        """Make the sum of the distances from the centre the sum or mean of the terms, in a cut of the table."""
        value, count = cut(self.value), np.longdouble(self.count)
        if self.reduction.function is np.sum:
            value += 0 if self.centre is None else count * cut(self.centre)
        elif self.reduction.function is np.mean:
            value /= count
            value += 0 if self.centre is None else cut(self.centre)


class Evaluation:
    """A part's arrays, on the axes of blocks."""

    def __init__(
        self,
        space: Space,
        order: Sequence[Axis],
        part: Part,
        tables: dict[Any, Table],
        pool: Pool,
        differ: Callable[[Output, Places, Evaluation], None],
    ) -> None:
        self.space = space
        self.order = order
        self.part = part
        self.tables = tables
        self.pool = pool
        self.differ = differ
        self.sizes = space.axes(part, range(len(space.sizes)))
        self._laid: dict[Any, Array] = {}
        #: values on few axes for the whole part
        self.few: dict[Node, Few] = {}

    def shown(self, view: View) -> Array:
        """What a view shows of the part; a reduction's result in longdouble."""
        if view not in self._laid:
            if isinstance(view.source, Reduction):
                table = self.tables[view.source]
                # The table is filled in place.
                self._laid[view] = table.laid(table.value, view, self.part, self.order)
            elif isinstance(view.source, Constant):
                self._laid[view] = self.space.constant(view, view.source.array, self.part, self.order)
            else:
                self._laid[view] = self.space.laid(view, self.part, self.order)
        return self._laid[view]

    def output(self, name: str) -> Array:
        """An output's part."""
        if name not in self._laid:
            self._laid[name] = self.space.output(name, self.part, self.order)
        return self._laid[name]


class Few(NamedTuple):
    """A value on few axes, as it is, and in two parts of the wide dtype; no second part where there is none."""

    value: Array
    high: Array
    low: Array | None

    @property
    def exact(self) -> Array:
        """The value, in the wide dtype where that has all its digits."""
        return self.high if self.low is None and np.array_equal(self.high, self.value) else self.value

    def cut(self, block: Block) -> Few:
        value = block.cut(self.value)
        high = value if self.high is self.value else block.cut(self.high)
        return Few(value, high, None if self.low is None else block.cut(self.low))


class Block:
    """The values on one block: arrays on all its axes, and those on few."""

    def __init__(self, of: Evaluation, ranges: Mapping[Axis, slice]) -> None:
        self.of = of
        self.pool = of.pool
        self.ranges = [ranges.get(axis) for axis in of.order]
        self.full: dict[Node, Array] = {}
        self.few: dict[Node, Few] = {}
        self.shapes: dict[frozenset[int], tuple[int, ...]] = {}
        self.keys: dict[tuple[int, ...], tuple[slice, ...]] = {}

    def take(self, axes: frozenset[int]) -> Array:
        """Memory for a value on some axes."""
        if axes not in self.shapes:
            self.shapes[axes] = tuple(
                1 if axis[0] not in axes else self.of.sizes[axis] if one is None else one.stop - one.start
                for axis, one in zip(self.of.order, self.ranges, strict=True)
            )
        return self.pool.take(self.shapes[axes])

    def cut(self, array: Array) -> Array:
        """The block of an array that is laid on the axes of blocks."""
        if array.size == 1:
            return array
        key = self.keys.get(array.shape)
        if key is None:
            ranges = zip(self.ranges, array.shape, strict=True)
            key = tuple(slice(None) if one is None or size == 1 else one for one, size in ranges)
            self.keys[array.shape] = key
        return array[key]

    def narrow(self, node: Node) -> Array:
        """A value in the wide dtype."""
        return self.full[node] if node in self.full else self.few[node].high
