"""The loop nest for contiguous features: the last kept index lies along the vector lanes.

For sums the samples are walked row by row, a tile of features at a time, in blocks that threads share out; each block
leaves its partial sums in a workspace, and they are merged in order. Outputs are written in rounds of as many rows as
make a long run of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    If,
    Int,
    Let,
    Load,
    Local,
    Op,
    Prefetch,
    Stmt,
    Var,
    Walk,
    add,
    mul,
    prod,
    sub,
)
from symbn.kernel.levels import Levels, size, unflatten
from symbn.kernel.naming import Names
from symbn.kernel.nest import NestBuilder, block_bounds, blocks_of, labels, needed
from symbn.kernel.sharing import share
from symbn.kernel.summation import HALVES, LANES, Slot, Slots, accumulate, finish, merge, partial
from symbn.kernel.windows import Windows
from symbn.kernel.workspaces import Workspaces

#: features in one tile: with LANES partial sums each, what a first-level cache holds
TILE = 128
#: features in a panel, or in the rows of one round
PANEL = 1024
#: rows of no more features are added in long runs
NARROW = PANEL // LANES - 1
#: how often what is known of a panel's features is used, where there are so many rows, and at least
ROUNDS, LEAST = 64, 8
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
        self.together, self.position, self.length = names.fresh("together"), names.fresh("at"), names.fresh("length")
        self.again, self.ahead = names.fresh("again"), names.fresh("ahead")
        self.run, self.number = names.fresh("run"), names.fresh("number")
        #: values on the kept indices, which later loops read from workspaces
        self.value_names = frozenset({*group.parts()} | {value.name for value in group.values})

    def build(self) -> list[Stmt]:
        result = self.between(0)
        for number, one in enumerate(self.group.passes, 1):
            if one.reductions:
                result.append(self.over_tiles(one))
            if one.stores:
                result.append(self.over_panels(one))
            result += self.between(number)
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
        flags = [self.home(name) for name in done.needed]
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

    def home(self, name: str) -> Load:
        """Where later loops find a value at the current place."""
        return self.workspaces.element(name, self.kept)

    def keep(self, name: str, stage: int) -> list[Stmt]:
        """Leave a value for later loops, if one reads it."""
        later = any(reads(expr, name) for expr in (*self.summed_after(stage), *self.written()))
        return [Assign(self.home(name), Var(name))] if later or self.workspaces.is_shared(name) else []

    def summed_after(self, stage: int) -> Iterator[Expr]:
        """What is computed after a pass, but for the outputs on the reduced indices."""
        for number, one in enumerate(self.group.passes, 1):
            if number > stage:
                yield from (entry.body for entry in (*one.reductions, *one.crossing))
                yield from map(Var, one.needed)
        yield from (value.expr for value in self.group.values if value.stage > stage)
        yield from (store.value for store in self.group.stores if store.stage > stage)

    def written(self) -> Iterator[Expr]:
        """The outputs on the reduced indices: they are in the last pass."""
        return (store.value for one in self.group.passes for store in one.stores)

    def from_workspaces(
        self, expr: Expr, local: frozenset[str] = frozenset(), home: Callable[[str], Load] | None = None
    ) -> Expr:
        """The expression with the values of the kept indices read from where they were left."""
        if isinstance(expr, Var) and expr.name in self.value_names and expr.name not in local:
            return (home or self.home)(expr.name)
        if isinstance(expr, Op) and expr.name != "extent":
            return Op(expr.name, tuple(self.from_workspaces(arg, local, home) for arg in expr.args))
        return self.levels.expand(expr)

    # ---- one pass --------------------------------------------------------------------------------

    def over_tiles(self, one: Pass) -> Stmt:
        """The sums. A task for a thread is a tile of features in a block of samples, the tiles of a block in turn."""
        body = self.where_needed(one, self.sums(one))
        return self.tasks(TILE, self.blocks_in(one), [*self.block_bounds(one), *self.span(TILE), *body])

    def over_panels(self, one: Pass) -> Stmt:
        """What is written. A task for a thread is a panel of features in some rounds of as many rows as fill it."""
        fill = Op("idiv", (Int(PANEL), Op("imax", (Int(1), Var(self.vector.extent)))))
        together = Op("imax", (Int(1), Op("imin", (fill, Op("idiv", (self.total_count, Int(LEAST)))))))
        rows = mul(Int(ROUNDS), together)
        tasks = Op("idiv", (sub(add(self.total_count, rows), Int(1)), rows))
        some = Op("imin", (rows, sub(self.total_count, Var(self.start))))
        lets = [
            Let(self.together, together, "index"),
            Let(self.start, mul(Var(self.block), rows), "index"),
            Let(self.count, some, "index"),
        ]
        return self.tasks(PANEL, tasks, [*lets, *self.span(PANEL), *self.rows(one)])

    def tasks(self, span: int, blocks: Expr, body: list[Stmt]) -> Stmt:
        """The loop over blocks of samples and, within one, over spans of so many features."""
        count = blocks_of(Var(self.vector.extent), span)
        rest = Op("idiv", (Var(self.task), Var(self.tiles)))
        lets: list[Stmt] = [
            Let(self.tiles, count, "index"),
            Let(self.tile, Op("imod", (Var(self.task), Var(self.tiles))), "index"),
            Let(self.block, Op("imod", (rest, blocks)) if self.outer else rest, "index"),
            *unflatten(Op("idiv", (rest, blocks)), self.outer),
        ]
        return For(self.task, Int(0), prod([size(self.outer), blocks, count]), (*lets, *body), kind="parallel")

    def span(self, span: int) -> list[Stmt]:
        """The first of a span of so many features, and how many it has."""
        return block_bounds(self.tile, self.first, self.width, Var(self.vector.extent), span)

    def rows(self, one: Pass) -> list[Stmt]:
        """A panel's outputs, round by round: long runs of memory, with what is known of features beside."""
        values = [self.from_workspaces(store.value) for store in one.stores]
        held = self.held(values)
        windows = self.round_of_rows(held)
        windows.look(values, self.reduced)
        inner = windows.store(self.place, labels(one.stores), self.targets(one.stores), values)
        return [*self.hold(held, Var(self.together)), self.rounds(windows.around(inner))]

    def round_of_rows(self, held: dict[Load, str]) -> Windows:
        """A round's rows as one run of memory."""
        along = (*self.reduced, self.vector)
        return Windows(along, self.position, self.length, PANEL, self.names.branch(), held)

    def rounds(self, body: list[Stmt]) -> Stmt:
        """The loop over rounds of some rows together."""
        together, row = Var(self.together), mul(Var(self.row), Var(self.together))
        first = add(mul(add(Var(self.start), row), Var(self.vector.extent)), Var(self.first))
        rows = Op("imin", (together, sub(Var(self.count), row)))
        lets = [Let(self.position, first, "index"), Let(self.length, mul(rows, Var(self.width)), "index")]
        count = Op("idiv", (sub(add(Var(self.count), together), Int(1)), together))
        return For(self.row, Int(0), count, (*lets, *body))

    def held(self, exprs: list[Expr]) -> dict[Load, str]:
        """The local arrays for what some expressions read that is the same for all samples."""
        return {load: self.names.stem(f"{load.array}_held") for expr in exprs for load in self.known(expr)}

    def known(self, expr: Expr) -> list[Load]:
        """What an expression reads that is the same for all samples, and another for each feature."""
        inner = {level.name for level in self.reduced}
        places = {load: {sub.name for sub in load.subscripts if isinstance(sub, Var)} for load in loads(expr)}
        return [load for load, own in places.items() if self.vector.name in own and not own & inner]

    def hold(self, held: dict[Load, str], rows: Expr) -> list[Stmt]:
        """Bring elements of a panel's features together, for as many rows of them or as there are."""
        position = add(mul(Var(self.lane), Var(self.width)), Var(self.place))
        fill = [self.feature(), *(Assign(Load(name, (position,)), load) for load, name in held.items())]
        if not held:
            return []
        return [
            *(Local(name, (PANEL,), None) for name in held.values()),
            For(self.lane, Int(0), Op("imin", (rows, Var(self.count))), tuple(self.over_features(lambda _: fill))),
        ]

    def where_needed(self, one: Pass, body: list[Stmt]) -> list[Stmt]:
        """What is done for a tile: nothing where no feature of it needs the pass."""
        if not one.needed:
            return body
        found = Load(self.again, ())
        marks: list[Stmt] = [self.feature()]
        for name in one.needed:
            marks.append(Assign(found, Op("max", (found, self.home(name)))))
        look = For(self.place, Int(0), Var(self.width), tuple(marks))
        return [Local(self.again, (), Const(Fraction(0))), look, *needed([found], body)]

    def over_features(self, body: Callable[[Expr], list[Stmt]]) -> list[Stmt]:
        """The vector loop across one tile."""
        return [For(self.place, Int(0), Var(self.width), tuple(body(Var(self.place))), kind="simd")]

    def feature(self) -> Stmt:
        return Let(self.vector.name, add(Var(self.first), Var(self.place)), "index")

    def sums(self, one: Pass) -> list[Stmt]:
        """A block's sums, with the lanes' sums in cache: a lane's features side by side, lane after lane."""
        slots = [(entry.hi, self.slots(entry)) for entry in one.reductions]
        parts = [part for _, slot in slots for part in slot(Var(self.place)).parts()]
        lanes = mul(Op("imin", (Int(LANES), Var(self.count))), Var(self.width))
        return [
            *(Local(part.array, (LANES * TILE,), None) for part, _ in parts),
            self.side_by_side(lanes, [Assign(part, start) for part, start in parts]),
            *self.accumulated(one, slots),
            *self.folded(slots),
            *self.over_features(lambda place: self.publish(one, slots, place)),
        ]

    def side_by_side(self, count: Expr, body: list[Stmt]) -> Stmt:
        """The vector loop over so many elements."""
        return For(self.place, Int(0), count, tuple(body), kind="simd")

    def accumulated(self, one: Pass, slots: list[tuple[str, Slots]]) -> list[Stmt]:
        """A block's terms added to the lanes."""
        features = Var(self.vector.extent), Int(NARROW)
        return [
            If(Op("ile", features), tuple(self.in_runs(one, slots))),
            If(Op("igt", features), tuple(self.row_by_row(one, slots))),
        ]

    def row_by_row(self, one: Pass, slots: list[tuple[str, Slots]]) -> list[Stmt]:
        """Down the rows of a tile."""
        bodies = [self.from_workspaces(entry.body) for entry in one.reductions]
        lane = mul(Op("imod", (Var(self.row), Int(LANES))), Var(self.width))
        inner = [self.feature(), *self.added(one, slots, bodies, add(Var(self.lane), Var(self.place)))]
        row = [Let(self.lane, lane, "index"), *self.prefetch(bodies), self.side_by_side(Var(self.width), inner)]
        return [
            Let(self.ahead, Op("idiv", (add(Var(self.width), Int(AHEAD - 1)), Var(self.width))), "index"),
            Walk(self.reduced, self.row, Var(self.start), Var(self.count), tuple(row)),
        ]

    def in_runs(self, one: Pass, slots: list[tuple[str, Slots]]) -> list[Stmt]:
        """Rows of few features, as long runs of memory: as many as there are lanes are added at a time."""
        bodies = [self.from_workspaces(entry.body) for entry in one.reductions]
        held = self.held(bodies)
        windows = self.round_of_rows(held)
        windows.look(bodies, self.reduced)
        lanes = mul(Int(LANES), Var(self.width))
        place = Var(self.place)
        at = add(Var(self.run), place)
        count = Op("imin", (lanes, sub(Var(self.length), Var(self.run))))
        inner = self.added(one, slots, [windows.at(at, body, place) for body in bodies], place)
        runs = Op("idiv", (sub(add(Var(self.length), lanes), Int(1)), lanes))
        body: list[Stmt] = [
            Let(self.run, mul(Var(self.number), lanes), "index"),
            For(self.place, Int(0), count, tuple(windows.hints(at, Int(AHEAD))), step=LINE),
            self.side_by_side(count, inner),
        ]
        fill = Op("idiv", (Int(PANEL // LANES), Op("imax", (Int(1), Var(self.vector.extent)))))
        return [
            Let(self.together, mul(Int(LANES), fill), "index"),
            *self.hold(held, Int(LANES)),
            self.rounds(windows.around([For(self.number, Int(0), runs, tuple(body))])),
        ]

    def added(self, one: Pass, slots: list[tuple[str, Slots]], bodies: list[Expr], into: Expr) -> list[Stmt]:
        """Terms added to their sums."""
        lets, values = share(bodies, self.names.branch())
        body: list[Stmt] = [Comment(labels(one.reductions)), *lets]
        for (stem, slot), value in zip(slots, values, strict=True):
            body += accumulate(slot(into), value, stem)
        return body

    def folded(self, slots: list[tuple[str, Slots]]) -> list[Stmt]:
        """The lanes, as many as there are, combined pairwise."""
        result = []
        for half in HALVES:
            lanes = Op("imin", (Int(half), sub(Var(self.count), Int(half))))
            upper = add(Var(self.place), mul(Int(half), Var(self.width)))
            merged = [one for stem, slot in slots for one in merge(slot(Var(self.place)), slot(upper), stem)]
            result.append(self.side_by_side(mul(lanes, Var(self.width)), merged))
        return result

    def prefetch(self, exprs: list[Expr]) -> list[Stmt]:
        """Ask for the rows that are read some rows later: a tile of them is not one run of memory."""
        inner = Var(self.reduced[-1].name)
        hints: dict[Stmt, None] = {}
        for load in (load for expr in exprs for load in loads(expr)):
            if inner in load.subscripts and Var(self.vector.name) in load.subscripts:
                ahead = [add(place, Var(self.ahead)) if place == inner else place for place in load.subscripts]
                hints[Prefetch(Load(load.array, tuple(ahead)))] = None
        return [For(self.place, Int(0), Var(self.width), (self.feature(), *hints), step=LINE)] if hints else []

    def publish(self, one: Pass, slots: list[tuple[str, Slots]], place: Expr) -> list[Stmt]:
        """Leave the block's sums for the merge."""
        body: list[Stmt] = [self.feature()]
        for reduction, (_, slot) in zip(one.reductions, slots, strict=True):
            into = self.partial(reduction, self.blocks_in(one))
            body.append(Assign(into.high, slot(place).high))
        return body

    def slots(self, reduction: Reduction) -> Slots:
        return lambda place: self.lanes(reduction, (place,))


def reads(expr: Expr, name: str) -> bool:
    """Does an expression read a value?"""
    if isinstance(expr, Var):
        return expr.name == name
    return isinstance(expr, Op) and any(reads(arg, name) for arg in expr.args)
