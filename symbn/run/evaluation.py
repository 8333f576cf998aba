"""What is known of a part while it is evaluated: arrays, what has been reduced, the values on one block."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from symbn.run import blocks
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
    #: for those who add to it from several threads
    lock: Lock = field(default_factory=Lock)

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
        differ: Callable[[Output, Places, Evaluation], None],
    ) -> None:
        self.space = space
        self.order = order
        self.part = part
        self.tables = tables
        self.differ = differ
        self.sizes = space.axes(part, range(len(space.sizes)))
        self._laid: dict[Any, Array] = {}
        #: values on few axes for the whole part
        self.few: dict[Node, Few] = {}
        #: of these what is laid out on all axes of the block that a thread works on
        self._spread: dict[tuple[Node, int], tuple[Any, Array]] = {}

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

    def on(self, block: Block, node: Node, shape: tuple[int, ...]) -> Few:
        """A value on few axes on a block; where it varies along the last axis, on all axes, so that loops are long."""
        few = self.few[node].cut(block)
        # What is as large as two blocks would drive them out of the cache.
        if few.wide.shape[-1:] in ((), (1,)) or math.prod(shape) > blocks.ELEMENTS:
            return few
        key = block.key(self.few[node].wide.shape), shape
        kept = self._spread.get((node, id(block.pool)))
        if kept is None or kept[0] != key:
            kept = key, np.ascontiguousarray(np.broadcast_to(few.wide, shape))
            self._spread[node, id(block.pool)] = kept
        return Few(few.value, few.wide, kept[1])


class Few(NamedTuple):
    """A value on few axes, as it is, in the wide dtype, and in that on all axes if loops are longer then."""

    value: Array
    wide: Array
    laid: Array

    @property
    def exact(self) -> Array:
        """The value, in the wide dtype where that has all its digits."""
        return self.wide if np.array_equal(self.wide, self.value) else self.value

    def cut(self, block: Block) -> Few:
        value = block.cut(self.value)
        wide = value if self.wide is self.value else block.cut(self.wide)
        return Few(value, wide, wide)


class Block:
    """The values on one block: arrays on all its axes, and those on few."""

    def __init__(self, of: Evaluation, ranges: Mapping[Axis, slice], pool: Pool) -> None:
        self.of = of
        self.pool = pool
        self.ranges = [ranges.get(axis) for axis in of.order]
        self.full: dict[Node, Array] = {}
        self.few: dict[Node, Few] = {}
        #: those whose last use is the present step
        self.over: Sequence[Node] = ()
        self.shapes: dict[frozenset[int], tuple[int, ...]] = {}
        self.keys: dict[tuple[int, ...], tuple[slice, ...]] = {}

    def shape(self, axes: frozenset[int]) -> tuple[int, ...]:
        """The shape of a value on some axes."""
        if axes not in self.shapes:
            self.shapes[axes] = tuple(
                1 if axis[0] not in axes else self.of.sizes[axis] if one is None else one.stop - one.start
                for axis, one in zip(self.of.order, self.ranges, strict=True)
            )
        return self.shapes[axes]

    def result(self, node: Node, args: Sequence[Node]) -> Array:
        """Memory for what is computed from others, element by element: that of one that is not needed any more."""
        shape = self.shape(node.axes)
        for one in self.over:
            if one in args and one in self.full and self.full[one].shape == shape and self.pool.owns(self.full[one]):
                return self.full.pop(one)
        return self.pool.take(shape)

    def cut(self, array: Array) -> Array:
        """The block of an array that is laid on the axes of blocks."""
        return array if array.size == 1 else array[self.key(array.shape)]

    def key(self, shape: tuple[int, ...]) -> tuple[slice, ...]:
        """The place of the block in an array of a shape."""
        if shape not in self.keys:
            ranges = zip(self.ranges, shape, strict=True)
            self.keys[shape] = tuple(slice(None) if one is None or size == 1 else one for one, size in ranges)
        return self.keys[shape]

    def value(self, node: Node) -> Array:
        """A value as it is."""
        return self.full[node] if node in self.full else self.few[node].value

    def narrow(self, node: Node) -> Array:
        """A value in the wide dtype."""
        return self.full[node] if node in self.full else self.few[node].laid
