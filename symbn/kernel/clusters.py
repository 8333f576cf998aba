"""Groups -> clusters: groups that go through their outermost loops together, while the data is in cache.

A group joins a cluster where one's kept indices are among the other's, and what it reads of the other groups is
at the same place of the indices that all keep. So the statistics of a group of channels and what is made of them,
channel by channel, take turns over the same slab of memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symbn.kernel.computations import kept_array
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
    rank = max((len(group.kept) + len(group.reduced) for group in groups), default=0)
    result: list[Cluster] = []
    while left:
        narrower = [group.kept for group in left if group.kept and set(group.kept) <= set(left[0].kept)]
        found = [Cluster(outer, _members(left, outer)) for outer in dict.fromkeys([left[0].kept, *narrower])]
        # What visits the data most often gains most from the cache; more outer indices are more work for threads.
        result.append(max(found, key=lambda one: (_visits(one, rank), len(one.outer))))
        left = [group for group in left if group not in result[-1].groups]
    return tuple(result)


def _visits(one: Cluster, rank: int) -> int:
    return sum(len(group.kept) + len(group.reduced) == rank for group in one.groups)


def _members(left: Sequence[Group], outer: Sequence[str]) -> tuple[Group, ...]:
    """The first of some groups, and those that can go through the outer loops with it."""
    members = [left[0]]
    for group in left[1:]:
        waiting = [one for one in left if one is not group and one not in members]
        if (
            outer
            and set(outer) <= set(group.kept)
            and not group.reads(*waiting)
            and all(_at_same_place(one, members, outer) for one in (*members, group))
        ):
            members.append(group)
    return tuple(members)


def _at_same_place(group: Group, members: Sequence[Group], outer: Sequence[str]) -> bool:
    """Does a group read what the members compute only where it is itself on the outer indices?"""
    kept = {kept_array(part): member.kept for member in members for part in member.parts()}
    return all(
        load.subscripts[kept[load.array].index(index)] == Var(index)
        for load in group.loads()
        if load.array in kept
        for index in outer
    )
