"""The reference evaluated fast: block by block, in memory that stays in cache, without error bounds.

A result that equals the reference's value, rounded, is right: no derived limit is below half a unit. So most
elements need no bound. The values are as good as a kernel's: the same operations, sums of no more terms one after
another than a kernel's, and what is reduced held in two parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from symbn.run import blocks
from symbn.run.evaluation import Block, Evaluation, Places, Table
from symbn.run.graph import Reduction, View
from symbn.run.passes import Output, largest, passes
from symbn.run.pool import Pool
from symbn.run.space import Axis, Part, Space
from symbn.run.stage import Stage, numbers
from symbn.run.summing import centre
from symbn.run.workers import Workers

Array = Any


class Program:
    """How some outputs are evaluated, for any part of a group: worked out once, run on block after block.

    ``reductions`` are those whose results are not there already; of ``magnitudes`` some terms' magnitudes are added up.
    """

    def __init__(
        self,
        space: Space,
        part: Part,
        outputs: Sequence[Output],
        reductions: Sequence[Reduction],
        wide: Any,
        magnitudes: frozenset[Reduction] = frozenset(),
    ) -> None:
        self.space = space
        self.wide = np.dtype(wide)
        self.magnitudes = magnitudes
        steps = passes(outputs, reductions)
        self.axes = frozenset().union(*(step.axes for step in steps))
        self.order = blocks.ordered(space, part, steps)
        self.sizes = sizes = space.axes(part, self.axes)
        most = max(math.prod(size for axis, size in sizes.items() if axis[0] in step.axes) for step in steps)
        #: how many features a block holds where it holds whole ones
        self.features = blocks.features(part, most)
        # Where it does, what one pass has computed serves the next. It would have short rows of what lies side by side.
        once = most <= blocks.ELEMENTS or (self.features and self.order[-1][0] != part.feature)
        first = [step for step in steps if once and (step.reductions or largest(step, steps))]
        rest = [step for step in steps if step not in first]
        self.stages = [
            Stage(one, self.order, sizes, self.wide, one is first) for one in [first, *([step] for step in rest)] if one
        ]

    def run(
        self,
        part: Part,
        tables: dict[Any, Table],
        workers: Workers,
        differ: Callable[[Output, Places, Evaluation], None],
    ) -> None:
        """Evaluate a part; ``differ`` is told of elements of outputs that are not the rounded value."""
        of = Evaluation(self.space, self.order, part, tables, differ)
        for stage in self.stages:
            for one in stage.reductions:
                tables[one] = self._table(one, of)
            stage.prepare(Block(of, {}, workers.pools[0]))
            sizes = {axis: of.sizes[axis] for axis in self.order if axis[0] in stage.axes}
            ranges = blocks.cut(sizes, (part.feature, self.features) if stage.together else None)
            workers.each(list(ranges), partial(_evaluate, stage, of))
            if not stage.together:
                for one in stage.reductions:
                    tables[one].finish(lambda array: array)

    def _table(self, one: Reduction, of: Evaluation) -> Table:
        """A table to be filled: on the axes of blocks, of which it has length 1 where it does not vary."""
        sizes = of.sizes
        shape = [sizes[axis] if axis[0] in one.axes else 1 for axis in self.order]
        places = {axis: [self.order.index(own) for own in sizes if own[0] == axis] for axis in one.axes}
        count = math.prod(size for axis, size in sizes.items() if axis[0] in one.axis)
        start = {np.prod: 1.0, np.max: -np.inf, np.min: np.inf}.get(one.function, 0.0)
        value = np.full(shape, start, np.longdouble)
        middle = None
        if one.function in (np.sum, np.mean) and isinstance(one.term, View) and isinstance(one.term.source, str):
            # What is given may lie far from zero. What is computed has no digits to lose there.
            middle = centre(of.shown(one.term), numbers(self.order, one.axis), self.wide)
        some = np.zeros(shape) if one in self.magnitudes else None
        return Table(one, count, places, value, middle, some)


def _evaluate(stage: Stage, of: Evaluation, ranges: Mapping[Axis, slice], pool: Pool) -> None:
    stage.run(Block(of, ranges, pool))
