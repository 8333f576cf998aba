"""The reference evaluated fast: block by block, in memory that stays in cache, without error bounds.

A result that equals the reference's value, rounded, is right: no derived limit is below half a unit. So most
elements need no bound. The values are as good as a kernel's: the same operations, sums of no more terms one after
another than a kernel's, and what is reduced held in two parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from symbn.run.graph import Apply, Constant, Node, Number, Reduction, View, below
from symbn.run.space import EVERYTHING, Axis, Part, Space, placed

#: elements of one block: what a second-level cache holds of a dozen temporaries
BLOCK_ELEMENTS = 1 << 14
#: a value on fewer axes than the block's is worked out once for a whole part, up to so many elements
_SMALL = 1 << 16
#: a loop along an axis shorter than that is slow
_SHORT = 32
#: so many rows are added one after another, before their sums are
_ROWS = 16
#: NumPy copies its operands where its inner loops are shorter than its buffer, which is 8192 elements if not set
BUFFER = 1024
#: bytes of a cache line
_LINE = 64

Array = Any
#: positions along each axis of some elements of a part
Places = Mapping[Axis, Array]


@dataclass(frozen=True)
class Output:
    """An output: its name, the axes of the reference that it has, and what it should be."""

    name: str
    axes: frozenset[int]
    node: Node


@dataclass(eq=False)
class Table:
    """What a reduction yields for a part, on its own axes; longdouble, so that a sum is held in two parts."""

    reduction: Reduction
    #: how many terms each has
    count: int
    #: axis of the reference -> axes of the arrays
    places: Mapping[int, Sequence[int]]
    value: Array
    #: what is subtracted from each term of a sum; NaN until the first of them are seen
    centre: Array
    #: the sum of the distances from the centre, where it is asked for
    spread: Array | None

    def laid(self, array: Array, view: View, part: Part, order: Sequence[Axis]) -> Array:
        """One of the arrays as a view of the reduction shows it."""
        places = {axis: self.places[own] for axis, own in enumerate(view.entries) if own is not None}
        # On its own feature axis the table has the part's positions alone.
        whole = part.feature is None or view.entries[part.feature : part.feature + 1] == (part.feature,)
        return placed(array, places, EVERYTHING if whole else part, order)

    def finish(self) -> None:
        """Make the sum of the distances from the centre the sum or mean of the terms."""
        with np.errstate(all="ignore"):
            if self.reduction.function is np.sum:
                self.value = np.longdouble(self.count) * self.centre + self.value
            elif self.reduction.function is np.mean:
                self.value = self.centre + self.value / np.longdouble(self.count)


@dataclass
class Pass:
    """Reductions and outputs on the same axes, evaluated in the same loop over blocks."""

    axes: frozenset[int]
    reductions: list[Reduction] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

    def nodes(self) -> list[Node]:
        return [*(one.term for one in self.reductions), *(one.node for one in self.outputs)]


def passes(outputs: Sequence[Output], reductions: Sequence[Reduction]) -> list[Pass]:
    """The loops over blocks, in order, that evaluate some reductions, of all on which the outputs depend, and outputs."""
    depth: dict[Any, int] = {}
    found: dict[Any, Pass] = {}
    seen: dict[Any, None] = {}
    for start in (*(output.node for output in outputs), *reductions):
        for node in below(start, seen):
            depth[node] = max((depth[one] for one in _sources(node)), default=0) + isinstance(node, Reduction)
            if node in reductions:
                key = depth[node], sorted(node.term.axes), sorted(node.axis)
                found.setdefault(repr(key), (key[0], Pass(node.term.axes)))[1].reductions.append(node)
    steps = [step for _, step in sorted(found.values(), key=lambda one: one[0])]
    last: dict[frozenset[int], Pass] = {}
    for output in outputs:
        last.setdefault(output.axes, Pass(output.axes)).outputs.append(output)
    return [*steps, *last.values()]


def _sources(node: Node | Reduction) -> Sequence[Any]:
    if isinstance(node, Apply):
        return node.args
    if isinstance(node, Reduction):
        return (node.term,)
    return (node.source,) if isinstance(node, View) and isinstance(node.source, Reduction) else ()


class Pool:
    """Memory for the values on one block, used again and again while it is in cache."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.free: list[Array] = []
        self.owned: dict[int, Array] = {}

    def take(self, shape: tuple[int, ...]) -> Array:
        size = math.prod(shape)
        if size > BLOCK_ELEMENTS:
            return np.empty(shape, self.dtype)
        if not self.free:
            raw = np.empty(BLOCK_ELEMENTS * self.dtype.itemsize + _LINE, np.uint8)
            start = -raw.ctypes.data % _LINE
            flat = raw[start : start + BLOCK_ELEMENTS * self.dtype.itemsize].view(self.dtype)
            self.owned[id(raw)] = flat
            self.free.append(flat)
        return self.free.pop()[:size].reshape(shape)

    def give(self, value: Array) -> None:
        """Give back what was taken; anything else is left alone."""
        flat = self.owned.get(id(value.base))
        if flat is not None:
            self.free.append(flat)


