"""The reference evaluated fast: block by block, in memory that stays in cache, without error bounds.

A result that equals the reference's value, rounded, is right: no derived limit is below half a unit. So most
elements need no bound. The values are as good as a kernel's: the same operations, sums of no more terms one after
another than a kernel's, and what is reduced held in two parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from symbn.run.graph import Apply, Constant, Node, Number, Reduction, View, below
from symbn.run.rounding import finite
from symbn.run.space import EVERYTHING, Axis, Part, Space, placed

#: elements of one block: what a second-level cache holds of a dozen temporaries
BLOCK_ELEMENTS = 1 << 15
#: a value on few axes is worked out once for a whole part, up to so many elements
_SMALL = 1 << 14
#: positions along an axis that tell about where the terms of a sum lie
_SOME = 8
#: one in so many of the terms of a sum, if they are many, gives a lower bound of their magnitudes' sum
_PARTS, _MANY = 4, 512
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


@dataclass
class Pass:
    """Reductions and outputs on the same axes, evaluated in the same loop over blocks."""

    axes: frozenset[int]
    reductions: list[Reduction] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

    def nodes(self) -> list[Node]:
        return [*(one.term for one in self.reductions), *(one.node for one in self.outputs)]


def passes(outputs: Sequence[Output], reductions: Sequence[Reduction]) -> list[Pass]:
    """The loops over blocks, in order, that evaluate some outputs, and those of their reductions that are given."""
    depth: dict[Any, int] = {}
    found: dict[tuple[int, frozenset[int], frozenset[int]], Pass] = {}
    seen: dict[Any, None] = {}
    starts: list[Any] = [*(output.node for output in outputs), *reductions]
    for node in (one for start in starts for one in below(start, seen)):
        depth[node] = max((depth[one] for one in _sources(node)), default=0) + isinstance(node, Reduction)
        if isinstance(node, Reduction) and node in reductions:
            key = depth[node], node.term.axes, node.axis
            found.setdefault(key, Pass(node.term.axes)).reductions.append(node)
    steps = [found[key] for key in sorted(found, key=lambda key: key[0])]
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


class Program:
    """How some outputs are evaluated, for any part of a group: worked out once, run on block after block.

    ``reductions`` are those whose results are not there already; of ``magnitudes`` some terms' magnitudes are added up.
    """

    def __init__(
        self,
        space: Space,
        part: Part,
        outputs: Sequence[Output],
        reductions: Sequence[Reduction],
        wide: Any,
        magnitudes: frozenset[Reduction] = frozenset(),
    ) -> None:
        self.space = space
        self.wide = np.dtype(wide)
        self.magnitudes = magnitudes
        steps = passes(outputs, reductions)
        self.axes = frozenset().union(*(step.axes for step in steps))
        self.order = _order(space, part, steps)
        self.sizes = sizes = space.axes(part, self.axes)
        most = max(math.prod(size for axis, size in sizes.items() if axis[0] in step.axes) for step in steps)
        #: how many features a block holds where it holds whole ones
        self.features = BLOCK_ELEMENTS * max(part.count, 1) // max(most, 1) if part.feature is not None else 0
        # Where it does, what one pass has computed serves the next. It would have short rows of what lies side by side.
        once = most <= BLOCK_ELEMENTS or (self.features and self.order[-1][0] != part.feature)
        first = [step for step in steps if once and (step.reductions or _largest(step, steps))]
        rest = [step for step in steps if step not in first]
        self.stages = [_Stage(self, one, one is first) for one in [first, *([step] for step in rest)] if one]

    def run(
        self, part: Part, tables: dict[Any, Table], pool: Pool, differ: Callable[[Output, Places, Evaluation], None]
    ) -> None:
        """Evaluate a part; ``differ`` is told of elements of outputs that are not the rounded value."""
        of = Evaluation(self, part, tables, pool, differ)
        for stage in self.stages:
            for one in stage.reductions:
                tables[one] = self._table(one, of)
            stage.prepare(of)
            sizes = {axis: of.sizes[axis] for axis in self.order if axis[0] in stage.axes}
            for ranges in _blocks(sizes, (part.feature, self.features) if stage.together else None):
                stage.run(Block(of, ranges))
            if not stage.together:
                for one in stage.reductions:
                    tables[one].finish(lambda array: array)

    def _table(self, one: Reduction, of: Evaluation) -> Table:
        """A table to be filled: on the axes of blocks, of which it has length 1 where it does not vary."""
        sizes = of.sizes
        shape = [sizes[axis] if axis[0] in one.axes else 1 for axis in self.order]
        places = {axis: [self.order.index(own) for own in sizes if own[0] == axis] for axis in one.axes}
        count = math.prod(size for axis, size in sizes.items() if axis[0] in one.axis)
        start = {np.prod: 1.0, np.max: -np.inf, np.min: np.inf}.get(one.function, 0.0)
        value = np.full(shape, start, np.longdouble)
        centre = None
        if one.function in (np.sum, np.mean) and isinstance(one.term, View) and isinstance(one.term.source, str):
            # What is given may lie far from zero. What is computed has no digits to lose there.
            centre = _centre(of.shown(one.term), _numbers(self.order, one.axis), self.wide)
        some = np.zeros(shape) if one in self.magnitudes else None
        return Table(one, count, places, value, centre, some)


class Evaluation:
    """A part's arrays, on the axes of blocks."""

    def __init__(
        self,
        program: Program,
        part: Part,
        tables: dict[Any, Table],
        pool: Pool,
        differ: Callable[[Output, Places, Evaluation], None],
    ) -> None:
        self.space = program.space
        self.order = program.order
        self.part = part
        self.tables = tables
        self.pool = pool
        self.differ = differ
        self.sizes = program.space.axes(part, range(len(program.space.sizes)))
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


