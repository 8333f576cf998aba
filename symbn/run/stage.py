"""Passes that are made together on each block, as a list of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from symbn.run import steps
from symbn.run.affine import Rewriting
from symbn.run.evaluation import Block, Few
from symbn.run.graph import Apply, Node, Number, Reduction, View, below
from symbn.run.passes import Pass, largest
from symbn.run.space import Axis

#: a value on few axes is worked out once for a whole part, up to so many elements
_SMALL = 1 << 14


class Stage:
    """Passes that are made together on each block, as a list of steps.

    ``together``: a block holds whole features; reductions are complete when it is left.
    """

    def __init__(
        self, passes: Sequence[Pass], order: Sequence[Axis], sizes: Mapping[Axis, int], wide: Any, together: bool
    ) -> None:
        self.wide = wide
        self.sizes = sizes
        self.together = together
        self.axes = frozenset().union(*(one.axes for one in passes))
        self.reductions = [reduction for one in passes for reduction in one.reductions]
        #: the axes of what is not on few
        self.all = {one.axes for one in passes if largest(one, passes)}
        self.rewriting = Rewriting(self.all, wide)
        #: nodes on few axes that are computed for the whole part at once
        self.few: list[Node] = []
        self.steps: list[tuple[Callable[[Block], None], tuple[Node, ...]]] = []
        self.planned: set[Node] = set()
        for one in passes:
            for reduction in one.reductions:
                self._reduce(reduction, numbers(order, reduction.axis))
                if together:
                    self.steps.append((partial(steps.finish, reduction), ()))
            for output in one.outputs:
                node = self._plan(self.rewriting(output.node))
                self.steps.append((partial(steps.compare, output, node), (node,)))
        #: of nodes that are computed for the whole part those that steps read
        self.read = [node for node in self.few if any(node in nodes for _, nodes in self.steps)]
        last = {node: number for number, (_, nodes) in enumerate(self.steps) for node in nodes}
        #: with each step those whose last use it is
        self.program = [
            (step, [node for node in dict.fromkeys(nodes) if last[node] == number])
            for number, (step, nodes) in enumerate(self.steps)
        ]

    def prepare(self, block: Block) -> None:
        """Compute what is on few axes for the whole part, of which this is all."""
        for node in self.few:
            self._compute_few(node, block)
        block.of.few = block.few

    def run(self, block: Block) -> None:
        shape = block.shape(self.axes) if self.all == {self.axes} else None
        for node in self.read:
            few = block.of.few[node]
            block.few[node] = few.cut(block) if shape is None else block.of.on(block, node, shape)
        for step, over in self.program:
            block.over = over
            step(block)
            for node in over:
                if node in block.full:
                    block.pool.give(block.full.pop(node))

    def _reduce(self, reduction: Reduction, axis: tuple[int, ...]) -> None:
        if reduction.function in (np.sum, np.mean):
            products = self.rewriting.products(reduction.term, reduction.axis)
            nodes = [node for one in products for node in (*one.values, *([one.factor] if one.factor else []))]
            for node in nodes:
                self._plan(node)
            self.steps.append((partial(steps.total, reduction, products, axis), tuple(nodes)))
        else:
            term = self._plan(self.rewriting(reduction.term))
            self.steps.append((partial(steps.extreme, reduction, term, axis), (term,)))

    def _plan(self, node: Node) -> Node:
        """Put the steps that compute a node into the list."""
        for one in _within(node, self.planned):
            if isinstance(one, Number) or one.axes not in self.all:
                # Numbers, and what follows from complete reductions, are there before the first block.
                much = math.prod(size for axis, size in self.sizes.items() if axis[0] in one.axes) > _SMALL
                late = self.together and any(node in self.reductions for node in below(one))
                if (late or much) and not isinstance(one, Number):
                    self.steps.append((partial(self._compute_few, one), one.args if isinstance(one, Apply) else ()))
                else:
                    self.few.append(one)
            elif isinstance(one, Apply):
                self.steps.append((partial(steps.function(one, self.wide), one), one.args))
            else:
                self.steps.append((partial(steps.load, one), ()))
        return node

    def _compute_few(self, node: Node, block: Block) -> None:
        """A value on few axes: longdouble where it follows from what has been reduced."""
        if isinstance(node, Number):
            value = node.value
        elif isinstance(node, View):
            value = block.cut(block.of.shown(node))
            value = value if value.dtype == np.longdouble else value.astype(self.wide)
        else:
            assert isinstance(node, Apply)
            args = [block.few[one].value for one in node.args]
            value = np.asarray(node.function(*args, **dict(node.options)))
        wide = value.astype(self.wide) if value.dtype == np.longdouble else value
        block.few[node] = Few(value, wide, wide)


def _within(node: Node, seen: set[Node]) -> Iterator[Node]:
    """What a value is computed from, up to reductions, each once, itself last."""
    if node not in seen:
        seen.add(node)
        for one in node.args if isinstance(node, Apply) else ():
            yield from _within(one, seen)
        yield node


def numbers(order: Sequence[Axis], axes: frozenset[int]) -> tuple[int, ...]:
    return tuple(number for number, (axis, _) in enumerate(order) if axis in axes)
