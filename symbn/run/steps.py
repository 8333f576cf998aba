"""What is done on one block: values are loaded and computed, reduced, compared."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symbn.run.evaluation import Block
from symbn.run.graph import Apply, Node, Reduction, View
from symbn.run.passes import Output
from symbn.run.summing import added

#: one in so many of the terms of a sum, if they are many, gives a lower bound of their magnitudes' sum
_PARTS, _MANY = 4, 512


def load(node: Node, block: Block) -> None:
    assert isinstance(node, View)
    shown = block.cut(block.of.shown(node))
    if shown.dtype == np.longdouble:
        block.full[node] = shown
    else:
        block.full[node] = block.pool.take(shown.shape)
        np.copyto(block.full[node], shown)


def elementwise(node: Apply, block: Block) -> None:
    """A function of arrays on all axes, and of others."""
    args = [block.narrow(one) for one in node.args]
    if any(one.dtype != block.pool.dtype for one in args):
        any_function(node, block)
        return
    out = block.take(node.axes)
    if node.function is np.power and args[1].ndim == 0 and args[1] == 2:
        np.square(args[0], out=out)
    else:
        node.function(*args, out=out)
    if node.function in (np.add, np.subtract):
        for number, one in enumerate(node.args):
            low = None if one in block.full else block.few[one].low
            if low is not None:
                (np.subtract if number and node.function is np.subtract else np.add)(out, low, out=out)
    block.full[node] = out


def choice(node: Apply, block: Block) -> None:
    condition, yes, no = (block.narrow(one) for one in node.args)
    out = block.take(node.axes)
    np.copyto(out, no, casting="same_kind")
    np.copyto(out, yes, casting="same_kind", where=condition)
    block.full[node] = out


def any_function(node: Apply, block: Block) -> None:
    """Any other function; a number that the wide dtype holds is given in it, or all would be computed in its own."""
    args = [block.full[one] if one in block.full else block.few[one].exact for one in node.args]
    block.full[node] = node.function(*args, **dict(node.options))


def reduce(one: Reduction, term: Node, axis: tuple[int, ...], block: Block) -> None:
    table, pool = block.of.tables[one], block.pool
    terms = block.full[term] if term in block.full else block.few[term].value
    value = block.cut(table.value)
    if one.function is np.prod:
        value *= np.multiply.reduce(terms.astype(np.longdouble), axis, keepdims=True)
    elif one.function in (np.max, np.min) and terms.size:
        merge = np.maximum if one.function is np.max else np.minimum
        merge(value, merge.reduce(terms, axis, keepdims=True), out=value)
    elif one.function in (np.sum, np.mean):
        if table.centre is None:
            value += added(terms, axis)
        else:
            moved = np.subtract(terms, block.cut(table.centre), out=pool.take(terms.shape))
            value += added(moved, axis)
            pool.give(moved)
        if table.centre is None and table.some is not None:
            some = terms
            if math.prod(terms.shape[number] for number in axis) >= _MANY:
                along = next((number for number in axis if terms.shape[number] >= _PARTS), axis[-1])
                first = slice(-(-terms.shape[along] // _PARTS))
                some = terms[tuple(first if number == along else slice(None) for number in range(terms.ndim))]
            total = block.cut(table.some)
            total += np.add.reduce(np.abs(some), axis, keepdims=True)


def finish(one: Reduction, block: Block) -> None:
    block.of.tables[one].finish(block.cut)


def compare(output: Output, node: Node, block: Block) -> None:
    computed = block.cut(block.of.output(output.name))
    expected = block.full[node] if node in block.full else block.few[node].value
    wrong = expected.astype(computed.dtype) != computed
    if wrong.any():
        found = zip(block.of.order, block.ranges, np.nonzero(wrong), strict=True)
        places = {
            axis: place if one is None or axis[0] not in output.axes else place + one.start
            for axis, one, place in found
        }
        block.of.differ(output, places, block.of)


def function(node: Apply, wide: Any) -> Callable[[Apply, Block], None]:
    """The step that computes a function."""
    return elementwise if _fits(node, wide) else choice if node.function is np.where else any_function


def _fits(node: Apply, wide: Any) -> bool:
    """Does the function give numbers of the wide dtype for such numbers?"""
    kind = np.dtype(wide).char
    return not node.options and f"{kind * len(node.args)}->{kind}" in getattr(node.function, "types", ())
