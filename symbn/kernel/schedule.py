"""Groups -> program: the two loop nests of each group, and how the program picks one when it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.kernel.computations import extract, kept_array
from symbn.kernel.groups import Group, arrange, loads
from symbn.kernel.ir import Array, Choice, Level, Nest, Program, Var
from symbn.kernel.kept_nest import KeptNest
from symbn.kernel.levels import Levels
from symbn.kernel.naming import Names
from symbn.kernel.reduced_nest import ReducedNest
from symbn.kernel.sharing import prune
from symbn.kernel.workspaces import Workspaces


def lower(operator: Operator, *, compensated: bool) -> Program:
    """An operator's loop program.

    Parameters
    ----------
    operator
        The equations.
    compensated
        Sum the rounding error of each addition too: for data in the accumulator's own dtype.
    """
    own = [*operator.arrays, *operator.scalars, *operator.indices, *operator.indices.values()]
    names = Names(identifier(name) for name in own)
    groups = arrange(extract(operator, names), names)
    levels = Levels(operator, (index for group in groups for index in group.reduced), names)
    workspaces = Workspaces(_shared(groups))
    arguments = _arguments(operator, levels)
    nests: list[Nest] = []
    choices: list[Choice] = []
    for number, group in enumerate(groups, 1):
        general = names.fresh(f"group{number}_reduced")
        nest = ReducedNest(group, levels, workspaces, names.branch(), compensated=compensated)
        nests.append(Nest(general, (), prune(tuple(nest.build()))))
        mains = _main_arrays(group, levels, {array.name: array for array in arguments})
        if not mains:
            choices.append(Choice(general, None, None))
            continue
        contiguous = names.fresh(f"group{number}_kept")
        kept = KeptNest(group, levels, workspaces, names.branch(), compensated=compensated)
        unit = tuple((one.array, one.vector) for one in mains)
        nests.append(Nest(contiguous, unit, prune(tuple(kept.build()))))
        first = next((one for one in mains if one.inner), None)
        choices.append(Choice(general, contiguous, (first.array, first.inner) if first else None))
    return Program(
        (*arguments, *workspaces.arrays()),
        tuple(identifier(name) for name in operator.inputs if name in operator.scalars),
        tuple(levels.of_extent.items()),
        workspaces.sizes(),
        tuple(nests),
        tuple(choices),
        _aliases(groups, arguments),
    )


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
    it has that.
    """

    array: str
    vector: str
    inner: str


def _main_arrays(group: Group, levels: Levels, arguments: dict[str, Array]) -> list[_Main]:
    """The arguments whose memory order decides between the nests."""
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
            found[_Main(name, own[vector][-1].name, inner)] = None
    return list(found)


def _aliases(groups: tuple[Group, ...], arguments: tuple[Array, ...]) -> tuple[tuple[str, str], ...]:
    """The inputs that may be an output's own memory: each element is read before, and only where, it is written."""
    if len(groups) > 1:
        return ()
    (group,) = groups
    # Stores on the reduced indices are all in the last pass; without passes everything is at one place.
    stores = [store for one in group.passes for store in one.stores] if group.passes else group.stores
    reads = [load for expr in group.expressions() for load in loads(expr)]
    result = []
    for store in stores:
        here = tuple(Var(index) for index in store.indices)
        for array in arguments:
            places = {load.subscripts for load in reads if load.array == array.name}
            if array.role == "input" and places <= {here}:
                result.append((array.name, store.array))
    return tuple(result)


def _shared(groups: tuple[Group, ...]) -> frozenset[str]:
    """The parts of reductions that one group computes and another reads."""
    result: set[str] = set()
    for group in groups:
        own = {part for one in group.passes for entry in one.reductions for part in (entry.hi, entry.lo)}
        for other in groups:
            if other is not group:
                read = {load.array for expr in other.expressions() for load in loads(expr)}
                result |= {part for part in own if kept_array(part) in read}
    return frozenset(result)
