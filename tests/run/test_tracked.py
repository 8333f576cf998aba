"""Numbers that know how wrong they can be: their error bound really bounds, and is not idle."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbn.run.rounding import Arithmetic
from symbn.run.tracked import Tracked

NARROW, WIDE = Arithmetic(compensated=False), Arithmetic(compensated=True)


def tracked(values, arithmetic=NARROW):
    return Tracked(np.asarray(values, arithmetic.wide), arithmetic)


def exact(array):
    return [Fraction(float(one)) for one in np.ravel(array)]


values = st.lists(st.floats(-1e6, 1e6, width=32).filter(lambda x: abs(x) > 1e-6), min_size=3, max_size=3)
steps = st.lists(st.tuples(st.sampled_from("+-*/s"), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6)


@pytest.mark.parametrize("wide", [False, True])
@settings(max_examples=300, deadline=None, derandomize=True)
@given(values, steps)
def test_the_bound_covers_float64_arithmetic(wide, start, program):
    """Random straight-line programs: once in float64 as a kernel would, once tracked, once in exact rationals."""
    arithmetic = WIDE if wide else NARROW
    kernel = [np.float64(one) for one in start]
    model = [tracked(np.full((1, 1), one), arithmetic) for one in start]
    truth = [Fraction(one) for one in start]
    for op, a, b in program:
        a, b = a % len(kernel), b % len(kernel)
        if max(abs(truth[a]), abs(truth[b])) > 10**30 or (op == "/" and abs(truth[b]) < Fraction(1, 10**3)):
            continue
        for one in (kernel, model, truth):
            results = {
                "+": lambda p, q: p + q,
                "-": lambda p, q: p - q,
                "*": lambda p, q: p * q,
                "/": lambda p, q: p / q,
                "s": lambda p, q: p**2 + q,
            }
            one.append(results[op](one[a], one[b]))
    for number, one in enumerate(model[3:], 3):
        away = abs(Fraction(float(kernel[number])) - truth[number])
        # The bound is of first order: leave the second order's share.
        assert away <= Fraction(float(np.ravel(one.error)[0])) * (1 + Fraction(1, 10**6))
        value = np.ravel(one.value)[0]
        high = float(value)
        own = abs(Fraction(high) + Fraction(float(value - np.longdouble(high))) - truth[number])
        assert own <= Fraction(float(np.ravel(one.error)[0])) * (1 + Fraction(1, 10**6))


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("count", [1, 2, 17, 600, 5000])
@pytest.mark.parametrize("offset", [0.0, 1e4, 1e8])
def test_the_bound_covers_sums(rng, count, offset, mean):
    data = rng.standard_normal((3, count)) + offset
    one = (np.mean if mean else np.sum)(tracked(data), axis=(1,), keepdims=True)
    for row, value, bound in zip(data, np.ravel(one.value), np.ravel(np.broadcast_to(one.error, (3, 1))), strict=True):
        truth = sum(exact(row)) / (count if mean else 1)
        naive = 0.0
        for start in range(0, count, 16):
            naive += float(np.sum(row[start : start + 16]))
        assert abs(Fraction(float(value)) - truth) <= Fraction(float(bound)) + abs(truth) * Fraction(1, 2**53)
        assert abs(Fraction(float(np.sum(row))) / (count if mean else 1) - truth) <= Fraction(float(bound)) * 2
        # ... and says something: it is small against the terms
        assert bound <= 1e-14 * np.abs(row).sum()


def test_inputs_and_numbers_are_exact():
    one = tracked([[1.0, 2.0]])
    assert one.exact
    assert np.all(one.error == 0)
    assert not (one + 1).exact
    assert np.all((one + 1).error > 0)


def test_the_scale_of_a_sum_is_its_largest_term():
    a, b = tracked([[1e6, 1.0]]), tracked([[-1e6, 2.0]])
    assert (a + b).value.tolist() == [[0.0, 3.0]]
    assert (a + b).scale.tolist() == [[1e6, 3.0]]
    assert (a - b).scale.tolist() == [[2e6, 2.0]]


def test_the_scale_of_a_product_is_the_product():
    a, b = tracked([[3.0, -4.0]]), tracked([[-2.0, 0.5]])
    assert (a * b).scale.tolist() == [[6.0, 2.0]]
    assert ((a + b) * b).scale.tolist() == [[2.0, 1.75]]


def test_a_number_scales_the_scale():
    a = tracked([[5.0, 1.0]]) - tracked([[5.0, 2.0]])
    assert (a * 4).scale.tolist() == [[20.0, 8.0]]
    assert (a / 4).scale.tolist() == [[1.25, 0.5]]
    assert (-a).scale.tolist() == [[5.0, 2.0]]


def test_the_scale_of_a_reduction_is_the_sum_of_the_magnitudes():
    a = tracked([[1.0, -2.0, 3.0]])
    assert np.sum(a, axis=(1,), keepdims=True).scale.tolist() == [[6.0]]
    assert np.mean(a, axis=(1,), keepdims=True).scale.tolist() == [[2.0]]
    assert np.mean(a, axis=(1,), keepdims=True).value[0, 0] == pytest.approx(2 / 3, rel=1e-15)


def test_the_scale_through_a_function_is_its_derivatives_share():
    a = tracked([[1e4]]) - tracked([[1e4 - 4.0]])
    assert np.sqrt(a).scale[0, 0] == pytest.approx(1e4 * 0.5 / 2)
    assert np.exp(tracked([[2.0]])).scale[0, 0] == pytest.approx(2 * np.exp(2.0))


@pytest.mark.parametrize("function", [np.sqrt, np.exp, np.log, np.sin, np.tanh, np.arctan, np.abs, np.log1p, np.sinh])
def test_the_bound_covers_functions_of_inexact_arguments(function):
    """The argument has an error: its bound must carry over."""
    third = tracked(np.full((1, 50), 1.0)) / tracked(np.linspace(2.5, 30, 50)[None])
    result = function(third)
    truth = function(np.longdouble(1) / np.linspace(2.5, 30, 50).astype(np.longdouble))
    computed = function(1.0 / np.linspace(2.5, 30, 50))
    assert np.all(np.abs(computed - truth) <= result.error[0])
    assert np.all(result.error[0] <= 1e-13)


def test_a_choice_has_the_error_of_what_is_chosen():
    a, b = tracked([[1.0, 3.0]]) / 3.0, tracked([[2.0, 2.0]])
    chosen = np.where(a > 0.5, a, b)
    assert chosen.value.tolist() == [[2.0, 1.0]]
    assert chosen.error[0, 0] == 0
    assert chosen.error[0, 1] > 0
    assert np.maximum(a, b).value.tolist() == [[2.0, 2.0]]
    assert np.minimum(a, 1).value[0, 1] == 1


def test_extents_can_be_read_off():
    assert tracked(np.zeros((4, 3))).shape == (4, 3)


def test_the_error_model_counts_on_the_kernels_own_tree():
    """The check may not import the kernel's stage, so its two numbers stand there again: they are the same."""
    from symbn.kernel import summation
    from symbn.run import rounding

    assert (rounding.BLOCK, rounding.LANES) == (summation.BLOCK, summation.LANES)