class _Stage:
    """Passes that are made together on each block, as a list of steps.

    ``together``: a block holds whole features; reductions are complete when it is left.
    """

    def __init__(self, program: Program, steps: Sequence[Pass], together: bool) -> None:
        self.wide = program.wide
        self.sizes = program.sizes
        self.together = together
        self.axes = frozenset().union(*(step.axes for step in steps))
        self.reductions = [one for step in steps for one in step.reductions]
        #: the axes of what is not on few
        self.all = {step.axes for step in steps if _largest(step, steps)}
        self.known: dict[Any, Node] = {}
        #: nodes on few axes that are computed for the whole part at once
        self.few: list[Node] = []
        #: nodes of which a second part matters
        self.parted = {
            one
            for step in steps
            for target in step.nodes()
            for node in below(target)
            if isinstance(node, Apply) and node.function in (np.add, np.subtract) and node.axes in self.all
            for one in node.args
        }
        self.steps: list[tuple[Callable[[Block], None], tuple[Node, ...]]] = []
        self.planned: set[Node] = set()
        for step in steps:
            for one in step.reductions:
                term = self._plan(one.term)
                self.steps.append((partial(_reduce, one, term, _numbers(program.order, one.axis)), (term,)))
                if together:
                    self.steps.append((partial(_finish, one), ()))
            for output in step.outputs:
                node = self._plan(output.node)
                self.steps.append((partial(_compare, output, node), (node,)))
        #: of nodes that are computed for the whole part those that steps read
        self.read = [node for node in self.few if any(node in nodes for _, nodes in self.steps)]
        last = {node: number for number, (_, nodes) in enumerate(self.steps) for node in nodes}
        #: with each step those whose last use it is
        self.program = [
            (step, [node for node in dict.fromkeys(nodes) if last[node] == number])
            for number, (step, nodes) in enumerate(self.steps)
        ]

    def prepare(self, of: Evaluation) -> None:
        """Compute what is on few axes for the whole part."""
        block = Block(of, {})
        for node in self.few:
            self._compute_few(node, block)
        of.few = block.few

    def run(self, block: Block) -> None:
        for node in self.read:
            block.few[node] = block.of.few[node].cut(block)
        for step, over in self.program:
            step(block)
            for node in over:
                if node in block.full:
                    block.pool.give(block.full.pop(node))

    def _plan(self, node: Node) -> Node:
        """Put the steps that compute a node into the list; what is computed may be another node of the same value."""
        node = self._scaled(node)
        for one in _within(node, self.planned):
            if isinstance(one, Number) or one.axes not in self.all:
                # Numbers, and what follows from complete reductions, are there before the first block.
                much = math.prod(size for axis, size in self.sizes.items() if axis[0] in one.axes) > _SMALL
                if (self.together or much) and not isinstance(one, Number):
                    self.steps.append((partial(self._compute_few, one), one.args if isinstance(one, Apply) else ()))
                else:
                    self.few.append(one)
            elif isinstance(one, Apply):
                step = _elementwise if _fits(one, self.wide) else _choice if one.function is np.where else _any
                self.steps.append((partial(step, one), one.args))
            else:
                self.steps.append((partial(_load, one), ()))
        return node

    def _compute_few(self, node: Node, block: Block) -> None:
        """A value on few axes: longdouble where it follows from what has been reduced."""
        if isinstance(node, Number):
            value = node.value
        elif isinstance(node, View):
            value = block.cut(block.of.shown(node))
            value = value if value.dtype == np.longdouble else value.astype(self.wide)
        else:
            assert isinstance(node, Apply)
            args = [block.few[one].value for one in node.args]
            value = np.asarray(node.function(*args, **dict(node.options)))
        high, low = value, None
        if value.dtype == np.longdouble:
            high = value.astype(self.wide)
            if node in self.parted:
                low = (value - high).astype(self.wide)
                low = finite(low) if low.any() else None
        block.few[node] = Few(value, high, low)

    def _scaled(self, node: Node) -> Node:
        """The node with factors and divisors on few axes collected: one multiplication on all axes, no division."""
        if node in self.known or not isinstance(node, Apply):
            return self.known.get(node, node)
        base, factor = self._factors(node) if node.axes in self.all else (node, None)
        if factor is not None:
            result: Node = _made(np.multiply, (self._scaled(base), factor))
        else:
            args = tuple(self._scaled(one) for one in node.args)
            result = node if args == node.args else Apply(node.axes, node.function, args, node.options, node.stem)
        self.known[node] = result
        return result

    def _factors(self, node: Node) -> tuple[Node, Node | None]:
        """A node as another on all axes and a factor on few."""
        if not isinstance(node, Apply) or node.function not in (np.multiply, np.divide):
            return node, None
        a, b = node.args
        if node.function is np.multiply and b.axes == node.axes:
            a, b = b, a
        if a.axes != node.axes or b.axes == node.axes:
            return node, None
        base, factor = self._factors(a)
        if factor is None:
            factor = b if node.function is np.multiply else _made(np.divide, (_ONE, b))
        elif factor.axes | b.axes != node.axes:
            factor = _made(node.function, (factor, b))
        else:
            base, factor = a, b if node.function is np.multiply else _made(np.divide, (_ONE, b))
        return base, factor


