"""The loop nest for outputs that need no sum: row after row, in the order in which N,C,H,W data lies in memory.

A row is an element of the kept indices and of the outer parts of the others, and goes through windows along the
innermost part. What is known of each kept element is computed once, before.
"""

from __future__ import annotations

from symbn.kernel.groups import Group
from symbn.kernel.ir import Let, Stmt
from symbn.kernel.kept_nest import KeptNest, reads
from symbn.kernel.levels import Levels, size
from symbn.kernel.naming import Names
from symbn.kernel.nest import blocks_of, over
from symbn.kernel.reduced_nest import ReducedNest
from symbn.kernel.workspaces import Workspaces


class MapNest(ReducedNest):
    """Builds the nest of one group, which has no reductions."""

    def __init__(
        self, group: Group, levels: Levels, workspaces: Workspaces, names: Names, *, compensated: bool
    ) -> None:
        super().__init__(group, levels, workspaces, names, compensated=compensated)
        self.before = KeptNest(group, levels, workspaces, names.branch(), compensated=compensated)
        *outer, inner = self.reduced
        self.rows = (*outer, *self.kept)
        self.reduced = (inner,)
        self.total_count = size(self.reduced)
        self.blocks = blocks_of(self.total_count)

    def build(self) -> list[Stmt]:
        (one,) = self.group.passes
        names = [
            value.name for value in self.group.values if any(reads(expr, value.name) for expr in one.expressions())
        ]
        lets = [Let(name, self.workspaces.element(name, self.kept)) for name in names]
        return [*self.before.between(0), *over(self.rows, self.flat, [*lets, *self.visit(one)])]