class Evaluation:
    """The values of one part of a space; ``tables`` are the results of reductions so far."""

    def __init__(self, space: Space, part: Part, tables: dict[Any, Table], pool: Pool) -> None:
        self.space = space
        self.part = part
        self.tables = tables
        self.pool = pool
        self.wide = pool.dtype
        self.sizes = space.axes(part, range(len(space.sizes)))
        self.order: list[Axis] = []
        #: what is worked out once: inputs as they are laid, and values on few axes
        self._shown: dict[Any, Array] = {}
        self._small: dict[Node, Array] = {}

    def run(
        self,
        steps: Sequence[Pass],
        spreads: frozenset[Reduction] = frozenset(),
        differ: Callable[[Output, Places], None] = lambda output, places: None,
    ) -> None:
        """Evaluate the passes; ``differ`` is told of elements that are not the rounded value.

        ``spreads`` are the sums whose terms' distances from their centre are added up too.
        """
        self.order = self._order(steps)
        # Where one block holds everything, what one pass has computed serves the next.
        alone = all(math.prod(self._sizes(step.axes).values()) <= BLOCK_ELEMENTS for step in steps)
        for together in [steps] if alone else [[step] for step in steps]:
            for one in [one for step in together for one in step.reductions]:
                self.tables[one] = self._table(one, one in spreads)
            whole = frozenset().union(*(step.axes for step in together))
            uses = self._uses(together, whole)
            for ranges in _blocks(self._sizes(whole)):
                block = _Block(self, ranges, dict(uses))
                for step in together:
                    for one in step.reductions:
                        block.reduce(self.tables[one])
                        if alone:
                            self.tables[one].finish()
                    for output in step.outputs:
                        block.compare(output, differ)
            for one in [one for step in together for one in step.reductions if not alone]:
                self.tables[one].finish()

    def _sizes(self, axes: frozenset[int]) -> dict[Axis, int]:
        return {axis: self.sizes[axis] for axis in self.order if axis[0] in axes}

    def _table(self, one: Reduction, spread: bool) -> Table:
        """A table to be filled: on the axes of blocks, of which it has length 1 where it does not vary."""
        shape = [self.sizes[axis] if axis[0] in one.axes else 1 for axis in self.order]
        places = {
            axis: [self.order.index(own) for own in self.sizes if own[0] == axis] for axis in one.axes
        }
        count = math.prod(size for axis, size in self.sizes.items() if axis[0] in one.axis)
        start = {np.prod: 1.0, np.max: -np.inf, np.min: np.inf}.get(one.function, 0.0)
        value, centre, distances = (np.full(shape, first, np.longdouble) for first in (start, np.nan, 0.0))
        return Table(one, count, places, value, centre, distances if spread else None)

    def _uses(self, steps: Sequence[Pass], whole: frozenset[int]) -> dict[Node, int]:
        """How often each value is used that is computed block by block."""
        uses: dict[Node, int] = {}
        for target in [node for step in steps for node in step.nodes()]:
            uses[target] = uses.get(target, 0) + 1
        seen: dict[Any, None] = {}
        for target in list(uses):
            for node in _within(target, seen):
                for one in _sources(node) if isinstance(node, Apply) else ():
                    uses[one] = uses.get(one, 0) + 1
        return {node: count for node, count in uses.items() if not self._is_small(node, whole)}

    def _is_small(self, node: Node, whole: frozenset[int]) -> bool:
        return node.axes != whole and math.prod(self._sizes(node.axes).values()) <= _SMALL

    def _order(self, steps: Sequence[Pass]) -> list[Axis]:
        """The axes as a block has them: those that are kept first, the others as in memory, so that loops are long.

        An axis that is kept stays last where it is so in memory, if it is long.
        """
        nodes = list(dict.fromkeys(one for step in steps for node in step.nodes() for one in below(node)))
        strides = dict.fromkeys(self.sizes, 0)
        views = [node for node in nodes if isinstance(node, View)]
        for view in sorted(views, key=lambda one: len(one.axes)):
            if isinstance(view.source, str):
                order = [axis for axis in self.sizes if axis[0] in view.axes]
                laid = self.space.laid(view, self.part, order)
                found = zip(order, laid.strides, strict=True)
                strides.update({axis: abs(stride) for axis, stride in found if stride and self.sizes[axis] > 1})
        memory = sorted(self.sizes, key=lambda axis: -strides[axis])
        whole = max((step.axes for step in steps), key=len)
        kept = {axis for view in views if view.axes < whole for axis in view.axes}
        kept |= {axis for step in steps for one in step.reductions for axis in one.axes}
        long = memory and memory[-1][0] in kept and self.sizes[memory[-1]] >= _SHORT
        last = memory[-1:] if long else []
        rest = memory[: len(memory) - len(last)]
        first = sorted((axis for axis in rest if axis[0] in kept), key=lambda axis: axis[0] != self.part.feature)
        return [*first, *(axis for axis in rest if axis[0] not in kept), *last]

    # ---- values ------------------------------------------------------------------------------------

    def shown(self, view: View) -> Array:
        """What a view shows of the part, on the axes of blocks; a reduction's result in longdouble."""
        if isinstance(view.source, Reduction):
            table = self.tables[view.source]
            return table.laid(table.value, view, self.part, self.order)
        if view not in self._shown:
            if isinstance(view.source, Constant):
                self._shown[view] = self.space.constant(view, view.source.array, self.part, self.order)
            else:
                self._shown[view] = self.space.laid(view, self.part, self.order)
        return self._shown[view]

    def output(self, name: str) -> Array:
        """An output's part, on the axes of blocks."""
        if name not in self._shown:
            self._shown[name] = self.space.output(name, self.part, self.order)
        return self._shown[name]

    def small(self, node: Node) -> Array:
        """A value for the whole part."""
        if node not in self._small:
            if isinstance(node, Number):
                self._small[node] = node.value
            elif isinstance(node, View):
                shown = self.shown(node)
                self._small[node] = shown if shown.dtype == np.longdouble else shown.astype(self.wide)
            elif isinstance(node, Apply):
                self._small[node] = node.function(*map(self.small, node.args), **dict(node.options))
        return self._small[node]