def _largest(step: Pass, steps: Sequence[Pass]) -> bool:
    return not any(step.axes < other.axes for other in steps)


_ONE = Number(frozenset(), np.asarray(1, np.longdouble))


def _made(function: Any, args: tuple[Node, ...]) -> Apply:
    return Apply(frozenset().union(*(one.axes for one in args)), function, args, (), object())


def _within(node: Node, seen: set[Node]) -> Iterator[Node]:
    """What a value is computed from, up to reductions, each once, itself last."""
    if node not in seen:
        seen.add(node)
        for one in node.args if isinstance(node, Apply) else ():
            yield from _within(one, seen)
        yield node


def _numbers(order: Sequence[Axis], axes: frozenset[int]) -> tuple[int, ...]:
    return tuple(number for number, (axis, _) in enumerate(order) if axis in axes)


# ---- steps -------------------------------------------------------------------------------------


def _load(node: Node, block: Block) -> None:
    assert isinstance(node, View)
    shown = block.cut(block.of.shown(node))
    if shown.dtype == np.longdouble:
        block.full[node] = shown
    else:
        block.full[node] = block.pool.take(shown.shape)
        np.copyto(block.full[node], shown)


def _elementwise(node: Apply, block: Block) -> None:
    """A function of arrays on all axes, and of others."""
    args = [block.narrow(one) for one in node.args]
    if any(one.dtype != block.pool.dtype for one in args):
        _any(node, block)
        return
    out = block.take(node.axes)
    if node.function is np.power and args[1].ndim == 0 and args[1] == 2:
        np.square(args[0], out=out)
    else:
        node.function(*args, out=out)
    if node.function in (np.add, np.subtract):
        for number, one in enumerate(node.args):
            low = None if one in block.full else block.few[one].low
            if low is not None:
                (np.subtract if number and node.function is np.subtract else np.add)(out, low, out=out)
    block.full[node] = out


