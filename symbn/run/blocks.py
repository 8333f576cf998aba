"""Blocks: ranges along the axes of a part, whose elements stay in cache while they are worked on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from symbn.run.graph import View, below
from symbn.run.passes import Pass
from symbn.run.space import Axis, Part, Space

#: elements of one block: what a second-level cache holds of several values
ELEMENTS = 1 << 16
#: so many times as many are one of whole features: few values of it are needed at a time
_WHOLE = 2
#: a loop along an axis shorter than that is slow
_SHORT = 32


def ordered(space: Space, part: Part, steps: Sequence[Pass]) -> list[Axis]:
    """The axes as a block has them: those that are kept first, the others as in memory, so that loops are long.

    What is side by side in memory stays last, if it is long.
    """
    sizes = space.axes(part, range(len(space.sizes)))
    nodes = list(dict.fromkeys(one for step in steps for node in step.nodes() for one in below(node)))
    strides = dict.fromkeys(sizes, 0)
    views = [node for node in nodes if isinstance(node, View)]
    for view in sorted(views, key=lambda one: len(one.axes)):
        if isinstance(view.source, str):
            order = [axis for axis in sizes if axis[0] in view.axes]
            found = zip(order, space.laid(view, part, order).strides, strict=True)
            strides.update({axis: abs(stride) for axis, stride in found if stride and sizes[axis] > 1})
    memory = sorted(sizes, key=lambda axis: -strides[axis])
    whole = max((step.axes for step in steps), key=len)
    kept = {axis for view in views if view.axes < whole for axis in view.axes}
    kept |= {axis for step in steps for one in step.reductions for axis in one.axes}
    least = min((stride for stride in strides.values() if stride), default=0)
    last = [axis for axis in memory if strides[axis] == least and sizes[axis] >= _SHORT]
    rest = [axis for axis in memory if axis not in last]
    first = sorted((axis for axis in rest if axis[0] in kept), key=lambda axis: axis[0] != part.feature)
    return [*first, *(axis for axis in rest if axis[0] not in kept), *last]


def most() -> int:
    """How many elements a block has at most."""
    return ELEMENTS * _WHOLE


def features(part: Part, elements: int) -> int:
    """How many whole features a block holds, of a part of so many elements; 0 where it does not hold one."""
    if part.feature is None:
        return 0
    each = max(elements // max(part.count, 1), 1)
    return most() // each


def cut(sizes: Mapping[Axis, int], features: tuple[int | None, int] | None) -> Iterator[dict[Axis, slice]]:
    """Ranges along the axes, of ELEMENTS at most together: whole inner axes, a few of the next, one of others.

    Or nothing is cut but one axis, the feature, into so many.
    """
    if 0 in sizes.values():
        # Reductions of nothing have a result.
        yield {axis: slice(0, size) for axis, size in sizes.items()}
        return
    if features is None:
        room, steps = ELEMENTS, {}
        for axis, size in reversed(list(sizes.items())):
            steps[axis] = max(1, min(size, room))
            room //= size
    else:
        steps = dict(sizes)
        steps.update({axis: max(1, min(sizes[axis], features[1])) for axis in sizes if axis[0] == features[0]})
    # As even as can be.
    steps = {axis: -(-sizes[axis] // -(-sizes[axis] // step)) for axis, step in steps.items()}
    starts = [range(0, size, steps[axis]) for axis, size in sizes.items()]
    ranges = [
        [slice(at, min(at + one.step, size)) for at in one] for one, size in zip(starts, sizes.values(), strict=True)
    ]
    for chosen in product(*ranges):
        yield dict(zip(sizes, chosen, strict=True))
