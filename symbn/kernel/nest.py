"""What the two loop nests of a group share: blocks of the reduced indices, totals, the loop over the kept ones."""

from __future__ import annotations

from collections.abc import Iterable

from symbn.kernel.computations import Reduction
from symbn.kernel.groups import Group, Store
from symbn.kernel.ir import Expr, For, Int, Let, Load, Op, Stmt, Var, add, mul, sub
from symbn.kernel.levels import Levels, size, unflatten
from symbn.kernel.naming import Names
from symbn.kernel.summation import BLOCK, Slot, partial
from symbn.kernel.workspaces import Workspaces


class NestBuilder:
    """The names, levels and loops that both kinds of nest are built from."""

    def __init__(
        self, group: Group, levels: Levels, workspaces: Workspaces, names: Names, *, compensated: bool
    ) -> None:
        self.group = group
        self.levels = levels
        self.workspaces = workspaces
        self.names = names
        self.compensated = compensated
        self.kept = levels.of(group.kept)
        self.reduced = levels.of(group.reduced)
        #: how many elements a reduction goes over, and in how many blocks
        self.total_count = size(self.reduced)
        self.blocks = Op("idiv", (add(self.total_count, Int(BLOCK - 1)), Int(BLOCK)))
        self.block, self.start, self.count = names.fresh("block"), names.fresh("start"), names.fresh("count")
        self.lane, self.flat = names.fresh("lane"), names.fresh("place")

    def block_bounds(self) -> list[Stmt]:
        """Where the current block starts, and how many elements it has."""
        return [
            Let(self.start, mul(Var(self.block), Int(BLOCK)), "index"),
            Let(self.count, Op("imin", (Int(BLOCK), sub(self.total_count, Var(self.start)))), "index"),
        ]

    def over_kept(self, body: list[Stmt]) -> list[Stmt]:
        """The loop over the elements of the kept indices."""
        if not self.kept:
            return body
        if len(self.kept) == 1:
            (level,) = self.kept
            return [For(level.name, Int(0), Var(level.extent), tuple(body), kind="parallel")]
        inside = (*unflatten(Var(self.flat), self.kept), *body)
        return [For(self.flat, Int(0), size(self.kept), inside, kind="parallel")]

    def total(self, reduction: Reduction) -> Slot:
        """A reduction's running total over the blocks; a sum's always with compensation."""
        return partial(reduction, Load(f"{reduction.hi}_total", ()), Load(f"{reduction.hi}_rest", ()))

    def lanes(self, reduction: Reduction, subscripts: tuple[Expr, ...]) -> Slot:
        """One of the interleaved partial results within a block."""
        low = Load(f"{reduction.hi}_errors", subscripts) if self.compensated else None
        return partial(reduction, Load(f"{reduction.hi}_lanes", subscripts), low)


def labels(entries: Iterable[Reduction | Store]) -> str:
    """The numbers of the equations that some statements come from."""
    return ", ".join(f"({number})" for number in sorted({entry.equation for entry in entries}))
