"""Values as an array on all axes, times a factor, plus a rest, both on few axes: few passes over what is large.

Factors and divisors are collected in one. A number that is subtracted is rounded first, and what that leaves is
carried along until another is added. Sums of all that are sums of the arrays, or of their products.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from symbn.run.graph import Apply, Node, Number, View
from symbn.run.rounding import finite

Array = Any


class Affine(NamedTuple):
    """The base times the factor, plus the rest, which is far below what the base was computed from."""

    base: Node
    factor: Node | None = None
    rest: Node | None = None


class Product(NamedTuple):
    """The product of some values, times a factor that a sum of it has in common."""

    factor: Node | None
    values: tuple[Node, ...]


class Rewriting:
    """Nodes of the same value as others.

    ``all`` are the axes of what is not on few; ``wide`` is the dtype of what is computed on them.
    """

    def __init__(self, all: Collection[frozenset[int]], wide: Any) -> None:
        self.all = all
        self.wide = np.dtype(wide)
        self.known: dict[Node, Node] = {}
        self.parts: dict[Node, Affine] = {}
        #: a node that was made -> the one that it was made for
        self.given: dict[Node, Node] = {}

    def __call__(self, node: Node) -> Node:
        """A node for the value itself."""
        if node not in self.known:
            found = self._affine(node)
            result = self._scaled(found)
            self.known[node] = result if found.rest is None else _made(np.add, result, found.rest)
        return self.known[node]

    def products(self, term: Node, axis: frozenset[int]) -> list[Product]:
        """What a sum of a term along some axes is the sum of; the first is the largest part."""
        if term.axes not in self.all:
            return [Product(None, (self(term),))]
        found = self._affine(term)
        pair = _factors(self.given.get(found.base, found.base))
        if pair is None or not _steady(found, axis):
            parts = self._expanded(term, axis)
        else:
            of = [self._expanded(one, axis) for one in pair]
            parts = [Product(_times(a.factor, b.factor, found.factor), a.values + b.values) for a, b in product(*of)]
            parts += [] if found.rest is None else [Product(found.rest, ())]
        factors: dict[tuple[Node, ...], Node | None] = {}
        for factor, values in parts:
            known = factors.get(values)
            factors[values] = factor if known is None or factor is None else _made(np.add, known, factor)
        return [Product(factor, values) for values, factor in factors.items()]

    def _expanded(self, node: Node, axis: frozenset[int]) -> list[Product]:
        found = self._affine(node)
        if not _steady(found, axis):
            return [Product(None, (self(node),))]
        return [Product(found.factor, (found.base,)), *([] if found.rest is None else [Product(found.rest, ())])]

    def _affine(self, node: Node) -> Affine:
        if node not in self.parts:
            self.parts[node] = self._taken_apart(node)
        return self.parts[node]

    def _taken_apart(self, node: Node) -> Affine:
        if not isinstance(node, Apply):
            return Affine(node)
        large = [one for one in node.args if one.axes == node.axes]
        if node.axes in self.all and len(node.args) == 2:
            if len(large) == 1:
                first = node.args[0] is large[0]
                few = node.args[first]
                if node.function is np.multiply or (node.function is np.divide and first):
                    return self._multiplied(node.function, large[0], few)
                if node.function in (np.add, np.subtract):
                    return self._moved(node, large[0], few, first)
            elif node.function in (np.add, np.subtract):
                return self._both(node)
        args = tuple(map(self, node.args))
        if args == node.args:
            return Affine(node)
        made = Apply(node.axes, node.function, args, node.options, node.stem)
        self.given[made] = node
        return Affine(made)

    def _multiplied(self, function: Any, large: Node, few: Node) -> Affine:
        """A value times a number, or by it."""
        found, factor = self._affine(large), few
        if not all(one is None or one.axes | few.axes != large.axes for one in found[1:]):
            found = Affine(self(large))
        if function is np.divide or found.factor is not None:
            factor = _made(function, _ONE if found.factor is None else found.factor, few)
        return Affine(found.base, factor, None if found.rest is None else _made(_FINITE[function], found.rest, few))

    def _moved(self, node: Apply, large: Node, few: Node, first: bool) -> Affine:
        """A value plus a number, or minus it, or a number minus a value."""
        found = self._affine(large)
        if found.rest is not None and found.rest.axes | few.axes == large.axes:
            found = Affine(self(large))
        if found.rest is not None:
            few = _made(node.function, few, found.rest)
        base = self._scaled(found)
        number, left = (few, None) if found.factor else self._rounded(few)
        moved = _made(node.function, base, number) if first else _made(node.function, number, base)
        if left is not None and first and node.function is np.subtract:
            left = _made(np.negative, left)
        return Affine(moved, None, left)

    def _both(self, node: Apply) -> Affine:
        """The sum or difference of two values; their rests are added to it at once."""
        a, b = map(self._affine, node.args)
        if a.rest is not None and b.rest is not None and a.rest.axes | b.rest.axes == node.axes:
            b = Affine(self(node.args[1]))
        base = _made(node.function, self._scaled(a), self._scaled(b))
        if b.rest is None:
            return Affine(base, None, a.rest)
        if a.rest is None:
            return Affine(base, None, b.rest if node.function is np.add else _made(np.negative, b.rest))
        return Affine(base, None, _made(node.function, a.rest, b.rest))

    def _scaled(self, found: Affine) -> Node:
        return found.base if found.factor is None else _made(np.multiply, found.base, found.factor)

    def _rounded(self, few: Node) -> tuple[Node, Node | None]:
        """A number as one of the wide dtype, and what is left of it, if it may be anything."""
        if self.wide == np.longdouble or (isinstance(few, View) and isinstance(few.source, str)):
            return few, None
        if isinstance(few, Number) and few.value == few.value.astype(self.wide):
            return few, None
        return _made(self._leading, few), _made(self._left, few)

    def _leading(self, few: Array) -> Array:
        return few.astype(self.wide).astype(np.longdouble)

    def _left(self, few: Array) -> Array:
        return finite(few - self._leading(few))


_ONE = Number(frozenset(), np.asarray(1, np.longdouble))


#: infinity times nothing is nothing here
_FINITE = {np.multiply: lambda a, b: finite(a * b), np.divide: lambda a, b: finite(a / b)}


def _made(function: Any, *args: Node) -> Apply:
    return Apply(frozenset().union(*(one.axes for one in args)), function, args, (), object())


def _times(*factors: Node | None) -> Node | None:
    result: Node | None = None
    for one in factors:
        result = one if result is None else result if one is None else _made(np.multiply, result, one)
    return result


def _steady(found: Affine, axis: frozenset[int]) -> bool:
    """Do the factor and the rest not vary along the axes?"""
    return all(one is None or not one.axes & axis for one in found[1:])


def _factors(node: Node) -> tuple[Node, Node] | None:
    """The two values of the same axes that a product or a square has as factors."""
    if isinstance(node, Apply) and node.function is np.multiply and node.args[0].axes == node.args[1].axes:
        return node.args[0], node.args[1]
    if isinstance(node, Apply) and node.function is np.power:
        base, exponent = node.args
        if isinstance(exponent, Number) and exponent.value == 2:
            return base, base
    return None
