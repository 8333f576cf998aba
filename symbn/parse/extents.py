"""The extents of indices: those of sums, and of other indices at the same places."""

from __future__ import annotations

from typing import Any

from sympy import Symbol

from symbn.parse.expressions import Findings


def complete(found: Findings) -> dict[str, Any]:
    """An extent for each index: indices that stand at the same axis of an array have the same."""
    extents = dict(found.extents)
    for group in _groups(found):
        known = [extents[index] for index in sorted(group) if index in extents]
        extent = known[0] if known else Symbol(f"{min(group)}_extent", integer=True, positive=True)
        for index in group:
            extents.setdefault(index, extent)
    return extents


def _groups(found: Findings) -> list[set[str]]:
    """Indices that stand for each other somewhere."""
    groups: list[set[str]] = []
    for uses in found.arrays.values():
        for rank in {len(use) for use in uses}:
            for axis in zip(*(use for use in uses if len(use) == rank), strict=True):
                together = set(axis).union(*(group for group in groups if group & set(axis)))
                groups = [group for group in groups if not group & together] + [together]
    return groups
