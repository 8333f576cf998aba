"""Factors and divisors on few axes collected: one multiplication on all axes, no division."""

from __future__ import annotations

from typing import Any

import numpy as np

from symbn.run.graph import Apply, Node, Number

_ONE = Number(frozenset(), np.asarray(1, np.longdouble))


def _made(function: Any, args: tuple[Node, ...]) -> Apply:
    return Apply(frozenset().union(*(one.axes for one in args)), function, args, (), object())


class Factored:
    """Nodes of the same value as others, with factors on few axes collected; ``all`` are the axes of what is not."""

    def __init__(self, all: set[frozenset[int]]) -> None:
        self.all = all
        self.known: dict[Node, Node] = {}

    def __call__(self, node: Node) -> Node:
        """The node with factors and divisors on few axes collected: one multiplication on all axes, no division."""
        if node in self.known or not isinstance(node, Apply):
            return self.known.get(node, node)
        base, factor = self._factors(node) if node.axes in self.all else (node, None)
        if factor is not None:
            result: Node = _made(np.multiply, (self(base), factor))
        else:
            args = tuple(self(one) for one in node.args)
            result = node if args == node.args else Apply(node.axes, node.function, args, node.options, node.stem)
        self.known[node] = result
        return result

    def _factors(self, node: Node) -> tuple[Node, Node | None]:
        """A node as another on all axes and a factor on few."""
        if not isinstance(node, Apply) or node.function not in (np.multiply, np.divide):
            return node, None
        a, b = node.args
        if node.function is np.multiply and b.axes == node.axes:
            a, b = b, a
        if a.axes != node.axes or b.axes == node.axes:
            return node, None
        base, factor = self._factors(a)
        if factor is None:
            factor = b if node.function is np.multiply else _made(np.divide, (_ONE, b))
        elif factor.axes | b.axes != node.axes:
            factor = _made(node.function, (factor, b))
        else:
            base, factor = a, b if node.function is np.multiply else _made(np.divide, (_ONE, b))
        return base, factor
