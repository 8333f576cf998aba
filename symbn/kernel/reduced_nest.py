"""The loop nest for contiguous samples: one element of the kept indices after another.

All passes go over its samples while they are in cache. The vector lanes lie along the reduced indices,
through windows that are gathered where memory is not contiguous, so that this nest is right for any
strides: it is also the general nest.
"""

from __future__ import annotations

from typing import Any

from symbn.kernel.computations import Reduction
from symbn.kernel.expressions import loads
from symbn.kernel.groups import Group, Pass
from symbn.kernel.ir import Assign, Comment, Expr, For, Int, Let, Load, Local, Op, Stmt, Var, add, sub
from symbn.kernel.levels import Levels
from symbn.kernel.naming import Names
from symbn.kernel.nest import NestBuilder, block_bounds, blocks_of, labels, needed
from symbn.kernel.sharing import share
from symbn.kernel.summation import BLOCK, LANES, Slot, Slots, accumulate, finish, fold, merge
from symbn.kernel.windows import Windows
from symbn.kernel.workspaces import Workspaces

#: how many elements are written in one go
STRETCH = 2048


class ReducedNest(NestBuilder):
    """Builds the nest of one group."""

    def __init__(
        self, group: Group, levels: Levels, workspaces: Workspaces, names: Names, *, compensated: bool
    ) -> None:
        super().__init__(group, levels, workspaces, names, compensated=compensated)
        self.place, self.whole = names.fresh("q"), names.fresh("whole")
        self.slabs: dict[Load, str] = {}

    def build(self) -> list[Stmt]:
        return self.over_kept(self.body())

    def inside(self, outer: tuple[str, ...]) -> list[Stmt]:
        """The loops within one over some of the kept indices."""
        body = self.body()
        for level in reversed(self.levels.of(index for index in self.group.kept if index not in outer)):
            body = [For(level.name, Int(0), Var(level.extent), tuple(body))]
        return body

    def body(self) -> list[Stmt]:
        """What is done for one element of the kept indices."""
        body = self.values(0)
        for number, one in enumerate(self.group.passes, 1):
            body += self.visit(one)
            for reduction in one.reductions:
                body += finish(reduction, self.total(reduction), self.terms(one))
                body += [*self.keep(reduction.hi), *self.keep(reduction.lo)]
            body += self.values(number)
        return body

    def keep(self, name: str) -> list[Stmt]:
        """Leave a value for other groups, if one reads it."""
        if not self.workspaces.is_shared(name):
            return []
        return [Assign(self.workspaces.element(name, self.kept), Var(name))]

    def values(self, stage: int) -> list[Stmt]:
        """What is known of the kept element after a pass."""
        result: list[Stmt] = []
        for value in self.group.values:
            if value.stage == stage:
                result += [Comment(f"({value.equation})"), Let(value.name, self.levels.expand(value.expr))]
                result += self.keep(value.name)
        return [*result, *self.outputs(stage, self.levels.expand)]

    # ---- one pass --------------------------------------------------------------------------------

    def visit(self, one: Pass) -> list[Stmt]:
        result: list[Stmt] = []
        for reduction in one.reductions:
            result += [Local(part.array, (), start) for part, start in self.total(reduction).parts()]
        if one.reductions or one.crossing:
            result += needed(map(Var, one.needed), self.reduce_blocks(one))
        return [*result, *self.store_blocks(one)]

    def reduce_blocks(self, one: Pass) -> list[Stmt]:
        """The sums, block by block along all reduced levels."""
        entries = [*one.reductions, *one.crossing]
        bodies = [self.levels.expand(entry.body) for entry in entries]
        windows = self.windows(BLOCK, bodies)
        inner = windows.around(self.reduce_block(one, windows, bodies), lambda load: self.slab(load, one))
        return [For(self.block, Int(0), self.blocks_in(one), (*self.block_bounds(one), *inner))]

    def store_blocks(self, one: Pass) -> list[Stmt]:
        """What is written, in blocks that are longer than those of sums: most runs of memory are in one piece."""
        if not one.stores:
            return []
        values = [self.levels.expand(store.value) for store in one.stores]
        windows = self.windows(STRETCH, values)
        inner = windows.store(self.place, labels(one.stores), self.targets(one.stores), values)
        body = windows.around(inner, lambda load: self.slab(load, one))
        bounds = block_bounds(self.block, self.start, self.count, self.total_count, STRETCH)
        return [For(self.block, Int(0), blocks_of(self.total_count, STRETCH), (*bounds, *body))]

    def windows(self, capacity: int, exprs: list[Expr]) -> Windows:
        """Windows along the reduced levels on what some expressions read there."""
        result = Windows(self.reduced, self.start, self.count, capacity, self.names)
        result.look(exprs, self.reduced)
        return result

    def slab(self, load: Load, one: Pass) -> dict[str, Any]:
        """Where the elements that a pass reads are kept, for those that a later pass reads again."""

        def reads(one: Pass) -> bool:
            return any(load in loads(self.levels.expand(expr)) for expr in one.expressions())

        visits = [each for each in self.group.passes if not each.first and reads(each)]
        if one not in visits or len(visits) == 1:
            return {}
        last = self.levels.of(self.group.kept)[-1:]
        return {
            "slab": self.slabs.setdefault(load, self.names.stem(f"{load.array}_slab")),
            "fresh": one is visits[0],
            "next": last[0].name if last else "",
        }

    def reduce_block(self, one: Pass, windows: Windows, bodies: list[Expr]) -> list[Stmt]:
        slots = [(entry.hi, self.slots(entry)) for entry in one.reductions]
        parts = [part for _, slot in slots for part in slot(Int(0)).parts()]
        whole = sub(Var(self.count), Op("imod", (Var(self.count), Int(LANES))))
        entries = [*one.reductions, *one.crossing]

        def at(position: Expr) -> tuple[Stmt, ...]:
            lets, values = share([windows.at(position, body) for body in bodies], self.names.branch())
            inner: list[Stmt] = [Comment(labels(entries)), *lets]
            into = [slot(Var(self.lane)) for _, slot in slots]
            into += [self.across(entry, position) for entry in one.crossing]
            for entry, slot, value in zip(entries, into, values, strict=True):
                inner += accumulate(slot, value, entry.hi)
            return tuple(inner)

        lanes = For(self.lane, Int(0), Int(LANES), at(add(Var(self.place), Var(self.lane))), kind="simd")
        rest = sub(Var(self.count), Var(self.whole))
        return [
            *(Local(part.array, (LANES,), start) for part, start in parts),
            Let(self.whole, whole, "index"),
            For(self.place, Int(0), Var(self.whole), (lanes,), step=LANES),
            For(self.lane, Int(0), rest, at(add(Var(self.whole), Var(self.lane)))),
            *fold(slots, self.lane),
            *(
                statement
                for reduction, (stem, slot) in zip(one.reductions, slots, strict=True)
                for statement in merge(self.total(reduction), slot(Int(0)), stem)
            ),
        ]

    def across(self, reduction: Reduction, position: Expr) -> Slot:
        """The partial sum, at a position of the windows, of a reduction over the kept indices."""
        raise NotImplementedError(f"{reduction.hi} crosses a nest that goes over one element of the kept indices")

    def slots(self, reduction: Reduction) -> Slots:
        return lambda lane: self.lanes(reduction, (lane,))
