"""float64 kernels of a user's equations: rounded once, and as IEEE 754 has it where something is not finite."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from sympy import Abs, Eq, Idx, IndexedBase, Max, Piecewise, Sum, Symbol, exp, symbols, tanh

import symbn

LIMIT = 0.51

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, y, gamma, beta, mu, mad, top, total = map(IndexedBase, ("x", "y", "gamma", "beta", "mu", "mad", "top", "total"))
epsilon = Symbol("epsilon", positive=True)


@pytest.fixture(scope="module")
def l1():
    equations = [
        Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
        Eq(mad[k], Sum(Abs(x[i, k] - mu[k]), (i, 1, m)) / m),
        Eq(y[i, k], gamma[k] * (x[i, k] - mu[k]) / (mad[k] + epsilon) + beta[k]),
    ]
    return symbn.build(symbn.Operator("l1_batch_norm", equations, outputs=[y, mu, mad]), dtype="float64")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("m", [1, 2, 3, 17, 512, 513, 1500])
def test_l1_batch_norm_of_hard_data(oracle, hard_data, rng, l1, m, order):
    columns = hard_data.columns(rng, m, np.float64)
    data = np.array(np.stack(list(columns.values()), axis=1), order=order)
    g, b = rng.uniform(0.5, 2, len(columns)), rng.standard_normal(len(columns))
    result = l1(x=data, gamma=g, beta=b, epsilon=1e-5)
    for number, name in enumerate(columns):
        values = [Fraction(one) for one in data[:, number].tolist()]
        mean = sum(values) / m
        magnitude, spread = (sum(abs(one - centre) for one in values) / m for centre in (0, mean))
        assert oracle.error(result.mu[number], mean, magnitude, np.float64) <= LIMIT, name
        assert oracle.error(result.mad[number], spread, spread, np.float64) <= LIMIT, name
        for place in {0, m // 2, m - 1, *rng.integers(0, m, 10).tolist()}:
            product = Fraction(g[number]) * (values[place] - mean) / (spread + Fraction(1e-5))
            expected = product + Fraction(b[number])
            scale = max(abs(expected), abs(product), abs(Fraction(b[number])))
            assert oracle.error(result.y[place, number], expected, scale, np.float64) <= LIMIT, name


def test_a_function_brings_its_own_error_and_no_more(oracle, rng):
    """Softmax of large differences: exp is good to about half an ulp of its own, of what the difference was exactly."""
    equations = [
        Eq(top[i], symbn.ReduceMax(x[i, k], (k, 1, n))),
        Eq(total[i], Sum(exp(x[i, k] - top[i]), (k, 1, n))),
        Eq(y[i, k], exp(x[i, k] - top[i]) / total[i]),
    ]
    kernel = symbn.build(symbn.Operator("shifted_softmax", equations, outputs=[y]), dtype="float64")
    data = rng.standard_normal((7, 513)) * 100 + 0.1
    found = kernel(x=data)
    for row in range(len(data)):
        exact = [mpmath.exp(mpmath.mpf(one) - mpmath.mpf(data[row].max())) for one in data[row].tolist()]
        whole = mpmath.fsum(exact)
        for place in range(0, 513, 19):
            assert oracle.error(found[row, place], exact[place] / whole, exact[place] / whole, np.float64) <= 2


def test_a_branch_is_taken_by_both_parts(rng):
    """x - mean is not 0 where a double says so: its sign is that of the low part."""
    sign = Piecewise((1, x[i, k] > mu[k]), (-1, x[i, k] < mu[k]), (0, True))
    equations = [Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m), Eq(y[i, k], sign * tanh(x[i, k] / x[i, k]))]
    kernel = symbn.build(symbn.Operator("side", equations, outputs=[y]), dtype="float64")
    data = np.full((3, 1), 0.1)
    data[2] = np.nextafter(0.1, 1)
    assert np.sign(kernel(x=data)).ravel().tolist() == [-1, -1, 1]


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e200, -1e300, 0.0, -0.0, 5e-324])
def test_what_is_not_finite_goes_as_in_plain_arithmetic(value):
    equations = [
        Eq(y[i, k], 1 / (1 + x[i, k] ** 2) + exp(-Abs(x[i, k])) * gamma[k]),
        Eq(mu[i, k], Max(x[i, k] * gamma[k], x[i, k] / gamma[k])),
        Eq(mad[i, k], (x[i, k] + gamma[k]) / (x[i, k] * x[i, k])),
    ]
    kernel = symbn.build(symbn.Operator("limits", equations, outputs=[y, mu, mad]), dtype="float64")
    data, g = np.full((9, 2), value), np.array([1.25, 3.0])
    found = kernel(x=data, gamma=g, check="off")
    with np.errstate(all="ignore"):
        expected = (
            1 / (1 + data**2) + np.exp(-np.abs(data)) * g,
            np.maximum(data * g, data / g),
            (data + g) / (data * data),
        )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)
