"""The loop nest for contiguous features: tiles of the last kept index side by side in the vector lanes.

The samples are walked row by row, in blocks that threads share out; each block leaves its partial sums in
a workspace, and they are merged in order.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from symbn.kernel.computations import Reduction
from symbn.kernel.expressions import loads
from symbn.kernel.groups import Group, Pass
from symbn.kernel.ir import (
    Assign,
    Comment,
    Const,
    Expr,
    For,
    Int,
    Let,
    Load,
    Local,
    Op,
    Prefetch,
    Stmt,
    Var,
    Walk,
    Window,
    add,
    mul,
    prod,
    sub,
)
from symbn.kernel.levels import Levels, size, unflatten
from symbn.kernel.naming import Names
from symbn.kernel.nest import NestBuilder, assign, labels, needed
from symbn.kernel.sharing import share
from symbn.kernel.summation import LANES, Slot, Slots, accumulate, finish, fold, merge, partial
from symbn.kernel.workspaces import Workspaces

#: features in one tile: with LANES partial sums each, what a first-level cache holds
TILE = 128
#: features in a panel of tiles
PANEL = 2048
#: how many elements before they are read a row's elements are asked for
AHEAD = 1024
#: elements of one cache line
LINE = 16


class KeptNest(NestBuilder):
    """Builds the nest of one group."""

    def __init__(
        self, group: Group, levels: Levels, workspaces: Workspaces, names: Names, *, compensated: bool
    ) -> None:
        super().__init__(group, levels, workspaces, names, compensated=compensated)
        *outer, self.vector = self.kept
        self.outer = tuple(outer)
        self.place, self.row, self.task = names.fresh("j"), names.fresh("q"), names.fresh("task")
        self.first, self.width = names.fresh("first"), names.fresh("width")
        self.tile, self.tiles = names.fresh("tile"), names.fresh("tiles")
        self.stop, self.panel, self.panel_stop = names.fresh("stop"), names.fresh("panel"), names.fresh("panel_stop")
        self.again, self.ahead = names.fresh("again"), names.fresh("ahead")
        #: values on the kept indices, which later loops read from workspaces
        self.value_names = frozenset({*group.parts()} | {value.name for value in group.values})

    def build(self) -> list[Stmt]:
        result = self.between(0)
        for number, one in enumerate(self.group.passes, 1):
            result += [self.over_tiles(one), *self.between(number)]
        return result

    # ---- between the passes ----------------------------------------------------------------------

    def between(self, number: int) -> list[Stmt]:
        """What is known of each kept element after a pass."""
        body: list[Stmt] = []
        local: set[str] = set()
        done = self.group.passes[number - 1] if number else Pass((), ())
        for reduction in done.reductions:
            body += self.merge_blocks(reduction, done)
            parts = (reduction.hi, reduction.lo) if reduction.mean else (reduction.hi,)
            local.update(parts)
            for part in parts:
                body += self.keep(part, number)
        for value in self.group.values:
            if value.stage == number:
                expr = self.from_workspaces(value.expr, frozenset(local))
                body += [Comment(f"({value.equation})"), Let(value.name, expr)]
                local.add(value.name)
                body += self.keep(value.name, number)
        body += self.outputs(number, lambda value: self.from_workspaces(value, frozenset(local)))
        return self.over_kept(body) if body else []

    def merge_blocks(self, reduction: Reduction, done: Pass) -> list[Stmt]:
        total, blocks = self.total(reduction), self.blocks_in(done)
        one = For(self.block, Int(0), blocks, tuple(merge(total, self.partial(reduction, blocks), reduction.hi)))
        flags = [self.workspaces.element(name, self.kept) for name in done.needed]
        return [
            *(Local(part.array, (), start) for part, start in total.parts()),
            *needed(flags, [one]),
            *finish(reduction, total, self.terms(done)),
        ]

    def partial(self, reduction: Reduction, blocks: Expr) -> Slot:
        """A block's partial sum, at the current block and place."""
        block = Var(self.block)
        high = self.workspaces.block_element(f"{reduction.hi}_blocks", block, blocks, self.kept)
        return partial(reduction, high)

    def keep(self, name: str, stage: int) -> list[Stmt]:
        """Leave a value for later loops, if one reads it."""
        later = [
            expr for number, one in enumerate(self.group.passes, 1) if number > stage for expr in one.expressions()
        ]
        later += [value.expr for value in self.group.values if value.stage > stage]
        later += [store.value for store in self.group.stores if store.stage > stage]
        later += [Var(flag) for number, one in enumerate(self.group.passes, 1) if number > stage for flag in one.needed]
        if self.workspaces.is_shared(name) or any(reads(expr, name) for expr in later):
            return [Assign(self.workspaces.element(name, self.kept), Var(name))]
        return []

    def from_workspaces(self, expr: Expr, local: frozenset[str] = frozenset()) -> Expr:
        """The expression with the values of the kept indices read from where they were left."""
        if isinstance(expr, Var) and expr.name in self.value_names and expr.name not in local:
            return self.workspaces.element(expr.name, self.kept)
        if isinstance(expr, Op) and expr.name != "extent":
            return Op(expr.name, tuple(self.from_workspaces(arg, local) for arg in expr.args))
        return self.levels.expand(expr)

    # ---- one pass --------------------------------------------------------------------------------

    def over_tiles(self, one: Pass) -> Stmt:
        """Tasks for the threads: a tile of features in a block of samples, the tiles of a block side by side.

        A pass that sums goes down the rows tile by tile, with its sums in cache. One that only writes goes along the
        rows of a panel of many tiles, so that what it writes makes long runs.
        """
        blocks, body = self.blocks_in(one), self.where_needed(one, self.visit(one))
        span, first, stop = (TILE, self.first, self.stop) if one.reductions else (PANEL, self.panel, self.panel_stop)
        count = Op("idiv", (add(Var(self.vector.extent), Int(span - 1)), Int(span)))
        rest = Op("idiv", (Var(self.task), Var(self.tiles)))
        lets: list[Stmt] = [
            Let(self.tiles, count, "index"),
            Let(self.tile, Op("imod", (Var(self.task), Var(self.tiles))), "index"),
            Let(self.block, Op("imod", (rest, blocks)) if self.outer else rest, "index"),
            *unflatten(Op("idiv", (rest, blocks)), self.outer),
            *self.block_bounds(one),
            Let(first, mul(Var(self.tile), Int(span)), "index"),
            *self.bounds(first, stop, span, Var(self.vector.extent)),
        ]
        return For(self.task, Int(0), prod([size(self.outer), blocks, count]), (*lets, *body), kind="parallel")

    def bounds(self, first: str, stop: str, span: int, end: Expr) -> list[Stmt]:
        """Where a tile or panel of so many features stops, and a tile's width."""
        result: list[Stmt] = [Let(stop, Op("imin", (add(Var(first), Int(span)), end)), "index")]
        if first == self.first:
            result.append(Let(self.width, sub(Var(stop), Var(first)), "index"))
        return result

    def where_needed(self, one: Pass, body: list[Stmt]) -> list[Stmt]:
        """What is done for a tile: nothing where no feature of it needs the pass."""
        if not one.needed:
            return body
        found = Load(self.again, ())
        marks: list[Stmt] = [self.feature()]
        for name in one.needed:
            marks.append(Assign(found, Op("max", (found, self.workspaces.element(name, self.kept)))))
        look = For(self.place, Int(0), Var(self.width), tuple(marks))
        return [Local(self.again, (), Const(Fraction(0))), look, *needed([found], body)]

    def over_features(self, body: Callable[[Expr], list[Stmt]]) -> list[Stmt]:
        """The vector loop across one tile."""
        return [For(self.place, Int(0), Var(self.width), tuple(body(Var(self.place))), kind="simd")]

    def feature(self) -> Stmt:
        return Let(self.vector.name, add(Var(self.first), Var(self.place)), "index")

    def visit(self, one: Pass) -> list[Stmt]:
        slots = [(entry.hi, self.slots(entry)) for entry in one.reductions]

        def row(place: Expr) -> list[Stmt]:
            lets, values = share([self.from_workspaces(expr) for expr in one.expressions()], self.names.branch())
            body: list[Stmt] = [self.feature(), Comment(labels([*one.reductions, *one.stores])), *lets]
            for (stem, slot), value in zip(slots, values, strict=False):
                body += accumulate(slot(Var(self.lane), place), value, stem)
            targets = [Load(name, (place,)) for name in strips]
            return body + assign(targets, values[len(slots) :], self.names.branch())

        strips = [self.names.stem(f"{store.array}_strip") for store in one.stores]
        inside = [*self.prefetch(one), *self.written(one, strips, self.over_features(row))]
        if not slots:
            bounds = self.bounds(self.first, self.stop, TILE, Var(self.panel_stop))
            tiles = For(self.first, Var(self.panel), Var(self.panel_stop), (*bounds, *inside), step=TILE)
            return self.over_rows(sub(Var(self.panel_stop), Var(self.panel)), [tiles])
        lane = Let(self.lane, Op("imod", (Var(self.row), Int(LANES))), "index")
        rows = self.over_rows(Var(self.width), [lane, *inside])
        parts = [one for _, slot in slots for one in slot(Int(0), Int(0)).parts()]
        starts = self.over_features(
            lambda place: [Assign(Load(part.array, (Var(self.lane), place)), start) for part, start in parts]
        )
        return [
            *(Local(part.array, (LANES, TILE), None) for part, _ in parts),
            For(self.lane, Int(0), Int(LANES), tuple(starts)),
            *rows,
            *fold(slots, self.lane, self.over_features),
            *self.over_features(lambda place: self.publish(one, slots, place)),
        ]

    def over_rows(self, width: Expr, body: list[Stmt]) -> list[Stmt]:
        """The walk down a block's rows; ``ahead`` is how many rows on lies what is soon read, for rows so wide."""
        ahead = Op("idiv", (add(width, Int(AHEAD - 1)), width))
        return [
            Let(self.ahead, ahead, "index"),
            Walk(self.reduced, self.row, Var(self.start), Var(self.count), tuple(body)),
        ]

    def written(self, one: Pass, names: list[str], body: list[Stmt]) -> list[Stmt]:
        """What writes outputs does so through windows, which may bring it past the cache."""
        for name, store in zip(names, one.stores, strict=True):
            places = tuple(level.name for level in self.levels.of(store.indices))
            first, width = Var(self.first), Var(self.width)
            body = [Window(name, store.array, places, (self.vector,), first, width, TILE, True, tuple(body))]
        return body

    def prefetch(self, one: Pass) -> list[Stmt]:
        """Ask for the rows that are read some rows later: a tile of them is not one run of memory."""
        inner = self.reduced[-1].name
        hints: dict[Stmt, None] = {}
        for load in (load for expr in one.expressions() for load in loads(expr)):
            places = self.levels.subscripts(sub.name for sub in load.subscripts if isinstance(sub, Var))
            if Var(inner) in places and Var(self.vector.name) in places:
                ahead = [add(place, Var(self.ahead)) if place == Var(inner) else place for place in places]
                hints[Prefetch(Load(load.array, tuple(ahead)))] = None
        return [For(self.place, Int(0), Var(self.width), (self.feature(), *hints), step=LINE)] if hints else []

    def publish(self, one: Pass, slots: list[tuple[str, Slots]], place: Expr) -> list[Stmt]:
        """Leave the block's sums for the merge."""
        body: list[Stmt] = [self.feature()]
        for reduction, (_, slot) in zip(one.reductions, slots, strict=True):
            into = self.partial(reduction, self.blocks_in(one))
            body.append(Assign(into.high, slot(Int(0), place).high))
        return body

    def slots(self, reduction: Reduction) -> Slots:
        return lambda lane, place: self.lanes(reduction, (lane, place))


def reads(expr: Expr, name: str) -> bool:
    """Does an expression read a value?"""
    if isinstance(expr, Var):
        return expr.name == name
    return isinstance(expr, Op) and any(reads(arg, name) for arg in expr.args)