class _Block:
    """The values on one block: each is computed when it is asked for, and let go after its last use."""

    def __init__(self, of: Evaluation, ranges: dict[Axis, slice], uses: dict[Node, int]) -> None:
        self.of = of
        self.ranges = ranges
        self.uses = uses
        self.values: dict[Node, Array] = {}

    def cut(self, array: Array) -> Array:
        """The block of an array that is laid on the axes of blocks."""
        key = tuple(
            self.ranges[axis] if axis in self.ranges and size > 1 else slice(None)
            for axis, size in zip(self.of.order, array.shape, strict=True)
        )
        return array[key]

    def value(self, node: Node) -> Array:
        if node not in self.uses:
            whole = self.of.small(node)
            return self.cut(whole) if whole.ndim else whole
        if node not in self.values:
            self.values[node] = self.shown(node) if isinstance(node, View) else self.applied(node)
        return self.values[node]

    def used(self, *nodes: Node) -> None:
        """One use of each is over."""
        for node in nodes:
            if node in self.uses:
                self.uses[node] -= 1
                if not self.uses[node]:
                    self.of.pool.give(self.values.pop(node))

    def shown(self, node: View) -> Array:
        shown = self.cut(self.of.shown(node))
        if shown.dtype == np.longdouble:
            return shown
        value = self.of.pool.take(shown.shape)
        np.copyto(value, shown)
        return value

    def applied(self, node: Node) -> Array:
        assert isinstance(node, Apply)
        wide, take = self.of.wide, self.of.pool.take
        args = [self._number(self.value(one)) for one in node.args]
        full = [value for one, value in zip(node.args, args, strict=True) if one.axes == node.axes]
        shape = np.broadcast_shapes(*(value.shape for value in args))
        if not _fits(node, wide) or any(value.dtype not in (wide, np.bool_) for value in full):
            result = node.function(*args, **dict(node.options))
            self.used(*node.args)
        elif node.function is np.where:
            result = take(shape)
            np.copyto(result, args[2], casting="same_kind")
            np.copyto(result, args[1], casting="same_kind", where=args[0])
            self.used(*node.args)
        else:
            leading = [value.astype(wide, copy=False) for value in args]
            function = node.function
            if function is np.power and leading[1].ndim == 0 and leading[1] == 2:
                function, leading = np.square, leading[:1]
            self.used(*node.args)
            # What was used last may be overwritten: element by element that does no harm.
            result = function(*leading, out=take(shape))
            if function in (np.add, np.subtract):
                for number, (value, high) in enumerate(zip(args, leading, strict=True)):
                    if value.dtype != wide and value.ndim:
                        rest = _finite(value - high).astype(wide)
                        if rest.any():
                            (np.subtract if number and function is np.subtract else np.add)(result, rest, out=result)
        return result

    def _number(self, value: Array) -> Array:
        """A number in the precision of arrays, where that has all its digits: else all would be computed in its own."""
        narrow = value.astype(self.of.wide) if value.ndim == 0 else value
        return narrow if value.ndim == 0 and narrow == value else value

    def reduce(self, table: Table) -> None:
        one, take = table.reduction, self.of.pool.take
        terms = self.value(one.term)
        axis = tuple(number for number, (place, _) in enumerate(self.of.order) if place in one.axis)
        value = self.cut(table.value)
        if one.function is np.prod:
            value *= np.multiply.reduce(terms.astype(np.longdouble), axis, keepdims=True)
        elif one.function in (np.max, np.min):
            merge = np.maximum if one.function is np.max else np.minimum
            merge(value, merge.reduce(terms, axis, keepdims=True), out=value)
        else:
            centre = self.cut(table.centre)
            if np.isnan(centre).any():
                centre[...] = _centre(terms, axis)
            moved = terms
            if centre.any():
                moved = np.subtract(terms, centre.astype(self.of.wide), out=take(terms.shape))
            value += _added(moved, axis)
            if table.spread is not None:
                distances = np.abs(moved, out=take(moved.shape))
                total = self.cut(table.spread)
                total += _added(distances, axis)
                self.of.pool.give(distances)
            if moved is not terms:
                self.of.pool.give(moved)
        self.used(one.term)

    def compare(self, output: Output, differ: Callable[[Output, Places], None]) -> None:
        computed = self.cut(self.of.output(output.name))
        expected = self.value(output.node)
        wrong = expected.astype(computed.dtype) != computed
        self.used(output.node)
        if wrong.any():
            found = zip(self.of.order, np.nonzero(wrong), strict=True)
            starts = {axis: one.start for axis, one in self.ranges.items()}
            differ(output, {axis: place + starts.get(axis, 0) for axis, place in found})


