"""What a check compares together: outputs whose elements along an axis, the feature, do not depend on each other."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from symbn.run.graph import Reduction, View, below
from symbn.run.passes import Output
from symbn.run.space import EVERYTHING, Part, Space

#: what a sample of a small array has of its features, and of a large one
SAMPLE_SMALL, SAMPLE_LARGE = 1 / 32, 1 / 1024
#: an array of so many elements is large: the cost of a sample is to be small against the kernel's
LARGE = 1 << 20
#: a sample of a large array is drawn in lots of so many elements, which are worth the effort
LOT = 1 << 16
#: elements of a part, of which arrays are picked at once
PART = 1 << 19
#: so many features make a part even if they are long
FEATURES = 64
#: elements that are held at once where limits are derived
PIECE = 1 << 16
#: features side by side in memory that are worth a loop, and those that come from memory together
_SIDE_BY_SIDE, _RUN = 1024, 16

# Not the module's functions: a program's random.seed must not make every run check the same features.
_random = random.Random()


@dataclass(frozen=True)
class Group:
    """Outputs that have a feature in common, or none."""

    outputs: tuple[Output, ...]
    feature: int | None

    def reductions(self) -> list[Reduction]:
        seen: dict[object, None] = {}
        nodes = [node for output in self.outputs for node in below(output.node, seen)]
        return [node for node in nodes if isinstance(node, Reduction)]


def features(output: Output) -> frozenset[int]:
    """The axes of an output along which its elements do not depend on each other.

    If there are any along which nothing is shared, they alone.
    """
    nodes = list(below(output.node))
    found = set(output.axes)
    apart = set(output.axes).intersection(*(one.axes for one in nodes if isinstance(one, Reduction)))
    for node in nodes:
        if isinstance(node, Reduction):
            found -= node.axis
        elif isinstance(node, View) and isinstance(node.source, Reduction):
            # A result at another feature's place takes the whole array.
            found -= {own for own in node.source.axes if node.entries[own : own + 1] != (own,)}
    return frozenset(found & apart or found)


def groups(outputs: Sequence[Output], space: Space) -> list[Group]:
    """The outputs in as few groups as can be."""
    left = {output: features(output) for output in outputs}
    result = []
    while left:
        candidates = sorted(frozenset().union(*left.values()))
        if not candidates:
            result.append(Group(tuple(left), None))
            break

        # What the most outputs have; then what is cut without a copy; then what is cut into whole stretches of memory.
        shared = {axis: sum(axis in one for one in left.values()) for axis in candidates}
        best = max(
            (axis for axis in candidates if shared[axis] == max(shared.values())),
            key=lambda axis: (len(space.sizes[axis]) == 1, _stride(space, axis)),
        )
        chosen = tuple(output for output, axes in left.items() if best in axes)
        result.append(Group(chosen, best))
        left = {output: axes for output, axes in left.items() if output not in chosen}
    return result


def _stride(space: Space, axis: int) -> int:
    """How far apart elements along an axis lie in the largest array."""
    strides = [
        (array.size, max(abs(array.strides[own]) for own in numbers[axis]))
        for array, numbers in space.arrays.values()
        if numbers.get(axis)
    ]
    return max(strides, default=(0, 0))[1]


def elements(group: Group, space: Space) -> int:
    """How many elements the largest of the group's values has."""
    axes = [output.axes for output in group.outputs] + [one.term.axes for one in group.reductions()]
    return max(math.prod(space.extent(axis) for axis in one) for one in axes)


def parts(group: Group, space: Space) -> Iterator[Part]:
    """All of a group, a part at a time."""
    if group.feature is None:
        yield EVERYTHING
        return
    count = space.extent(group.feature)
    step = _step(group, space)
    for start in range(0, count, step):
        yield Part(group.feature, slice(start, min(start + step, count)))


def _step(group: Group, space: Space) -> int:
    """How many features make a part: so many elements, and what lies side by side in memory."""
    assert group.feature is not None
    count = space.extent(group.feature)
    step = max(PART * count // max(elements(group, space), 1), min(FEATURES, count))
    if _side_by_side(group, space):
        step = max(step, _SIDE_BY_SIDE)
    return max(step, 1)


def _side_by_side(group: Group, space: Space) -> bool:
    """Do features lie side by side in memory?"""
    array, numbers = max(space.arrays.values(), key=lambda one: one[0].size)
    own = numbers.get(group.feature, []) if group.feature is not None else []
    return bool(own) and abs(array.strides[own[-1]]) == array.itemsize


def pieces(group: Group, space: Space, part: Part) -> Iterator[Part]:
    """A part in pieces of about PIECE elements."""
    if part.feature is None:
        yield part
        return
    step = max(1, PIECE * space.extent(part.feature) // max(elements(group, space), 1))
    for start in range(0, part.count, step):
        yield Part(part.feature, part.positions[start : start + step])


def expected_lots(group: Group, space: Space) -> float:
    """How many lots a sample has in the mean.

    Of a large array each feature is drawn with probability SAMPLE_LARGE, together with others that make a lot: many
    samples have none. Of a small one a feature is a lot, and there is always one.
    """
    size = elements(group, space)
    count = 1 if group.feature is None else space.extent(group.feature)
    if size < LARGE:
        return math.ceil(count * SAMPLE_SMALL)
    run, runs = _lot(group, space)
    return -(-count // run) / runs * SAMPLE_LARGE


def _lot(group: Group, space: Space) -> tuple[int, int]:
    """How many features are drawn as one, and how many times that many make a lot."""
    size = elements(group, space)
    if size < LARGE or group.feature is None:
        return 1, 1
    run = _RUN if _side_by_side(group, space) else 1
    return run, max(1, LOT * space.extent(group.feature) // (size * run))


def drawn_lots(expected: Sequence[float]) -> list[int]:
    """Numbers of lots that are as expected in the mean."""
    return [int(one + _random.random()) for one in expected]


def drawn(group: Group, space: Space, lots: int) -> Iterator[Part]:
    """So many lots of a group: each feature is as likely as any other, and others are drawn each time."""
    if not lots:
        return
    if group.feature is None:
        yield EVERYTHING
        return
    size, count = elements(group, space), space.extent(group.feature)
    run, runs = _lot(group, space)
    starts = range(0, count, run)
    chosen = sorted(_random.sample(starts, min(len(starts), lots * runs)))
    picks = np.array([at for start in chosen for at in range(start, min(start + run, count))])
    step = max(1, PART * count // max(size, 1))
    for start in range(0, len(picks), step):
        yield Part(group.feature, picks[start : start + step])
