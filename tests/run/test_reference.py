"""The reference is plain NumPy that follows from the equations alone."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import symbn
from symbn.run import reference


@pytest.fixture
def evaluate(operators):
    """Runs an operator's reference on ndarrays; axes of length 1 are dropped from the results."""

    def run(name, *values):
        function = reference.compile_reference(reference.numpy_source(getattr(operators, name)))
        return [np.squeeze(one) for one in function(*values)]

    return run


@pytest.fixture
def x(rng):
    return rng.standard_normal((6, 4)) * 2


def test_statistics_and_result(evaluate, x):
    y, mu, d = evaluate("standardize", x, np.arange(1.0, 5), 1e-3)
    np.testing.assert_allclose(mu, x.mean(axis=0))
    np.testing.assert_allclose(d, x.var(axis=0))
    # arrays are laid out with what is summed over last
    np.testing.assert_allclose(y.T, np.arange(1.0, 5) * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-3))


def test_absolute_values(evaluate, x):
    centred = x - x.mean(axis=0)
    np.testing.assert_allclose(evaluate("deviation", x, 0.1)[0].T, centred / (np.abs(centred).mean(axis=0) + 0.1))


def test_one_array_indexed_in_two_ways(evaluate, x):
    np.testing.assert_allclose(evaluate("gram", x)[0], x @ x.T)


def test_an_extent_by_itself(evaluate, x):
    np.testing.assert_allclose(evaluate("unbiased", x)[0], x.var(axis=0, ddof=1))


def test_a_defined_array_indexed_in_two_ways(evaluate, x):
    np.testing.assert_allclose(evaluate("covariance", x)[0], np.cov(x.T, bias=True))


def test_an_index_that_is_summed_here_and_kept_there(evaluate, x):
    np.testing.assert_allclose(evaluate("rows_of_centred", x)[0], ((x - x.mean(axis=0)) ** 2).sum(axis=1))


def test_piecewise_takes_the_first_condition_that_holds(evaluate, x):
    expected = np.where(x > 0, x, np.where(x > -1, np.exp(x) - 1, 0.1 * x))
    np.testing.assert_allclose(evaluate("leaky", x, 0.1)[0], expected)
    assert (x > 0).any()
    assert ((x > -1) & (x < 0)).any()
    assert (x < -1).any()


def test_the_largest_of_three(evaluate, x):
    np.testing.assert_allclose(evaluate("clipped", x, 0.5)[0], np.maximum(x, 0.5))
    np.testing.assert_allclose(evaluate("clipped", x, -0.5)[0], np.maximum(x, 0))


def test_a_fixed_extent(evaluate, rng):
    x, w = rng.standard_normal((5, 3)), rng.standard_normal(3)
    np.testing.assert_allclose(evaluate("channels", x, w)[0], x @ w)


def test_terms_that_do_not_vary_with_the_index_count_once_each(evaluate, x):
    w = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(evaluate("counted", x, w)[0], x.sum(axis=0) + 2 * 6 * w)


def test_shipped_operators_agree_with_numpy(rng):
    x, gamma, beta = rng.standard_normal((7, 3)), rng.standard_normal(3), rng.standard_normal(3)
    function = reference.compile_reference(reference.numpy_source(symbn.operators.batch_norm))
    y, mu, var = function(x, gamma, beta, 1e-5)
    np.testing.assert_allclose(np.squeeze(mu), x.mean(axis=0))
    np.testing.assert_allclose(np.squeeze(var), x.var(axis=0))
    expected = gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5) + beta
    np.testing.assert_allclose(y.reshape(3, 7).T, expected)


def test_the_code_names_its_equations(operators):
    text = reference.numpy_source(operators.standardize)
    ast.parse(text)
    for number in (1, 2, 3):
        assert f"({number}) " in text
        assert f"# ({number})" in text


def test_the_module_takes_nothing_from_derivation_kernel_or_emit():
    tree = ast.parse(Path(reference.__file__).read_text(encoding="utf-8"))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert not [name for name in imported if name.startswith(("symbn.derivation", "symbn.kernel", "symbn.emit"))]
    assert "symbn.equations.operator" in imported
