"""Groups -> program: the two loop nests of each group, and how the program picks one when it is called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.kernel.clusters import Cluster, cluster
from symbn.kernel.computations import extract, kept_array
from symbn.kernel.crossed_nest import CrossedNest, MergedColumns
from symbn.kernel.expressions import loads
from symbn.kernel.groups import Group, arrange, crossed
from symbn.kernel.ir import Alternative, Array, Expr, Level, Load, Nest, Program, Stmt, Var
from symbn.kernel.kept_nest import KeptNest
from symbn.kernel.levels import Levels
from symbn.kernel.low_parts import low_parts_moved
from symbn.kernel.map_nest import MapNest
from symbn.kernel.naming import Names
from symbn.kernel.nest import over
from symbn.kernel.pairs import in_pairs
from symbn.kernel.panel_nest import PanelNest
from symbn.kernel.reduced_nest import ReducedNest
from symbn.kernel.sharing import prune
from symbn.kernel.shifting import shifted
from symbn.kernel.widened import Widened, widened
from symbn.kernel.workspaces import Workspaces


def lower(operator: Operator, *, compensated: bool) -> Program:
    """An operator's loop program.

    Parameters
    ----------
    operator
        The equations.
    compensated
        Keep the rounding error of each operation too: for data in the accumulator's own dtype.
    """
    program = Lowering(operator, compensated).program
    return in_pairs(program) if compensated else program


class Lowering:
    """How an operator's program came about: ``work`` has the clusters of each of its steps."""

    def __init__(self, operator: Operator, compensated: bool) -> None:
        self.operator = operator
        self.compensated = compensated
        own = [*operator.arrays, *operator.scalars, *operator.indices, *operator.indices.values()]
        self.names = Names(identifier(name) for name in own)
        groups = arrange(extract(operator, self.names), self.names)
        if not compensated:
            groups = tuple(shifted(group, operator.indices, self.names) for group in groups)
            groups = tuple(low_parts_moved(group, self.names) for group in groups)
        self.clusters = cluster(groups)
        self.levels = Levels(operator, (index for group in groups for index in group.reduced), self.names)
        self.workspaces = Workspaces(_shared(groups))
        self.arguments = _arguments(operator, self.levels)
        self.nests: list[Nest] = []
        self.work: list[tuple[Cluster, ...]] = []
        self.program = self._program()

    def _program(self) -> Program:
        steps: list[tuple[Alternative, ...]] = []
        left = list(self.clusters)
        while left:
            name, one = f"group{len(steps) + 1}", left.pop(0)
            pair = self.crossed(one, left[0], name) if left else ()
            self.work.append((one, left.pop(0)) if pair else (one,))
            steps.append(pair or self.alternatives(one, name))
        return Program(
            (*self.arguments, *self.workspaces.arrays()),
            tuple(identifier(name) for name in self.operator.inputs if name in self.operator.scalars),
            tuple(self.levels.of_extent.items()),
            self.workspaces.sizes(),
            tuple(self.nests),
            tuple(steps),
            _aliases(self.work, self.arguments),
        )

    def alternatives(self, one: Cluster, name: str, *, alone: bool = True) -> tuple[Alternative, ...]:
        """How a cluster can run: group after group with the kept index in the vector lanes, or all groups together.

        Where it is one group, and ``alone``, also panel by panel.
        """
        general = Alternative((self.together(one, f"{name}_reduced"),))
        mains = {group: _main_arrays(group, self.levels, self.arguments) for group in one.groups}
        # Memory is contiguous along one index: that of the arrays with most indices, kept by the group that keeps most.
        ranked = sorted((entry.rank, len(group.kept), entry.vector) for group in mains for entry in mains[group])
        alone = alone and len(one.groups) == 1
        rows = (*(self.widened(one.groups[0], f"{name}_rows") if alone else ()), general)
        if not ranked:
            return rows
        vector = ranked[-1][-1]
        leading = {group: found for group, found in mains.items() if any(entry.vector == vector for entry in found)}
        nests = [
            self.kept(group, leading[group], f"{name}_kept")
            if group in leading
            else self.together(Cluster(group.kept, (group,)), f"{name}_part")
            for group in one.groups
        ]
        inner = (entry for found in leading.values() for entry in found if entry.inner)
        first = next(inner, None)
        avoid = (first.array, first.inner) if first else None
        panels = self.panels(one.groups[0], leading, avoid, f"{name}_panels") if alone else ()
        return *panels, Alternative(tuple(nests), avoid), *rows

    def widened(self, group: Group, name: str) -> tuple[Alternative, ...]:
        """How a group runs for any memory, with what its kept elements share converted before."""
        found = self.converted(group)
        if found is None or not any(one.reductions for one in group.passes):
            return ()
        nest = ReducedNest(found.group, self.levels, self.workspaces, self.names.branch(), compensated=False)
        return (Alternative((self.add(name, (), [*found.before, *nest.build()]),), keeps=found.elements),)

    def converted(self, group: Group) -> Widened | None:
        """A group with inputs brought to the accumulator's type, if they are of another."""
        if self.compensated:
            return None
        arrays = {array.name: array for array in self.arguments}
        return widened(group, arrays, self.levels, self.workspaces, self.names)

    def panels(
        self, group: Group, leading: dict[Group, list[_Main]], avoid: tuple[str, str] | None, name: str
    ) -> tuple[Alternative, ...]:
        """How a group runs panel by panel, where it sums what lies side by side in memory."""
        if group not in leading or not any(one.reductions for one in group.passes):
            return ()
        nest = PanelNest(group, self.levels, self.workspaces, self.names.branch(), compensated=self.compensated)
        unit = tuple((entry.array, entry.vector) for entry in leading[group])
        name = self.add(name, unit, nest.build())
        return (Alternative((name,), avoid, nest.tasks_count, nest.elements),)

    def crossed(self, one: Cluster, other: Cluster, name: str) -> tuple[Alternative, ...]:
        """How two clusters can run in one visit of the data, or else one after the other; nothing where they cannot."""
        if len(one.groups) > 1 or len(other.groups) > 1:
            return ()
        for rows, columns in ((one.groups[0], other.groups[0]), (other.groups[0], one.groups[0])):
            both = crossed(rows, columns, self.names)
            mains = _main_arrays(columns, self.levels, self.arguments)
            if both is not None and mains:
                break
        else:
            return ()
        options = {"compensated": self.compensated}
        merged = MergedColumns(columns, self.levels, self.workspaces, self.names.branch(), **options).build()
        unit = tuple((entry.array, entry.vector) for entry in mains)
        last = self.add(f"{name}_merged", (), merged)

        def in_one_visit(rows: Group, stem: str, before: Sequence[Stmt] = (), keeps: Expr | None = None) -> Alternative:
            nest = CrossedNest(rows, self.levels, self.workspaces, self.names.branch(), **options)
            first = self.add(f"{name}_{stem}", unit, [*before, *nest.build()])
            return Alternative((first, last), tasks=nest.row_blocks, keeps=keeps)

        found = self.converted(both)
        crossing = [in_one_visit(found.group, "crossed_rows", found.before, found.elements)] if found else []
        crossing.append(in_one_visit(both, "crossed"))
        firsts, seconds = (self.alternatives(each, name, alone=False) for each in (one, other))
        apart = [
            Alternative(first.nests + second.nests, first.avoid or second.avoid)
            for first in firsts
            for second in seconds
            if first is firsts[-1] or second is seconds[-1]
        ]
        return *crossing, *apart

    def together(self, one: Cluster, name: str) -> str:
        """The nest of a cluster for any memory."""
        first = one.groups[0]
        if one.groups == (first,) and first.reduced and not any(each.reductions for each in first.passes):
            nest = MapNest(first, self.levels, self.workspaces, self.names.branch(), compensated=self.compensated)
            return self.add(name, (), nest.build())
        outer = self.levels.of(one.outer)
        inside = [
            statement
            for group in one.groups
            for statement in ReducedNest(
                group, self.levels, self.workspaces, self.names.branch(), compensated=self.compensated
            ).inside(one.outer)
        ]
        return self.add(name, (), over(outer, self.names.branch().fresh("place"), inside))

    def kept(self, group: Group, mains: list[_Main], name: str) -> str:
        """The nest of a group for memory that is contiguous along its last kept index."""
        nest = KeptNest(group, self.levels, self.workspaces, self.names.branch(), compensated=self.compensated)
        return self.add(name, tuple((entry.array, entry.vector) for entry in mains), nest.build())

    def add(self, name: str, unit: tuple[tuple[str, str], ...], body: list[Stmt]) -> str:
        name = self.names.fresh(name)
        self.nests.append(Nest(name, unit, prune(tuple(body))))
        return name


