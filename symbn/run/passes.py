"""The loops over blocks in which the reference's reductions and outputs are evaluated: which, and in what order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from symbn.run.graph import Apply, Node, Reduction, View, below


@dataclass(frozen=True)
class Output:
    """An output: its name, the axes of the reference that it has, and what it should be."""

    name: str
    axes: frozenset[int]
    node: Node


@dataclass
class Pass:
    """Reductions and outputs on the same axes, evaluated in the same loop over blocks."""

    axes: frozenset[int]
    reductions: list[Reduction] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

    def nodes(self) -> list[Node]:
        return [*(one.term for one in self.reductions), *(one.node for one in self.outputs)]


def passes(outputs: Sequence[Output], reductions: Sequence[Reduction]) -> list[Pass]:
    """The loops over blocks, in order, that evaluate some outputs, and those of their reductions that are given."""
    depth: dict[Any, int] = {}
    found: dict[tuple[int, frozenset[int], frozenset[int]], Pass] = {}
    seen: dict[Any, None] = {}
    starts: list[Any] = [*(output.node for output in outputs), *reductions]
    for node in (one for start in starts for one in below(start, seen)):
        depth[node] = max((depth[one] for one in _sources(node)), default=0) + isinstance(node, Reduction)
        if isinstance(node, Reduction) and node in reductions:
            key = depth[node], node.term.axes, node.axis
            found.setdefault(key, Pass(node.term.axes)).reductions.append(node)
    steps = [found[key] for key in sorted(found, key=lambda key: key[0])]
    last: dict[frozenset[int], Pass] = {}
    for output in outputs:
        last.setdefault(output.axes, Pass(output.axes)).outputs.append(output)
    return [*steps, *last.values()]


def _sources(node: Node | Reduction) -> Sequence[Any]:
    if isinstance(node, Apply):
        return node.args
    if isinstance(node, Reduction):
        return (node.term,)
    return (node.source,) if isinstance(node, View) and isinstance(node.source, Reduction) else ()


def largest(step: Pass, steps: Sequence[Pass]) -> bool:
    return not any(step.axes < other.axes for other in steps)