def _within(node: Node, seen: dict[Any, None]) -> Iterator[Node]:
    """What a value is computed from, itself included, up to reductions."""
    if node not in seen:
        seen[node] = None
        if isinstance(node, Apply):
            for one in node.args:
                yield from _within(one, seen)
        yield node


def _fits(node: Apply, wide: Any) -> bool:
    """Does the function give numbers of the wide dtype for such numbers?"""
    if node.function is np.where:
        return True
    kind = np.dtype(wide).char
    types = getattr(node.function, "types", ())
    return not node.options and f"{kind * len(node.args)}->{kind}" in types


def _finite(array: Array) -> Array:
    return np.where(np.isfinite(array), array, 0.0)


def _blocks(sizes: Mapping[Axis, int]) -> Iterator[dict[Axis, slice]]:
    """Ranges along the axes, of BLOCK_ELEMENTS at most together: whole inner axes, a few of the next, one of others."""
    if 0 in sizes.values():
        # Reductions of nothing have a result.
        yield {axis: slice(0, size) for axis, size in sizes.items()}
        return
    room, steps = BLOCK_ELEMENTS, {}
    for axis, size in reversed(sizes.items()):
        steps[axis] = max(1, min(size, room))
        room //= size
    # As even as can be.
    steps = {axis: -(-sizes[axis] // -(-sizes[axis] // step)) for axis, step in steps.items()}
    ranges = [[slice(at, min(at + steps[axis], size)) for at in range(0, size, steps[axis])] for axis, size in sizes.items()]
    for chosen in product(*ranges):
        yield dict(zip(sizes, chosen, strict=True))


def _added(terms: Array, axis: tuple[int, ...]) -> Array:
    """The sums along some axes, which stay: in runs of NumPy's own, or rows by rows where what is kept comes last."""
    shape = terms.shape
    long = [number for number in axis if shape[number] > 1]
    if long and long == list(range(long[0], long[-1] + 1)) and terms.flags.c_contiguous and 0 not in shape:
        first, rows, last = (math.prod(one) for one in (shape[: long[0]], shape[long[0] : long[-1] + 1], shape[long[-1] + 1 :]))
        if last > 1:
            most = rows - rows % _ROWS
            blocks = terms.reshape(first, rows, last)
            sums = blocks[:, :most].reshape(first, -1, _ROWS * last).sum(axis=1).reshape(first, _ROWS, last).sum(axis=1)
            sums = sums + blocks[:, most:].sum(axis=1)
        else:
            sums = terms.reshape(first, rows).sum(axis=1)
        return sums.reshape([1 if number in axis else size for number, size in enumerate(shape)])
    return np.add.reduce(terms, axis, keepdims=True)


def _centre(terms: Array, axis: tuple[int, ...]) -> Array:
    """About the terms' mean where that is large against their spread, and nothing elsewhere.

    It has few digits, so that terms that are whole numbers, or few digits each, are still added without rounding.
    """
    count = math.prod(terms.shape[number] for number in axis)
    mean = _added(terms, axis) / max(count, 1)
    squares = _added(np.square(terms), axis) / max(count, 1)
    mantissa, exponent = np.frexp(_finite(mean))
    return np.where(np.square(mean) > 0.9 * squares, np.ldexp(np.rint(mantissa * 1024) / 1024, exponent), 0.0)
