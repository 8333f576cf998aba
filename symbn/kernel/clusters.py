"""Groups -> clusters: groups that go through their outermost loops together, while the data is in cache.

A group joins a cluster where one's kept indices are among the other's, and what it reads of the other groups is
at the same place of the indices that all keep. So the statistics of a group of channels and what is made of them,
channel by channel, take turns over the same slab of memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symbn.kernel.computations import kept_array, loads
from symbn.kernel.groups import Group
from symbn.kernel.ir import Var


@dataclass(frozen=True)
class Cluster:
    """Groups in order, and the indices that all of them keep."""

    outer: tuple[str, ...]
    groups: tuple[Group, ...]


def cluster(groups: Sequence[Group]) -> tuple[Cluster, ...]:
    """Put groups into clusters, in an order in which each reads only earlier ones."""
    left = list(groups)
    result: list[Cluster] = []
    while left:
        members = [left.pop(0)]
        outer = members[0].kept
        for group in list(left):
            waiting = [one for one in left if one is not group]
            narrower = outer if set(outer) <= set(group.kept) else group.kept
            alike = narrower and set(narrower) <= set(outer) and set(narrower) <= set(group.kept)
            if (
                alike
                and not _reads(group, waiting)
                and all(_at_same_place(one, members, narrower) for one in (*members, group))
            ):
                left.remove(group)
                members.append(group)
                outer = narrower
        result.append(Cluster(outer, tuple(members)))
    return tuple(result)


def _reads(group: Group, others: Sequence[Group]) -> bool:
    """Does a group read what one of the others computes?"""
    computed = {kept_array(part) for other in others for part in other.parts()}
    return any(load.array in computed for expr in group.expressions() for load in loads(expr))


def _at_same_place(group: Group, members: Sequence[Group], outer: Sequence[str]) -> bool:
    """Does a group read what the members compute only where it is itself on the outer indices?"""
    kept = {kept_array(part): member.kept for member in members for part in member.parts()}
    return all(
        load.subscripts[kept[load.array].index(index)] == Var(index)
        for expr in group.expressions()
        for load in loads(expr)
        if load.array in kept
        for index in outer
    )