def _arguments(operator: Operator, levels: Levels) -> tuple[Array, ...]:
    def argument(name: str, role: Literal["input", "output"]) -> Array:
        kind: Literal["wide", "data"] = "wide" if name in operator.statistics else "data"
        return Array(identifier(name), levels.of(operator.written[name]), role, kind)

    inputs = [argument(name, "input") for name in operator.inputs if name in operator.arrays]
    return (*inputs, *(argument(name, "output") for name in operator.outputs))


@dataclass(frozen=True)
class _Main:
    """An argument that varies with a reduced index and with the one that could be vectorized.

    ``vector`` is the level of its axis along the latter, ``inner`` along the innermost reduced index, if
    it has that; ``rank`` is the number of its indices.
    """

    array: str
    vector: str
    inner: str
    rank: int


def _main_arrays(group: Group, levels: Levels, known: tuple[Array, ...]) -> list[_Main]:
    """The arguments whose memory order decides between the nests."""
    arguments = {array.name: array for array in known}
    if not group.kept or not group.reduced:
        return []
    vector, reduced = group.kept[-1], set(group.reduced)
    reads = [
        (load.array, tuple(sub.name for sub in load.subscripts if isinstance(sub, Var)))
        for one in group.passes
        for expr in one.expressions()
        for load in loads(expr)
    ]
    writes = [(store.array, store.indices) for one in group.passes for store in one.stores]
    found: dict[_Main, None] = {}
    for name, indices in reads + writes:
        if name in arguments and vector in indices and reduced & set(indices):
            axes = list(arguments[name].axes)
            own: dict[str, list[Level]] = {}
            # An array may be read on other indices than those that its axes are named for.
            for index in indices:
                own[index] = [axes.pop(0) for _ in levels.of_index[index]]
            inner = own[group.reduced[-1]][-1].name if group.reduced[-1] in own else ""
            found[_Main(name, own[vector][-1].name, inner, len(indices))] = None
    return list(found)


