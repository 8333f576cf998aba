"""Inputs on the reduced indices alone, brought to the accumulator's type once and not for each kept element.

A row's scale and shift, say: their conversion is a third of what a short row costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from symbn.kernel.computations import Reduction, kept_array
from symbn.kernel.expressions import indices_of, loads
from symbn.kernel.groups import Group, Pass, Store
from symbn.kernel.ir import Array, Assign, Expr, For, Int, Load, Op, Stmt, Var, mul
from symbn.kernel.levels import Levels, size
from symbn.kernel.naming import Names
from symbn.kernel.workspaces import Workspaces

#: they are to stay in a first-level cache: a part of the one that keeps the data
PART = 8


@dataclass(frozen=True)
class Widened:
    """A group that reads them from workspaces, what fills these before, and how large a cache they need."""

    group: Group
    before: tuple[Stmt, ...]
    elements: Expr


def widened(
    group: Group, arrays: Mapping[str, Array], levels: Levels, workspaces: Workspaces, names: Names
) -> Widened | None:
    """The group with such inputs converted before; None where it has none. ``arrays`` are the arguments by name."""
    reduced = frozenset(group.reduced)
    read = {load for one in group.passes for expr in one.expressions() for load in loads(expr)}
    found = [load for load in read if indices_of(load) == reduced and _is_converted(load, arrays)]
    if not (found and group.kept):
        return None
    homes: dict[Load, Load] = {}
    before: list[Stmt] = []
    for load in sorted(found, key=str):
        name = names.stem(f"{load.array}_wide")
        own = levels.of(sub.name for sub in load.subscripts if isinstance(sub, Var))
        homes[load] = Load(kept_array(name), load.subscripts)
        filled: Stmt = Assign(workspaces.element(name, own), levels.expand(load))
        for level in reversed(own[1:]):
            filled = For(
                level.name, Int(0), Var(level.extent), (filled,), kind="simd" if level is own[-1] else "serial"
            )
        before.append(For(own[0].name, Int(0), Var(own[0].extent), (filled,), kind="parallel"))
    passes = tuple(_moved(one, homes) for one in group.passes)
    elements = mul(Int(PART * len(found)), size(levels.of(group.reduced)))
    return Widened(replace(group, passes=passes), tuple(before), elements)


def _is_converted(load: Load, arrays: Mapping[str, Array]) -> bool:
    array = arrays.get(load.array)
    return array is not None and array.role == "input" and array.kind == "data"


def _moved(one: Pass, homes: Mapping[Load, Load]) -> Pass:
    def expr(old: Expr) -> Expr:
        if isinstance(old, Load):
            return homes.get(old, old)
        return Op(old.name, tuple(map(expr, old.args))) if isinstance(old, Op) else old

    def reduction(old: Reduction) -> Reduction:
        return replace(old, body=expr(old.body))

    def store(old: Store) -> Store:
        return replace(old, value=expr(old.value))

    return replace(
        one,
        reductions=tuple(map(reduction, one.reductions)),
        crossing=tuple(map(reduction, one.crossing)),
        stores=tuple(map(store, one.stores)),
    )
