"""The loop nest for two groups that each reduce what the other keeps, in one visit of the data.

The gradient of what is normalized along rows is such a pair: its data's takes sums along each row, its parameters'
sums down each column. The rows are walked in blocks that threads share out. While a row's own sums are formed its
elements are added to the columns' partial sums, of which each block has its own, one for each lane; they are merged
in order at the end. The trees are those of the two groups each by itself, and so are the bits.
"""

from __future__ import annotations

from dataclasses import replace

from symbn.kernel.computations import Reduction
from symbn.kernel.groups import Group
from symbn.kernel.ir import Assign, Expr, For, Int, Let, Level, Load, Op, Row, Stmt, Var, Walk, add
from symbn.kernel.kept_nest import KeptNest
from symbn.kernel.levels import Levels, size
from symbn.kernel.naming import Names
from symbn.kernel.nest import block_bounds, blocks_of
from symbn.kernel.reduced_nest import ReducedNest
from symbn.kernel.summation import LANES, Slot, Slots, fold, partial
from symbn.kernel.workspaces import Workspaces


class CrossedNest(ReducedNest):
    """Builds the nest of the rows, one of whose passes has the columns' reductions."""

    def __init__(self, rows: Group, levels: Levels, workspaces: Workspaces, names: Names, *, compensated: bool) -> None:
        super().__init__(rows, levels, workspaces, names, compensated=compensated)
        self.crossing = next(one.crossing for one in rows.passes if one.crossing)
        self.row, self.first, self.rows = names.fresh("row"), names.fresh("first_row"), names.fresh("rows")
        self.row_lane, self.row_block = names.fresh("row_lane"), names.fresh("row_block")
        self.row_blocks = blocks_of(size(self.kept))

    def build(self) -> list[Stmt]:
        views = [
            Row(f"{part.array}_row", part.array, (self.row_block, self.row_lane), self.reduced)
            for part in (self.partial(entry, Var(self.row_lane)).high for entry in self.crossing)
        ]
        lane = Let(self.row_lane, Op("imod", (Var(self.row), Int(LANES))), "index")
        slots = [(entry.hi, self.slots_across(entry)) for entry in self.crossing]
        parts = [part for _, slot in slots for part in slot(Var(self.lane)).parts()]
        starts = self.along_columns([Assign(part, start) for part, start in parts])
        block: list[Stmt] = [
            *block_bounds(self.row_block, self.first, self.rows, size(self.kept)),
            For(self.lane, Int(0), Int(LANES), tuple(starts)),
            Walk(self.kept, self.row, Var(self.first), Var(self.rows), (lane, *views, *self.body())),
            *fold(slots, self.lane, self.along_columns),
        ]
        return [For(self.row_block, Int(0), self.row_blocks, tuple(block), kind="parallel")]

    def along_columns(self, body: list[Stmt]) -> list[Stmt]:
        for number, level in enumerate(reversed(self.reduced)):
            body = [For(level.name, Int(0), Var(level.extent), tuple(body), kind="serial" if number else "simd")]
        return body

    def partial(self, reduction: Reduction, lane: Expr) -> Slot:
        """A lane's partial sum in the current block of rows, at the current column."""
        block = Var(self.row_block)
        return _lane_sum(self.workspaces, reduction, block, self.row_blocks, lane, self.reduced)

    def slots_across(self, reduction: Reduction) -> Slots:
        return lambda lane: self.partial(reduction, lane)

    def across(self, reduction: Reduction, position: Expr) -> Slot:
        flat = add(Var(self.start), position)
        slot = self.partial(reduction, Var(self.row_lane))
        return replace(slot, high=Load(f"{slot.high.array}_row", (flat,)))


class MergedColumns(KeptNest):
    """Builds what follows: the blocks' partial sums merged, and what is known of each column then."""

    def build(self) -> list[Stmt]:
        return [*self.between(0), *self.between(1)]

    def partial(self, reduction: Reduction, blocks: Expr) -> Slot:
        return _lane_sum(self.workspaces, reduction, Var(self.block), blocks, Int(0), self.kept)


def _lane_sum(
    workspaces: Workspaces,
    reduction: Reduction,
    block: Expr,
    blocks: Expr,
    lane: Expr,
    levels: tuple[Level, ...],
) -> Slot:
    high = workspaces.lane_element(f"{reduction.hi}_lane_sums", block, blocks, lane, levels)
    return partial(reduction, high)
