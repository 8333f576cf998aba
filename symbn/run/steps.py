"""What is done on one block: values are loaded and computed, reduced, compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symbn.run.affine import Product
from symbn.run.evaluation import Block
from symbn.run.graph import Apply, Node, Reduction, View
from symbn.run.passes import Output
from symbn.run.summing import added

#: one in so many of the terms of a sum, if they are many, gives a lower bound of their magnitudes' sum
_PARTS, _MANY = 4, 512

Array = Any


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
    out = block.result(node, node.args)
    if node.function is np.power and args[1].ndim == 0 and args[1] == 2:
        np.square(args[0], out=out)
    else:
        node.function(*args, out=out)
    block.full[node] = out


def choice(node: Apply, block: Block) -> None:
    condition, yes, no = (block.narrow(one) for one in node.args)
    out = block.pool.take(block.shape(node.axes))
    np.copyto(out, no, casting="same_kind")
    np.copyto(out, yes, casting="same_kind", where=condition)
    block.full[node] = out


def any_function(node: Apply, block: Block) -> None:
    """Any other function; a number that the wide dtype holds is given in it, or all would be computed in its own."""
    args = [block.full[one] if one in block.full else block.few[one].exact for one in node.args]
    block.full[node] = node.function(*args, **dict(node.options))


def extreme(one: Reduction, term: Node, axis: tuple[int, ...], block: Block) -> None:
    """A product, a maximum or a minimum."""
    terms, table = block.value(term), block.of.tables[one]
    merge: Any
    if one.function is np.prod:
        merge, found = np.multiply, np.multiply.reduce(terms.astype(np.longdouble), axis, keepdims=True)
    elif terms.size:
        merge = np.maximum if one.function is np.max else np.minimum
        found = merge.reduce(terms, axis, keepdims=True)
    else:
        return
    with table.lock:
        value = block.cut(table.value)
        merge(value, found, out=value)


def total(one: Reduction, products: Sequence[Product], axis: tuple[int, ...], block: Block) -> None:
    """A sum, or a mean before it is divided: of each product the sum, times its factor."""
    table, pool = block.of.tables[one], block.pool
    # A block's sum has the wide dtype's digits, whatever its factor has.
    found: Any = 0
    for factor, values in products:
        arrays = [block.value(node) for node in values]
        if table.centre is not None:
            arrays = [np.subtract(arrays[0], block.cut(table.centre), out=pool.take(arrays[0].shape))]
        shape = block.shape(one.term.axes)
        sums = added(arrays, axis) if arrays else float(math.prod(shape[number] for number in axis))
        found = found + (sums if factor is None else block.few[factor].wide * sums)
        if table.centre is not None:
            pool.give(arrays[0])
    with table.lock:
        value = block.cut(table.value)
        value += found
        # Squares are their own magnitudes.
        if table.centre is None and table.some is not None and len(set(products[0].values)) == len(products[0].values):
            some = block.cut(table.some)
            some += _magnitudes(products[0], axis, block)


def _magnitudes(one: Product, axis: tuple[int, ...], block: Block) -> Array:
    """Of some of the terms of a sum, or all if they are few, the sum of the magnitudes."""
    arrays = [block.value(node) for node in one.values]
    shape = arrays[0].shape
    if math.prod(shape[number] for number in axis) >= _MANY:
        along = next((number for number in axis if shape[number] >= _PARTS), axis[-1])
        first = slice(-(-shape[along] // _PARTS))
        some = tuple(first if number == along else slice(None) for number in range(len(shape)))
        arrays = [array[some] for array in arrays]
    terms = block.pool.take(arrays[0].shape)
    np.abs(arrays[0] if len(arrays) == 1 else np.multiply(arrays[0], arrays[1], out=terms), out=terms)
    sums = np.add.reduce(terms, axis, keepdims=True)
    block.pool.give(terms)
    return sums if one.factor is None else sums * np.abs(block.few[one.factor].wide)


def finish(one: Reduction, block: Block) -> None:
    block.of.tables[one].finish(block.cut)


def compare(output: Output, node: Node, block: Block) -> None:
    """What differs from the expected values, rounded, is reported."""
    computed, pool = block.cut(block.of.output(output.name)), block.pool
    expected = block.value(node)
    rounded = pool.take(expected.shape, computed.dtype)
    np.copyto(rounded, expected, casting="same_kind")
    wrong = np.not_equal(rounded, computed, out=pool.take(computed.shape, bool))
    if wrong.any():
        found = zip(block.of.order, block.ranges, np.nonzero(wrong), strict=True)
        places = {
            axis: place if one is None or axis[0] not in output.axes else place + one.start
            for axis, one, place in found
        }
        block.of.differ(output, places, block.of)
    pool.give(rounded)
    pool.give(wrong)


def function(node: Apply, wide: Any) -> Callable[[Apply, Block], None]:
    """The step that computes a function."""
    return elementwise if _fits(node, wide) else choice if node.function is np.where else any_function


def _fits(node: Apply, wide: Any) -> bool:
    """Does the function give numbers of the wide dtype for such numbers?"""
    kind = np.dtype(wide).char
    return not node.options and f"{kind * len(node.args)}->{kind}" in getattr(node.function, "types", ())
