"""Values rewritten to fewer passes over what is large: the same values, from the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from symbn.run.affine import Rewriting
from symbn.run.graph import Apply, Number, View, below, record

ALL = frozenset({0, 1})
#: what is computed, and how many functions of all elements are left of it
CASES = [
    (lambda x, y, a, b: x * a / b * a, 1),
    (lambda x, y, a, b: (x - a * b) * a / b + b, 3),
    (lambda x, y, a, b: a * b - (x - a / b) / a + b, 4),
    (lambda x, y, a, b: a * b - (x + a / b), 3),
    (lambda x, y, a, b: (x - a * b) * a - (y - a / b) * b, 6),
    (lambda x, y, a, b: (x - a) + (y - a / b), 4),
    (lambda x, y, a, b: (x + y * a) * (x - a / b), 5),
    (lambda x, y, a, b: np.exp((x - a / b) * b) / x, 5),
    (lambda x, y, a, b: (x + 1) / b + np.longdouble(1) / 3, 3),
]


def recorded(function):
    inputs = (("x", (5, 4)), ("y", (5, 4)), ("a", (4,)), ("b", (4,)))
    return record(lambda x, y, a, b: (function(x, y, a[None, :], b[None, :]),), inputs, (), 2).outputs[0]


def evaluated(node, arrays):
    """A node's value in longdouble."""
    if isinstance(node, Apply):
        return node.function(*(evaluated(one, arrays) for one in node.args), **dict(node.options))
    if isinstance(node, Number):
        return node.value
    assert isinstance(node, View)
    return arrays[node.source].astype(np.longdouble)


@pytest.fixture
def arrays(rng):
    found = {name: rng.standard_normal((5, 4)) for name in "xy"}
    return found | {name: rng.random((1, 4)) + 1 for name in "ab"}


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_value_is_the_same_in_fewer_passes(arrays, number):
    function, passes = CASES[number]
    node = recorded(function)
    made = Rewriting({ALL}, np.float64)(node)
    np.testing.assert_allclose(evaluated(made, arrays), evaluated(node, arrays), rtol=1e-17, atol=1e-17)
    assert sum(isinstance(one, Apply) and one.axes == ALL for one in below(made)) <= passes


def test_what_is_subtracted_is_rounded_and_the_rest_is_not_lost(arrays):
    """So that a value near it keeps its digits: what is left of the number is added with the next one."""
    arrays["x"] = np.broadcast_to(arrays["a"] / arrays["b"], (5, 4))  # the nearest numbers of float64
    node = recorded(lambda x, y, a, b: (x - a / b) * b)
    made = Rewriting({ALL}, np.float64)(node)
    subtracted = [one.args[1] for one in below(made) if isinstance(one, Apply) and one.function is np.subtract]
    found = [evaluated(one, arrays) for one in subtracted if one.axes != ALL]
    assert any(np.array_equal(one, one.astype(np.float64)) for one in found)
    assert np.any(evaluated(node, arrays))
    np.testing.assert_allclose(evaluated(made, arrays), evaluated(node, arrays), rtol=1e-15)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y, a, b: (x - a * b) ** 2,
        lambda x, y, a, b: (x - a * b) * a * (y + a / b) / b,
        lambda x, y, a, b: ((x - a * b) * (y / b) + a / b) * b,
        lambda x, y, a, b: x * a + b * y,
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_sum_is_that_of_its_products(arrays, function, axis):
    node = recorded(function)
    total = np.zeros(())
    for factor, values in Rewriting({ALL}, np.float64).products(node, frozenset({axis})):
        terms = np.ones((5, 4), np.longdouble)
        for one in values:
            terms = terms * evaluated(one, arrays)
        part = terms.sum(axis=axis, keepdims=True)
        total = total + (part if factor is None else evaluated(factor, arrays) * part)
    np.testing.assert_allclose(total, evaluated(node, arrays).sum(axis=axis, keepdims=True), rtol=1e-16)
