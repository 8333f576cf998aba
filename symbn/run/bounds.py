"""The reference evaluated on numbers that know how wrong they can be: on a part, or at single elements of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symbn.run.evaluation import Evaluation, Places
from symbn.run.graph import Apply, Constant, Node, Number, Reduction, View
from symbn.run.rounding import ROUNDINGS, Arithmetic
from symbn.run.space import Axis, Part, Space
from symbn.run.tracked import Condition, Tracked

Array = Any

#: functions whose result a kernel rounds, so that each term of a sum has an error of its own
_ROUNDED = frozenset({np.add, np.subtract, np.multiply, np.divide, np.power})
_COMPARISONS = frozenset({np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal})


def applied(node: Node, arithmetic: Arithmetic, leaf: Callable[[View], Tracked], known: dict[Any, Any]) -> Any:
    """The value of a node, from what ``leaf`` gives for views; ``known`` keeps what has been evaluated."""
    if node not in known:
        if isinstance(node, View):
            known[node] = leaf(node)
        elif isinstance(node, Number):
            known[node] = Tracked(node.value, arithmetic)
        elif isinstance(node, Apply):
            args = [applied(one, arithmetic, leaf, known) for one in node.args]
            result = node.function(*args, **dict(node.options))
            if isinstance(result, Tracked) and not any(result is one for one in args):
                result.origin = node.stem
            known[node] = result
    return known[node]


class Derived:
    """Values, scales and bounds on a part of a space, with one axis for each of the reference's."""

    def __init__(self, space: Space, part: Part, arithmetic: Arithmetic) -> None:
        self.space = space
        self.part = part
        self.arithmetic = arithmetic
        self.known: dict[Any, Any] = {}

    def value(self, node: Node) -> Tracked:
        result: Tracked = applied(node, self.arithmetic, self._leaf, self.known)
        return result

    def array(self, name: str) -> Array:
        """An output, on the axes of the reference."""
        return self._flat(self.space.output(name, self.part, self._order()))

    def _order(self) -> list[Axis]:
        return list(self.space.axes(self.part, range(len(self.space.sizes))))

    def _flat(self, laid: Array) -> Array:
        numbers = [axis for axis, _ in self._order()]
        return laid.reshape(
            [
                math.prod(size for size, one in zip(laid.shape, numbers, strict=True) if one == axis)
                for axis in range(len(self.space.sizes))
            ]
        )

    def _leaf(self, view: View) -> Tracked:
        if isinstance(view.source, Reduction):
            return self._reduced(view, view.source)
        if isinstance(view.source, Constant):
            laid = self.space.constant(view, view.source.array, self.part, self._order())
            return Tracked(self._flat(laid), self.arithmetic)
        laid = self._flat(self.space.laid(view, self.part, self._order()))
        result = Tracked(np.ascontiguousarray(laid, dtype=self.arithmetic.wide), self.arithmetic)
        if None not in view.entries:
            # The same elements as in another view of the array, in other places.
            result.origin = view.source
        return result

    def _reduced(self, view: View, one: Reduction) -> Tracked:
        if one not in self.known:
            self.known[one] = one(self.value(one.term))
        result: Tracked = self.known[one]
        order = list(view.entries) + [None] * (len(self.space.sizes) - len(view.entries))
        rest = iter(sorted(set(range(len(order))) - set(order)))
        filled = [next(rest) if own is None else own for own in order]
        if filled != sorted(filled):
            result = result.moved(lambda a: a.transpose(filled))
        feature = self.part.feature
        if feature is not None and order[feature] not in (None, feature):
            key = (*(slice(None) for _ in range(feature)), self.part.picks)
            result = result[key]
        return result


def at_places(node: Node, evaluation: Evaluation, places: Places, arithmetic: Arithmetic) -> Tracked:
    """The value at some elements of a part, with a scale and a bound that are none too large.

    What has been reduced is taken as the evaluation has it. Of the bound of a sum that is an output, half is left
    for what its value here may differ from a better one; of any other nothing is counted.
    """

    def gathered(laid: Array) -> Array:
        key = tuple(
            places[axis] if size > 1 else np.zeros_like(places[axis])
            for axis, size in zip(evaluation.order, laid.shape, strict=True)
        )
        return laid[key]

    def leaf(view: View) -> Tracked:
        value = gathered(evaluation.shown(view))
        if not isinstance(view.source, Reduction):
            return Tracked(value.astype(arithmetic.wide, copy=False), arithmetic)
        return Tracked(value, arithmetic, None, lambda: 0.0 * np.abs(value))

    if isinstance(node, View) and isinstance(node.source, Reduction):
        return _sum_at_least(node, evaluation, gathered, arithmetic)
    known: dict[Any, Any] = {}
    _without_doubt(node, arithmetic, leaf, known)
    result: Tracked = applied(node, arithmetic, leaf, known)
    return result


def _without_doubt(node: Node, arithmetic: Arithmetic, leaf: Callable[[View], Tracked], known: dict[Any, Any]) -> None:
    """Let no comparison below the node be uncertain: that would make a bound larger."""
    if isinstance(node, Apply):
        for one in node.args:
            _without_doubt(one, arithmetic, leaf, known)
        if node.function in _COMPARISONS and node not in known:
            a, b = (applied(one, arithmetic, leaf, known) for one in node.args)
            known[node] = Condition(node.function(a.value, b.value), arithmetic, lambda: np.False_)


def _sum_at_least(
    view: View, evaluation: Evaluation, gathered: Callable[[Array], Array], arithmetic: Arithmetic
) -> Tracked:
    """A reduction's value with what is certain of its scale and bound."""
    assert isinstance(view.source, Reduction)
    table, one = evaluation.tables[view.source], view.source
    value = gathered(evaluation.shown(view))
    if one.function not in (np.sum, np.mean):
        return Tracked(value, arithmetic, None, lambda: 0.0 * np.abs(value))
    mean = one.function is np.mean

    def scale() -> Array:
        if table.some is None:
            return np.abs(value)
        some = gathered(table.laid(table.some, view, evaluation.part, evaluation.order))
        return np.maximum(np.abs(value), some / (max(table.count, 1) if mean else 1))

    def error() -> Array:
        bound = arithmetic.sum_error(table.count, scale(), 0.0, levels=1)
        if isinstance(one.term, Apply) and one.term.function in _ROUNDED:
            bound = bound + ROUNDINGS * arithmetic.roundoff * scale()
        bound = bound / 2
        # Whole numbers may have been added without rounding.
        return np.where(value == np.rint(value), 0.0, bound)

    return Tracked(value, arithmetic, scale, error, two_part=mean)
