"""The bounds of products, maxima and minima: they cover what float64 does, know what is certain, and are not idle."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from symbn.kernel.summation import BLOCK, LANES
from symbn.run.rounding import Arithmetic
from symbn.run.tracked import Tracked

NARROW, WIDE = Arithmetic(compensated=False), Arithmetic(compensated=True)


def tracked(values, arithmetic=NARROW):
    return Tracked(np.asarray(values, arithmetic.wide), arithmetic)


def reduced(function, terms, **options):
    return function(terms, axis=(0,), keepdims=True, **options)


def in_lanes(terms):
    """A product as a kernel forms it."""
    total = 1.0
    for start in range(0, len(terms), BLOCK):
        lanes = np.ones(LANES)
        for place, term in enumerate(terms[start : start + BLOCK]):
            lanes[place % LANES] *= term
        while len(lanes) > 1:
            lanes = lanes[: len(lanes) // 2] * lanes[len(lanes) // 2 :]
        total *= lanes[0]
    return total


@pytest.mark.parametrize("arithmetic", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("count", [1, 2, 17, 600, 1100])
def test_the_bound_of_a_product_covers_the_kernels_and_its_own(rng, arithmetic, count):
    base = rng.uniform(0.7, 1.4, (count, 1))
    terms = tracked(base, arithmetic) / 3.0 * 3.0
    result = reduced(np.prod, terms)
    truth = math.prod(map(Fraction, base[:, 0].tolist()))
    kernel = in_lanes((base[:, 0] / 3.0) * 3.0)
    bound = Fraction(float(result.error[0, 0]))
    assert abs(Fraction(kernel) - truth) <= bound
    high = float(result.value[0, 0])
    assert abs(Fraction(high) + Fraction(float(result.value[0, 0] - np.longdouble(high))) - truth) <= bound
    assert bound <= abs(truth) * Fraction(20 * count + 20, 2**53)
    assert result.scale[0, 0] == abs(result.value[0, 0])


@pytest.mark.parametrize(
    ("terms", "certain"),
    [
        ([1e-200, 1e-200, 1e200, 1e200], False),
        ([1e200, 1e200, 1e-200, 1e-200], False),
        ([1e200, 1e200, 0.0], False),
        ([1e-200, 1e-200, np.inf], False),
        ([1e-100, 1e-100, np.inf], True),
        ([2.0, np.inf, 3.0], True),
        ([np.nan, 1e300, 1e300], True),
        ([1e300, 0.0], True),
    ],
)
def test_where_a_partial_product_may_leave_the_range_nothing_is_known(terms, certain):
    result = reduced(np.prod, tracked(np.array([terms]).T))
    error = float(result.error[0, 0])
    if certain:
        assert error <= 1e-20
    else:
        # What underflows is off by an absolute amount, however small the product.
        assert error == np.inf or error >= 1e70


def test_a_zero_among_the_factors_is_exact():
    result = reduced(np.prod, tracked([[2.0], [0.0], [1e10]]))
    assert result.value[0, 0] == 0
    assert result.error[0, 0] < 1e-300


@pytest.mark.parametrize("function", [np.max, np.min])
def test_a_maximum_of_what_is_given_has_no_error(function):
    result = reduced(function, tracked([[3.0, -1.0], [2.0, -5.0]]), initial=-np.inf if function is np.max else np.inf)
    assert result.exact
    assert result.value.tolist() == [[3.0, -1.0] if function is np.max else [2.0, -5.0]]


def test_a_maximum_is_as_wrong_as_the_terms_that_may_be_it():
    third = tracked([[3e9, 1.0], [-9e9, 1.0]]) / 3.0
    top, bottom = (reduced(np.max, third, initial=-np.inf), reduced(np.min, third, initial=np.inf))
    assert top.error[0, 0] == pytest.approx(float(third.error[0, 0]), rel=1e-6)
    assert bottom.error[0, 0] == pytest.approx(float(third.error[1, 0]), rel=1e-6)
    assert top.value.tolist() == [[1e9, float(third.value[0, 1])]]


def test_its_scale_is_that_of_the_terms_that_may_be_it():
    x = tracked([[1e6], [1e6 + 2]])
    shifted = x - 1e6
    assert reduced(np.max, shifted, initial=-np.inf).scale[0, 0] == 1e6 + 2
    assert reduced(np.min, shifted, initial=np.inf).scale[0, 0] == 1e6


def test_the_one_term_that_can_be_the_maximum_is_it():
    terms = tracked([[1.0, 1.0, 1.0], [2.0, 2.0, 5.0]]) / 3.0
    terms = terms + tracked([[0.0, 1.0 / 3.0, 0.0], [0.0, 0.0, 0.0]])
    top = reduced(np.max, terms, initial=-np.inf)
    assert (terms == top).uncertain.tolist() == [[False, True, False], [False, True, False]]
    # Wherever the terms are moved, but not for others of the same value.
    moved, across = np.moveaxis(terms, [0, 1], [1, 0]), np.moveaxis(top, [0, 1], [1, 0])
    assert (moved == across).uncertain.tolist() == [[False, False], [True, True], [False, False]]
    other = terms * 3.0 / 3.0
    assert (other == top).uncertain[1].tolist() == [True, True, True]


def test_what_is_counted_is_counted_exactly():
    ones = np.where(tracked([[1.0], [2.0], [1.0]]) == 1.0, 1, 0)
    count = reduced(np.sum, ones)
    assert count.value[0, 0] == 2
    assert count.error[0, 0] == 0
    assert not (count == 2).uncertain[0, 0]
    # Thirds are not whole, and their sum is rounded.
    assert reduced(np.sum, tracked([[1.0], [2.0]]) / 3.0).error[0, 0] > 0
    # Beyond 2**53 whole numbers are rounded too.
    assert reduced(np.sum, tracked([[2.0**53], [1.0]])).error[0, 0] > 0


@pytest.mark.parametrize("after", [lambda a: a * 0.0, lambda a: 1.0 / a, lambda a: a / np.inf, np.sqrt, lambda a: a**3])
def test_of_what_nothing_is_known_nothing_is_known_after(after):
    lost = reduced(np.prod, tracked([[1e200], [1e200]]))
    assert lost.error[0, 0] == np.inf
    with np.errstate(all="ignore"):
        assert after(lost).error[0, 0] == np.inf
