"""The order of equations: each after those that define what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from typing import TypeVar

_Equation = TypeVar("_Equation")


def in_order(
    equations: Iterable[_Equation], defines: Callable[[_Equation], str], reads: Callable[[_Equation], Set[str]]
) -> list[_Equation]:
    """Equations so that each reads only earlier ones, else in the order given; ValueError where there is none."""
    left = list(equations)
    names = {defines(one) for one in left}
    result: list[_Equation] = []
    while left:
        waiting = names - {defines(one) for one in result}
        ready = next((one for one in left if not reads(one) & waiting), None)
        if ready is None:
            raise ValueError(f"these read each other: {', '.join(map(defines, left))}")
        left.remove(ready)
        result.append(ready)
    return result