def _choice(node: Apply, block: Block) -> None:
    condition, yes, no = (block.narrow(one) for one in node.args)
    out = block.take(node.axes)
    np.copyto(out, no, casting="same_kind")
    np.copyto(out, yes, casting="same_kind", where=condition)
    block.full[node] = out


def _any(node: Apply, block: Block) -> None:
    """Any other function; a number that the wide dtype holds is given in it, or all would be computed in its own."""
    args = [block.full[one] if one in block.full else block.few[one].exact for one in node.args]
    block.full[node] = node.function(*args, **dict(node.options))


def _reduce(one: Reduction, term: Node, axis: tuple[int, ...], block: Block) -> None:
    table, pool = block.of.tables[one], block.pool
    terms = block.full[term] if term in block.full else block.few[term].value
    value = block.cut(table.value)
    if one.function is np.prod:
        value *= np.multiply.reduce(terms.astype(np.longdouble), axis, keepdims=True)
    elif one.function in (np.max, np.min) and terms.size:
        merge = np.maximum if one.function is np.max else np.minimum
        merge(value, merge.reduce(terms, axis, keepdims=True), out=value)
    elif one.function in (np.sum, np.mean):
        if table.centre is None:
            value += _added(terms, axis)
        else:
            moved = np.subtract(terms, block.cut(table.centre), out=pool.take(terms.shape))
            value += _added(moved, axis)
            pool.give(moved)
        if table.centre is None and table.some is not None:
            some = terms
            if math.prod(terms.shape[number] for number in axis) >= _MANY:
                along = next((number for number in axis if terms.shape[number] >= _PARTS), axis[-1])
                first = slice(-(-terms.shape[along] // _PARTS))
                some = terms[tuple(first if number == along else slice(None) for number in range(terms.ndim))]
            total = block.cut(table.some)
            total += np.add.reduce(np.abs(some), axis, keepdims=True)


def _finish(one: Reduction, block: Block) -> None:
    block.of.tables[one].finish(block.cut)


def _compare(output: Output, node: Node, block: Block) -> None:
    computed = block.cut(block.of.output(output.name))
    expected = block.full[node] if node in block.full else block.few[node].value
    wrong = expected.astype(computed.dtype) != computed
    if wrong.any():
        found = zip(block.of.order, block.ranges, np.nonzero(wrong), strict=True)
        places = {
            axis: place if one is None or axis[0] not in output.axes else place + one.start
            for axis, one, place in found
        }
        block.of.differ(output, places, block.of)


def _fits(node: Apply, wide: Any) -> bool:
    """Does the function give numbers of the wide dtype for such numbers?"""
    kind = np.dtype(wide).char
    return not node.options and f"{kind * len(node.args)}->{kind}" in getattr(node.function, "types", ())


def _order(space: Space, part: Part, steps: Sequence[Pass]) -> list[Axis]:
    """The axes as a block has them: those that are kept first, the others as in memory, so that loops are long.

    What is side by side in memory stays last, if it is long.
    """
    sizes = space.axes(part, range(len(space.sizes)))
    nodes = list(dict.fromkeys(one for step in steps for node in step.nodes() for one in below(node)))
    strides = dict.fromkeys(sizes, 0)
    views = [node for node in nodes if isinstance(node, View)]
    for view in sorted(views, key=lambda one: len(one.axes)):
        if isinstance(view.source, str):
            order = [axis for axis in sizes if axis[0] in view.axes]
            found = zip(order, space.laid(view, part, order).strides, strict=True)
            strides.update({axis: abs(stride) for axis, stride in found if stride and sizes[axis] > 1})
    memory = sorted(sizes, key=lambda axis: -strides[axis])
    whole = max((step.axes for step in steps), key=len)
    kept = {axis for view in views if view.axes < whole for axis in view.axes}
    kept |= {axis for step in steps for one in step.reductions for axis in one.axes}
    least = min((stride for stride in strides.values() if stride), default=0)
    last = [axis for axis in memory if strides[axis] == least and sizes[axis] >= _SHORT]
    rest = [axis for axis in memory if axis not in last]
    first = sorted((axis for axis in rest if axis[0] in kept), key=lambda axis: axis[0] != part.feature)
    return [*first, *(axis for axis in rest if axis[0] not in kept), *last]


def _blocks(sizes: Mapping[Axis, int], features: tuple[int | None, int] | None) -> Iterator[dict[Axis, slice]]:
    """Ranges along the axes, of BLOCK_ELEMENTS at most together: whole inner axes, a few of the next, one of others.

    Or nothing is cut but one axis, the feature, into so many.
    """
    if 0 in sizes.values():
        # Reductions of nothing have a result.
        yield {axis: slice(0, size) for axis, size in sizes.items()}
        return
    if features is None:
        room, steps = BLOCK_ELEMENTS, {}
        for axis, size in reversed(list(sizes.items())):
            steps[axis] = max(1, min(size, room))
            room //= size
    else:
        steps = dict(sizes)
        steps.update({axis: max(1, min(sizes[axis], features[1])) for axis in sizes if axis[0] == features[0]})
    # As even as can be.
    steps = {axis: -(-sizes[axis] // -(-sizes[axis] // step)) for axis, step in steps.items()}
    starts = [range(0, size, steps[axis]) for axis, size in sizes.items()]
    ranges = [
        [slice(at, min(at + one.step, size)) for at in one] for one, size in zip(starts, sizes.values(), strict=True)
    ]
    for chosen in product(*ranges):
        yield dict(zip(sizes, chosen, strict=True))


def _added(terms: Array, axis: tuple[int, ...]) -> Array:
    """The sums along some axes, which stay: in runs of NumPy's own, or rows by rows where what is kept comes last."""
    shape = terms.shape
    long = [number for number in axis if shape[number] > 1]
    if long and long == list(range(long[0], long[-1] + 1)) and terms.flags.c_contiguous and 0 not in shape:
        parts = shape[: long[0]], shape[long[0] : long[-1] + 1], shape[long[-1] + 1 :]
        first, rows, last = map(math.prod, parts)
        if last > 1:
            most = rows - rows % _ROWS
            blocks = terms.reshape(first, rows, last)
            sums = blocks[:, :most].reshape(first, -1, _ROWS * last).sum(axis=1).reshape(first, _ROWS, last).sum(axis=1)
            sums = sums + blocks[:, most:].sum(axis=1)
        else:
            sums = terms.reshape(first, rows).sum(axis=1)
        return sums.reshape([1 if number in axis else size for number, size in enumerate(shape)])
    return np.add.reduce(terms, axis, keepdims=True)


def _centre(terms: Array, axis: tuple[int, ...], wide: Any) -> Array | None:
    """About the means of terms where they are large against the spread, and zero elsewhere; None where it is all zero.

    It is taken from some of the terms. It has few digits, so that terms that are whole numbers, or few digits each, are
    still added without rounding.
    """
    some = terms[tuple(slice(_SOME) if number in axis else slice(None) for number in range(terms.ndim))].astype(wide)
    count = max(math.prod(some.shape[number] for number in axis), 1)
    mean = finite(np.add.reduce(some, axis, keepdims=True) / count)
    squares = np.add.reduce(np.square(some), axis, keepdims=True) / count
    mantissa, exponent = np.frexp(mean)
    centre = np.where(np.square(mean) > 0.9 * squares, np.ldexp(np.rint(mantissa * 1024) / 1024, exponent), 0.0)
    return centre.astype(wide) if centre.any() else None
