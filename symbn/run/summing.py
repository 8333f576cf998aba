"""Sums of a block's terms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symbn.run.rounding import finite

#: positions along an axis that tell about where the terms of a sum lie
_SOME = 8
#: so many rows are added one after another, before their sums are
_ROWS = 16

Array = Any


def added(terms: Array, axis: tuple[int, ...]) -> Array:
    """The sums along some axes, which stay: in runs of NumPy's own, or rows by rows where what is kept comes last."""
    shape = terms.shape
    long = [number for number in axis if shape[number] > 1]
    if long and long == list(range(long[0], long[-1] + 1)) and terms.flags.c_contiguous and 0 not in shape:
        parts = shape[: long[0]], shape[long[0] : long[-1] + 1], shape[long[-1] + 1 :]
        first, rows, last = map(math.prod, parts)
        if last > 1:
            most = rows - rows % _ROWS
            blocks = terms.reshape(first, rows, last)
            sums = blocks[:, :most].reshape(first, -1, _ROWS * last).sum(axis=1).reshape(first, _ROWS, last).sum(axis=1)
            sums = sums + blocks[:, most:].sum(axis=1)
        else:
            sums = terms.reshape(first, rows).sum(axis=1)
        return sums.reshape([1 if number in axis else size for number, size in enumerate(shape)])
    return np.add.reduce(terms, axis, keepdims=True)


def centre(terms: Array, axis: tuple[int, ...], wide: Any) -> Array | None:
    """About the means of terms where they are large against the spread, and zero elsewhere; None where it is all zero.

    It is taken from some of the terms. It has few digits, so that terms that are whole numbers, or few digits each, are
    still added without rounding.
    """
    some = terms[tuple(slice(_SOME) if number in axis else slice(None) for number in range(terms.ndim))].astype(wide)
    count = max(math.prod(some.shape[number] for number in axis), 1)
    mean = finite(np.add.reduce(some, axis, keepdims=True) / count)
    squares = np.add.reduce(np.square(some), axis, keepdims=True) / count
    mantissa, exponent = np.frexp(mean)
    centre = np.where(np.square(mean) > 0.9 * squares, np.ldexp(np.rint(mantissa * 1024) / 1024, exponent), 0.0)
    return centre.astype(wide) if centre.any() else None
