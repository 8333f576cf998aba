"""A block's sums for a tile of features that lie side by side in memory: lanes of rows, whose sums stay in cache.

Rows are added one by one, or, where they have few features, as long runs of memory, many rows in each.
"""

from __future__ import annotations

from collections.abc import Callable

from symbn.kernel.computations import Reduction
from symbn.kernel.expressions import loads
from symbn.kernel.groups import Group, Pass
from symbn.kernel.ir import (
    Assign,
    Comment,
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
    sub,
)
from symbn.kernel.levels import Levels
from symbn.kernel.naming import Names
from symbn.kernel.nest import NestBuilder, blocks_of, labels
from symbn.kernel.sharing import share
from symbn.kernel.summation import HALVES, LANES, Slots, accumulate, merge
from symbn.kernel.windows import Windows
from symbn.kernel.workspaces import Workspaces

#: features in one tile: with LANES partial sums each, what a first-level cache holds
TILE = 128
#: features in a panel, or in the rows of one round
PANEL = 1024
#: rows of no more features are added in long runs
NARROW = PANEL // LANES - 1
#: how many elements before they are read a row's elements are asked for
AHEAD = 1024
#: elements of one cache line
LINE = 16


class TileSums(NestBuilder):
    """What the nests for contiguous features have in common: the loops across features, and down their rows."""

    def __init__(
        self, group: Group, levels: Levels, workspaces: Workspaces, names: Names, *, compensated: bool
    ) -> None:
        super().__init__(group, levels, workspaces, names, compensated=compensated)
        *outer, self.vector = self.kept
        self.outer = tuple(outer)
        self.place, self.row, self.task = names.fresh("j"), names.fresh("q"), names.fresh("task")
        self.first, self.width = names.fresh("first"), names.fresh("width")
        self.together, self.position, self.length = names.fresh("together"), names.fresh("at"), names.fresh("length")
        self.ahead, self.run, self.number = names.fresh("ahead"), names.fresh("run"), names.fresh("number")
        #: values on the kept indices, which later loops read from their homes
        self.value_names = frozenset({*group.parts()} | {value.name for value in group.values})

    def home(self, name: str) -> Load:
        """Where later loops find a value at the current place."""
        raise NotImplementedError

    def publish(self, one: Pass, slots: list[tuple[str, Slots]]) -> list[Stmt]:
        """What is done with a block's sums, at the current place."""
        raise NotImplementedError

    def from_workspaces(
        self, expr: Expr, local: frozenset[str] = frozenset(), home: Callable[[str], Load] | None = None
    ) -> Expr:
        """The expression with the values of the kept indices read from where they were left."""
        if isinstance(expr, Var) and expr.name in self.value_names and expr.name not in local:
            return (home or self.home)(expr.name)
        if isinstance(expr, Op) and expr.name != "extent":
            return Op(expr.name, tuple(self.from_workspaces(arg, local, home) for arg in expr.args))
        return self.levels.expand(expr)

    def side_by_side(self, count: Expr, body: list[Stmt]) -> Stmt:
        """The vector loop over so many elements."""
        return For(self.place, Int(0), count, tuple(body), kind="simd")

    def over_features(self, body: list[Stmt]) -> Stmt:
        """The vector loop across one tile."""
        return self.side_by_side(Var(self.width), body)

    def feature(self) -> Stmt:
        return Let(self.vector.name, add(Var(self.first), Var(self.place)), "index")

    # ---- a block ---------------------------------------------------------------------------------

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
            self.over_features(self.publish(one, slots)),
        ]

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
        row = [Let(self.lane, lane, "index"), *self.prefetch(bodies), self.over_features(inner)]
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
        body: list[Stmt] = [
            Let(self.run, mul(Var(self.number), lanes), "index"),
            For(self.place, Int(0), count, tuple(windows.hints(at, Int(AHEAD))), step=LINE),
            self.side_by_side(count, inner),
        ]
        fill = Op("idiv", (Int(PANEL // LANES), Op("imax", (Int(1), Var(self.vector.extent)))))
        return [
            Let(self.together, mul(Int(LANES), fill), "index"),
            *self.hold(held, Int(LANES)),
            self.rounds(windows.around([For(self.number, Int(0), blocks_of(Var(self.length), lanes), tuple(body))])),
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

    def slots(self, reduction: Reduction) -> Slots:
        return lambda place: self.lanes(reduction, (place,))

    # ---- rows as runs of memory ------------------------------------------------------------------

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
        return For(self.row, Int(0), blocks_of(Var(self.count), together), (*lets, *body))

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
        if not held:
            return []
        position = add(mul(Var(self.lane), Var(self.width)), Var(self.place))
        fill = [self.feature(), *(Assign(Load(name, (position,)), load) for load, name in held.items())]
        return [
            *(Local(name, (PANEL,), None) for name in held.values()),
            For(self.lane, Int(0), Op("imin", (rows, Var(self.count))), (self.over_features(fill),)),
        ]
