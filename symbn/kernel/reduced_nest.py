"""The loop nest for contiguous samples: one element of the kept indices after another.

All passes go over its samples while they are in cache. The vector lanes lie along the reduced indices,
through windows that are gathered where memory is not contiguous, so that this nest is right for any
strides: it is also the general nest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from symbn.kernel.computations import Reduction
from symbn.kernel.expressions import indices_of, loads
from symbn.kernel.groups import Group, Pass, Store
from symbn.kernel.ir import Assign, Comment, Expr, For, Int, Let, Load, Local, Op, Stmt, Var, Window, add, sub
from symbn.kernel.levels import Levels
from symbn.kernel.naming import Names
from symbn.kernel.nest import NestBuilder, assign, labels, needed
from symbn.kernel.sharing import share
from symbn.kernel.summation import BLOCK, LANES, Slot, Slots, accumulate, finish, fold, merge
from symbn.kernel.workspaces import Workspaces


class ReducedNest(NestBuilder):
    """Builds the nest of one group."""

    def __init__(
        self, group: Group, levels: Levels, workspaces: Workspaces, names: Names, *, compensated: bool
    ) -> None:
        super().__init__(group, levels, workspaces, names, compensated=compensated)
        self.place, self.whole = names.fresh("q"), names.fresh("whole")
        self.windows: dict[Load, str] = {}
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
        self.windows = {}
        for expr in one.expressions():
            for load in loads(expr):
                if indices_of(load) & set(self.group.reduced) and load not in self.windows:
                    self.windows[load] = self.names.stem(f"{load.array}_row")
        inner = [*self.reduce_block(one), *self.store_block(one.stores)]
        for load, name in reversed(self.windows.items()):
            indices = tuple(sub.name for sub in load.subscripts if isinstance(sub, Var))
            window = self.window(name, load.array, indices, inner, written=False)
            inner = [replace(window, **self.slab(load, one))]
        blocks = For(self.block, Int(0), self.blocks_in(one), (*self.block_bounds(one), *inner))
        return [*result, *needed(map(Var, one.needed), [blocks])]

    def window(self, name: str, array: str, indices: tuple[str, ...], body: list[Stmt], *, written: bool) -> Window:
        """The array along the reduced levels, its other subscripts fixed."""
        return Window(
            name,
            array,
            tuple(level.name for level in self.levels.of(indices)),
            self.reduced,
            Var(self.start),
            Var(self.count),
            BLOCK,
            written,
            tuple(body),
        )

    def slab(self, load: Load, one: Pass) -> dict[str, Any]:
        """Where the elements that a pass reads are kept, for those that a later pass reads again."""
        visits = [
            each for each in self.group.passes if not each.first and any(load in loads(e) for e in each.expressions())
        ]
        if one not in visits or len(visits) == 1:
            return {}
        last = self.levels.of(self.group.kept)[-1:]
        return {
            "slab": self.slabs.setdefault(load, self.names.stem(f"{load.array}_slab")),
            "fresh": one is visits[0],
            "next": last[0].name if last else "",
        }

    def at(self, position: Expr, expr: Expr) -> Expr:
        """The expression at one position of the windows."""
        if isinstance(expr, Load) and expr in self.windows:
            return Load(self.windows[expr], (position,))
        if isinstance(expr, Op) and expr.name != "extent":
            return Op(expr.name, tuple(self.at(position, arg) for arg in expr.args))
        return self.levels.expand(expr)

    def store_block(self, stores: tuple[Store, ...]) -> list[Stmt]:
        if not stores:
            return []
        rows = [self.names.stem(f"{store.array}_row") for store in stores]
        lets, values = share([self.at(Var(self.place), store.value) for store in stores], self.names)
        inner: list[Stmt] = [Comment(labels(stores)), *lets]
        targets = [Load(row, (Var(self.place),)) for row in rows]
        inner += assign(targets, values, self.names.branch())
        body: list[Stmt] = [For(self.place, Int(0), Var(self.count), tuple(inner), kind="simd")]
        for row, store in zip(rows, stores, strict=True):
            body = [self.window(row, store.array, store.indices, body, written=True)]
        return body

    def reduce_block(self, one: Pass) -> list[Stmt]:
        if not one.reductions:
            return []
        slots = [(entry.hi, self.slots(entry)) for entry in one.reductions]
        parts = [part for _, slot in slots for part in slot(Int(0), Int(0)).parts()]
        whole = sub(Var(self.count), Op("imod", (Var(self.count), Int(LANES))))
        entries = [*one.reductions, *one.crossing]

        def body(position: Expr) -> tuple[Stmt, ...]:
            lets, values = share([self.at(position, entry.body) for entry in entries], self.names.branch())
            inner: list[Stmt] = [Comment(labels(entries)), *lets]
            into = [slot(Var(self.lane), Int(0)) for _, slot in slots]
            into += [self.across(entry, position) for entry in one.crossing]
            for entry, slot, value in zip(entries, into, values, strict=True):
                inner += accumulate(slot, value, entry.hi)
            return tuple(inner)

        lanes = For(self.lane, Int(0), Int(LANES), body(add(Var(self.place), Var(self.lane))), kind="simd")
        rest = sub(Var(self.count), Var(self.whole))
        return [
            *(Local(part.array, (LANES,), start) for part, start in parts),
            Let(self.whole, whole, "index"),
            For(self.place, Int(0), Var(self.whole), (lanes,), step=LANES),
            For(self.lane, Int(0), rest, body(add(Var(self.whole), Var(self.lane)))),
            *fold(slots, self.lane, lambda body: body(Int(0))),
            *(
                statement
                for reduction, (stem, slot) in zip(one.reductions, slots, strict=True)
                for statement in merge(self.total(reduction), slot(Int(0), Int(0)), stem)
            ),
        ]

    def across(self, reduction: Reduction, position: Expr) -> Slot:
        """The partial sum, at a position of the windows, of a reduction over the kept indices."""
        raise NotImplementedError(f"{reduction.hi} crosses a nest that goes over one element of the kept indices")

    def slots(self, reduction: Reduction) -> Slots:
        return lambda lane, _: self.lanes(reduction, (lane,))
