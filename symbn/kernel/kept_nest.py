"""The loop nest for contiguous features: tiles of the last kept index side by side in the vector lanes.

The samples are walked row by row, in blocks that threads share out; each block leaves its partial sums in
a workspace, and they are merged in order.
"""

from __future__ import annotations

from collections.abc import Callable

from symbn.kernel.computations import Reduction
from symbn.kernel.groups import Group, Pass
from symbn.kernel.ir import Assign, Comment, Expr, For, Int, Let, Load, Local, Op, Stmt, Var, Walk, add, mul, prod, sub
from symbn.kernel.levels import Levels, size, unflatten
from symbn.kernel.naming import Names
from symbn.kernel.nest import NestBuilder, assign, labels
from symbn.kernel.sharing import share
from symbn.kernel.summation import LANES, Slot, Slots, accumulate, finish, fold, merge, partial
from symbn.kernel.workspaces import Workspaces

#: features in one tile: with LANES partial sums each, what a first-level cache holds
TILE = 128


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
        #: values on the kept indices, which later loops read from workspaces
        self.value_names = frozenset({*group.parts()} | {value.name for value in group.values})

    def build(self) -> list[Stmt]:
        result = self.between(0)
        for number, one in enumerate(self.group.passes, 1):
            result += [self.over_tiles(self.visit(one)), *self.between(number)]
        return result

    # ---- between the passes ----------------------------------------------------------------------

    def between(self, number: int) -> list[Stmt]:
        """What is known of each kept element after a pass."""
        body: list[Stmt] = []
        local: set[str] = set()
        for reduction in self.group.passes[number - 1].reductions if number else ():
            body += self.merge_blocks(reduction)
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

    def merge_blocks(self, reduction: Reduction) -> list[Stmt]:
        total = self.total(reduction)
        one = For(self.block, Int(0), self.blocks, tuple(merge(total, self.partial(reduction), reduction.hi)))
        return [
            *(Local(part.array, (), start) for part, start in total.parts()),
            one,
            *finish(reduction, total, self.total_count),
        ]

    def partial(self, reduction: Reduction) -> Slot:
        """A block's partial sum, at the current block and place."""
        block = Var(self.block)
        high = self.workspaces.block_element(f"{reduction.hi}_blocks", block, self.blocks, self.kept)
        return partial(reduction, high)

    def keep(self, name: str, stage: int) -> list[Stmt]:
        """Leave a value for later loops, if one reads it."""
        later = [
            expr for number, one in enumerate(self.group.passes, 1) if number > stage for expr in one.expressions()
        ]
        later += [value.expr for value in self.group.values if value.stage > stage]
        later += [store.value for store in self.group.stores if store.stage > stage]
        if self.workspaces.is_shared(name) or any(_reads(expr, name) for expr in later):
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

    def over_tiles(self, body: list[Stmt]) -> Stmt:
        """Tasks for the threads: a tile of features in a block of samples, the tiles of a block side by side."""
        count = Op("idiv", (add(Var(self.vector.extent), Int(TILE - 1)), Int(TILE)))
        rest = Op("idiv", (Var(self.task), Var(self.tiles)))
        lets: list[Stmt] = [
            Let(self.tiles, count, "index"),
            Let(self.tile, Op("imod", (Var(self.task), Var(self.tiles))), "index"),
            Let(self.block, Op("imod", (rest, self.blocks)) if self.outer else rest, "index"),
            *unflatten(Op("idiv", (rest, self.blocks)), self.outer),
            *self.block_bounds(),
            Let(self.first, mul(Var(self.tile), Int(TILE)), "index"),
            Let(self.width, Op("imin", (Int(TILE), sub(Var(self.vector.extent), Var(self.first)))), "index"),
        ]
        return For(self.task, Int(0), prod([size(self.outer), self.blocks, count]), (*lets, *body), kind="parallel")

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
            return body + assign(self.targets(one.stores), values[len(slots) :], self.names.branch())

        lane = Let(self.lane, Op("imod", (Var(self.row), Int(LANES))), "index")
        rows = Walk(self.reduced, self.row, Var(self.start), Var(self.count), (lane, *self.over_features(row)))
        if not slots:
            return [rows]
        parts = [one for _, slot in slots for one in slot(Int(0), Int(0)).parts()]
        starts = self.over_features(
            lambda place: [Assign(Load(part.array, (Var(self.lane), place)), start) for part, start in parts]
        )
        return [
            *(Local(part.array, (LANES, TILE), None) for part, _ in parts),
            For(self.lane, Int(0), Int(LANES), tuple(starts)),
            rows,
            *fold(slots, self.lane, self.over_features),
            *self.over_features(lambda place: self.publish(one.reductions, slots, place)),
        ]

    def publish(self, reductions: tuple[Reduction, ...], slots: list[tuple[str, Slots]], place: Expr) -> list[Stmt]:
        """Leave the block's sums for the merge."""
        body: list[Stmt] = [self.feature()]
        for reduction, (_, slot) in zip(reductions, slots, strict=True):
            body.append(Assign(self.partial(reduction).high, slot(Int(0), place).high))
        return body

    def slots(self, reduction: Reduction) -> Slots:
        return lambda lane, place: self.lanes(reduction, (lane, place))


def _reads(expr: Expr, name: str) -> bool:
    if isinstance(expr, Var):
        return expr.name == name
    return isinstance(expr, Op) and any(_reads(arg, name) for arg in expr.args)
