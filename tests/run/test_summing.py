"""Sums along axes of a block, against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from symbn.run.summing import added


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble])
@pytest.mark.parametrize("factors", [1, 2])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((2, 3, 700), (1, 2)),  # what is summed is last: whole runs and a rest
        ((2, 512), (1,)),
        ((70, 3), (0,)),  # rows
        ((2, 9, 1500), (1,)),  # long rows
        ((3, 2, 5), (0, 2)),  # not side by side
        ((4, 1, 3), (1,)),
    ],
)
def test_a_sum_is_that_of_its_terms(rng, shape, axis, factors, dtype):
    values = [rng.standard_normal(shape).astype(dtype) for _ in range(factors)]
    sums = added(values, axis)
    terms = np.vectorize(lambda *numbers: np.prod([Fraction(float(one)) for one in numbers]), otypes=[object])(*values)
    exact = terms.sum(axis=axis, keepdims=True)
    size = np.abs(terms).sum(axis=axis, keepdims=True)
    assert sums.shape == exact.shape
    error = np.vectorize(lambda one, other: abs(Fraction(float(one)) - other), otypes=[object])(sums, exact)
    assert np.all(error <= 16 * Fraction(2) ** -53 * size)


def test_what_is_not_contiguous_is_summed_too(rng):
    terms = rng.integers(-9, 9, (6, 40)).astype(float)
    np.testing.assert_array_equal(added([terms.T], (0,)), terms.sum(axis=1)[None])
    np.testing.assert_array_equal(
        added([terms[:, ::2], terms[:, 1::2]], (1,)), (terms[:, ::2] * terms[:, 1::2]).sum(1)[:, None]
    )