def _aliases(work: Sequence[Sequence[Cluster]], arguments: tuple[Array, ...]) -> tuple[tuple[str, str], ...]:
    """The inputs that may be an output's own memory: each element is read before, and only where, it is written."""
    result = []
    # The groups of a step take turns, place by place; those of later steps read when all of it is written.
    steps = [[group for cluster in step for group in cluster.groups] for step in work]
    for number, own in enumerate(steps):
        following = [group for step in steps[number + 1 :] for group in step]
        for place, group in enumerate(own):
            # Stores on the reduced indices are all in the last pass; without passes everything is at one place.
            stores = [store for one in group.passes for store in one.stores] if group.passes else group.stores
            later = {load.array for load in _read([*own[place + 1 :], *following])}
            reads = _read(own)
            for store in stores:
                here = tuple(Var(index) for index in store.indices)
                for array in arguments:
                    places = {load.subscripts for load in reads if load.array == array.name}
                    if array.role == "input" and array.name not in later and places <= {here}:
                        result.append((array.name, store.array))
    return tuple(result)


def _read(groups: Iterable[Group]) -> list[Load]:
    return [load for group in groups for load in group.loads()]


def _shared(groups: tuple[Group, ...]) -> frozenset[str]:
    """The parts of reductions that one group computes and another reads."""
    result: set[str] = set()
    for group in groups:
        own = set(group.parts())
        for other in groups:
            if other is not group:
                read = {load.array for load in other.loads()}
                result |= {part for part in own if kept_array(part) in read}
    return frozenset(result)
