"""The loop nest for contiguous features of few samples: one panel of features after another.

All passes go over a panel's samples while they are in cache: the sums tile by tile, with what is known of a tile's
features in local arrays, then the outputs, row by row of the panel. The vector lanes lie along the last kept index, as
in the nest that goes over all features in each pass.
"""

from __future__ import annotations

from symbn.kernel.computations import Reduction
from symbn.kernel.expressions import indices_of, loads
from symbn.kernel.groups import Group, Pass
from symbn.kernel.ir import Assign, Expr, For, Int, Let, Load, Local, Op, Stmt, Var, Walk, add, mul, prod, sub
from symbn.kernel.kept_nest import KeptNest, reads
from symbn.kernel.levels import Levels, size, unflatten
from symbn.kernel.naming import Names
from symbn.kernel.nest import blocks_of, labels
from symbn.kernel.summation import Slot, Slots, finish, merge, partial
from symbn.kernel.tile_sums import PANEL, TILE
from symbn.kernel.windows import Windows
from symbn.kernel.workspaces import Workspaces

#: elements of each array in a panel; and so many tiles it has at the least, so that its rows are long
ELEMENTS, LEAST = 1 << 17, 4


class PanelNest(KeptNest):
    """Builds the nest of one group."""

    def __init__(
        self, group: Group, levels: Levels, workspaces: Workspaces, names: Names, *, compensated: bool
    ) -> None:
        super().__init__(group, levels, workspaces, names, compensated=compensated)
        self.panel, self.panels, self.span_name = names.fresh("panel"), names.fresh("panels"), names.fresh("span")
        self.begin, self.breadth, self.column = names.fresh("begin"), names.fresh("breadth"), names.fresh("column")
        #: values that later loops read -> the arrays that have them for a tile, and for a panel
        self.of_tile: dict[str, str] = {}
        self.of_panel: dict[str, str] = {}

    def build(self) -> list[Stmt]:
        inner = self.between(0)
        for number, one in enumerate(self.group.passes, 1):
            inner += [*self.visit(one), *self.between(number)]
        written = [statement for one in self.group.passes for statement in self.write(one)]
        tile = [
            Let(self.first, add(Var(self.begin), Var(self.column)), "index"),
            Let(self.width, Op("imin", (Int(TILE), sub(Var(self.breadth), Var(self.column)))), "index"),
            *(Local(array, (TILE,), None) for array in self.of_tile.values()),
            *inner,
        ]
        span, extent = Var(self.span_name), Var(self.vector.extent)
        body = [
            Let(self.span_name, self.features, "index"),
            Let(self.panels, blocks_of(extent, span), "index"),
            Let(self.panel, Op("imod", (Var(self.task), Var(self.panels))), "index"),
            *unflatten(Op("idiv", (Var(self.task), Var(self.panels))), self.outer),
            Let(self.begin, mul(Var(self.panel), span), "index"),
            Let(self.breadth, Op("imin", (span, sub(extent, Var(self.begin)))), "index"),
            *(Local(array, (PANEL,), None) for array in self.of_panel.values()),
            For(self.column, Int(0), Var(self.breadth), tuple(tile), step=TILE),
            *written,
        ]
        return [For(self.task, Int(0), self.tasks_count, tuple(body), kind="parallel")]

    # ---- how much a panel has --------------------------------------------------------------------

    @property
    def features(self) -> Expr:
        """How many features a panel has: as many tiles as stay in cache together."""
        tiles = Op("idiv", (Int(ELEMENTS // TILE), Op("imax", (Int(1), self.total_count))))
        return mul(Op("imax", (Int(LEAST), Op("imin", (Int(PANEL // TILE), tiles)))), Int(TILE))

    @property
    def tasks_count(self) -> Expr:
        """How many panels there are."""
        return mul(size(self.outer), blocks_of(Var(self.vector.extent), self.features))

    @property
    def elements(self) -> Expr:
        """How many elements of the data the passes read in the smallest panel."""
        read = {load for one in self.group.passes for expr in one.expressions() for load in loads(expr)}
        found = [load for load in read if indices_of(load) & {*self.group.reduced}]
        return prod([Int(len(found) * LEAST * TILE), self.total_count])

    # ---- between the passes ----------------------------------------------------------------------

    def over_kept(self, body: list[Stmt]) -> list[Stmt]:
        """The loop over the features of the tile."""
        return [self.over_features([self.feature(), *body])]

    def home(self, name: str) -> Load:
        return Load(self.array_of(name, self.of_tile, "tile"), (Var(self.place),))

    def keep(self, name: str, stage: int) -> list[Stmt]:
        """Leave a value for the tile's later loops, for what the panel writes, and for other groups."""
        into = [self.home(name)] if any(reads(expr, name) for expr in self.summed_after(stage)) else []
        if any(reads(expr, name) for expr in self.written()):
            into.append(self.beside(name, add(Var(self.column), Var(self.place))))
        if self.workspaces.is_shared(name):
            into.append(self.workspaces.element(name, self.kept))
        return [Assign(one, Var(name)) for one in into]

    def beside(self, name: str, place: Expr) -> Load:
        """Where the rows of the panel find a value at one of its features."""
        return Load(self.array_of(name, self.of_panel, "panel"), (place,))

    def array_of(self, name: str, arrays: dict[str, str], what: str) -> str:
        """The local array of a value; it is made when it is first asked for."""
        if name not in arrays:
            arrays[name] = self.names.stem(f"{name}_{what}")
        return arrays[name]

    def merge_blocks(self, reduction: Reduction, done: Pass) -> list[Stmt]:
        """The blocks of a tile are merged as they come."""
        return finish(reduction, self.total(reduction), self.terms(done))

    def total(self, reduction: Reduction) -> Slot:
        place = (Var(self.place),)
        low = None if self.compensated else Load(f"{reduction.hi}_rest", place)
        return partial(reduction, Load(f"{reduction.hi}_total", place), low)

    # ---- one pass --------------------------------------------------------------------------------

    def visit(self, one: Pass) -> list[Stmt]:
        """The sums, block by block."""
        if not one.reductions:
            return []
        parts = [part for entry in one.reductions for part in self.total(entry).parts()]
        blocks = For(self.block, Int(0), self.blocks_in(one), (*self.block_bounds(one), *self.sums(one)))
        return [
            *(Local(part.array, (TILE,), None) for part, _ in parts),
            self.over_features([Assign(part, start) for part, start in parts]),
            *self.where_needed(one, [blocks]),
        ]

    def accumulated(self, one: Pass, slots: list[tuple[str, Slots]]) -> list[Stmt]:
        return self.row_by_row(one, slots)

    def publish(self, one: Pass, slots: list[tuple[str, Slots]]) -> list[Stmt]:
        """Add the block's sums to the tile's."""
        return [
            statement
            for reduction, (stem, slot) in zip(one.reductions, slots, strict=True)
            for statement in merge(self.total(reduction), slot(Var(self.place)), stem)
        ]

    def write(self, one: Pass) -> list[Stmt]:
        """The outputs, row by row; the same row of the next panel is asked for."""
        if not one.stores:
            return []
        values = [
            self.from_workspaces(store.value, home=lambda name: self.beside(name, Var(self.place)))
            for store in one.stores
        ]
        names = self.names.branch()
        windows = Windows((self.vector,), self.begin, self.breadth, PANEL, names, ahead=Var(self.breadth))
        windows.look(values, (self.vector,))
        inner = windows.store(self.place, labels(one.stores), self.targets(one.stores), values)
        return [Walk(self.reduced, self.row, Int(0), self.total_count, tuple(windows.around(inner)))]
