"""Sums of a block's terms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from symbn.run.rounding import finite

#: positions along an axis that tell about where the terms of a sum lie
_SOME = 8
#: so many rows are added one after another, before their sums are
_ROWS = 32
#: elements that BLAS takes without starting threads of its own
_ALONE = 1 << 13
#: and so many terms, on several lanes
_RUN = 512

Array = Any


def added(values: Sequence[Array], axis: tuple[int, ...]) -> Array:
    """The sums of an array, or of the products of two, along some axes, which stay.

    Along the last axis that is not kept it is in runs, or rows by rows where what is kept comes last.
    """
    shape = values[0].shape
    long = [number for number in axis if shape[number] > 1]
    plain = all(one.flags.c_contiguous and one.shape == shape for one in values)
    if not (plain and long and long == list(range(long[0], long[-1] + 1)) and 0 not in shape):
        return np.add.reduce(math.prod(values[1:], start=values[0]), axis, keepdims=True)
    first, last = math.prod(shape[: long[0]]), math.prod(shape[long[-1] + 1 :])
    rows = values[0].size // (first * last)
    run = _RUN if last == 1 else max(1, min(_ROWS, _ALONE // last))
    most = rows - rows % run
    split = [one.reshape(first, rows, last) for one in values]
    if last > 1:
        sums = _over_rows([one[:, :most].reshape(first, -1, run, last) for one in split]).sum(axis=1)
        sums = sums + (_over_rows([one[:, most:] for one in split]) if most < rows else 0)
    else:
        sums = _along([one[:, :most].reshape(first, -1, run) for one in split]).sum(axis=1)
        sums = sums + (_along([one[:, most:, 0] for one in split]) if most < rows else 0)
    return sums.reshape([1 if number in axis else size for number, size in enumerate(shape)])


def _over_rows(values: Sequence[Array]) -> Array:
    """The sums along the last axis but one."""
    if len(values) == 2:
        return np.einsum("...jk,...jk->...k", *values)
    if values[0].dtype == np.float64 and values[0].shape[-1] <= _ALONE:
        return np.matmul(np.ones((1, values[0].shape[-2])), values[0])[..., 0, :]
    return values[0].sum(axis=-2)


def _along(values: Sequence[Array]) -> Array:
    """The sums along the last axis: float64 by BLAS, on so few that it does not start threads of its own."""
    if values[0].dtype == np.float64:
        first, second = values if len(values) == 2 else (values[0], np.ones(values[0].shape[-1]))
        return np.matmul(first[..., None, :], second[..., :, None])[..., 0, 0]
    return np.sum(math.prod(values[1:], start=values[0]), axis=-1)


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
