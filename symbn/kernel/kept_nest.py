"""The loop nest for contiguous features: the last kept index lies along the vector lanes.

For sums the samples are walked row by row, a tile of features at a time, in blocks that threads share out; each block
leaves its partial sums in a workspace, and they are merged in order. Outputs are written in rounds of as many rows as
make a long run of memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from symbn.kernel.computations import Reduction
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
    Stmt,
    Var,
    mul,
    prod,
    sub,
)
from symbn.kernel.levels import Levels, size, unflatten
from symbn.kernel.naming import Names
from symbn.kernel.nest import block_bounds, blocks_of, labels, needed
from symbn.kernel.summation import Slot, Slots, finish, merge, partial
from symbn.kernel.tile_sums import PANEL, TILE, TileSums
from symbn.kernel.workspaces import Workspaces

#: how often what is known of a panel's features is used, where there are so many rows, and at least
ROUNDS, LEAST = 64, 8


class KeptNest(TileSums):
    """Builds the nest of one group."""

    def __init__(
        self, group: Group, levels: Levels, workspaces: Workspaces, names: Names, *, compensated: bool
    ) -> None:
        super().__init__(group, levels, workspaces, names, compensated=compensated)
        self.tile, self.tiles, self.again = names.fresh("tile"), names.fresh("tiles"), names.fresh("again")

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
        some = Op("imin", (rows, sub(self.total_count, Var(self.start))))
        lets = [
            Let(self.together, together, "index"),
            Let(self.start, mul(Var(self.block), rows), "index"),
            Let(self.count, some, "index"),
        ]
        return self.tasks(PANEL, blocks_of(self.total_count, rows), [*lets, *self.span(PANEL), *self.rows(one)])

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

    def publish(self, one: Pass, slots: list[tuple[str, Slots]]) -> list[Stmt]:
        """Leave the block's sums for the merge."""
        body: list[Stmt] = [self.feature()]
        for reduction, (_, slot) in zip(one.reductions, slots, strict=True):
            into = self.partial(reduction, self.blocks_in(one))
            body.append(Assign(into.high, slot(Var(self.place)).high))
        return body


def reads(expr: Expr, name: str) -> bool:
    """Does an expression read a value?"""
    if isinstance(expr, Var):
        return expr.name == name
    return isinstance(expr, Op) and any(reads(arg, name) for arg in expr.args)
