"""Errors beside speed: what is exact, and that a wrong peer is seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from symbn.bench import cases, exact, peers, problem
from symbn.bench.cases import Case

SHAPES = {"layer_norm": (9, 70), "rms_norm": (9, 70), "group_norm": (3, 64, 5), "instance_norm": (3, 6, 4, 5)}


def posed(operator, shape, offset=0.0, **options):
    return problem.make(Case(operator, shape, **options), offset)


def test_the_exact_result_is_that_of_another_oracle(norm, rng):
    """The family's formulas, which the tests of the kernels use, know nothing of this one's."""
    if norm.residual:
        pytest.skip("not among the benchmark's operators")
    shape = SHAPES.get(norm.name, (7, 5, 3, 4))
    found = posed(norm.name, shape, 3.0)
    where = {"num_groups": 32} if norm.name == "group_norm" else {} if "instance" in norm.name else {"axis": 1}
    parameters = dict(zip(norm.parameters, (found.gamma, found.beta), strict=False))
    other = norm.case(rng, shape, where)
    other = dataclasses.replace(other, data={"x": found.x}, parameters=parameters, dy=found.dy)
    outputs, scales = other.expected(found.eps)
    y, scale = exact.expected(found)
    np.testing.assert_allclose(y, outputs[0], rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(scale, scales[0], rtol=1e-13)
    var = outputs[-1].reshape(found.var.shape)
    np.testing.assert_allclose(found.var, var, rtol=1e-14)
    if not norm.relu:
        gradients, scales = other.expected_gradients(found.eps)
        dx, scale = exact.expected(posed(f"{norm.name}_backward", shape, 3.0))
        np.testing.assert_allclose(dx, gradients[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(scale, scales[0], rtol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_batch_norm_is_that_of_exact_rationals(oracle, rng, offset):
    found = posed("batch_norm", (40, 5), offset)
    y, _ = exact.expected(found)
    assert oracle.y_error(found.x, y.astype("f4"), found.gamma, found.beta, found.eps, 1, rng) <= 0.5001


def test_inference_is_that_of_exact_rationals(oracle, rng):
    found = posed("batch_norm_inference", (40, 5), 1e4)
    y = exact.expected(found)[0].astype("f4")
    given = {"mean": found.mean, "var": found.var}
    assert oracle.y_error(found.x, y, found.gamma, found.beta, found.eps, 1, rng, **given) <= 0.5001


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("operator", cases.OPERATORS)
def test_symbn_is_asked_for_the_right_thing_in_each_layout(operator, offset, dtype):
    for layout in cases.LAYOUTS if operator not in cases.SUITES["rows"].operators else cases.LAYOUTS[:1]:
        shape = (9, 70) if operator in cases.SUITES["rows"].operators else (5, 32, 7, 3)
        one = posed(operator, shape, offset, layout=layout, dtype=dtype)
        for form in peers.load("symbn").forms(one):
            assert exact.error(form.main(form.call()), one) <= (0.51 if dtype == "float32" else 50)


def test_an_error_of_some_ulps_is_seen_wherever_it_is():
    found = posed("batch_norm", (6, 4, 3, 3))
    target, scale = exact.expected(found)
    right = target.astype("f4")
    assert exact.error(right, found) <= 0.5
    for place in np.ndindex(right.shape):
        wrong = right.copy()
        wrong[place] += 3 * np.spacing(np.float32(scale[place]))
        assert 2.4 < exact.error(wrong, found) < 3.6


def test_a_peer_that_is_wrong_has_no_small_error():
    found = posed("batch_norm", (50, 4), 1e4)
    wide = found.x.astype("f8")
    folded = wide.mean(0).astype("f4"), wide.var(0).astype("f4")
    scale = found.gamma / np.sqrt(folded[1] + np.float32(1e-5))
    assert exact.error(found.x * scale + (found.beta - folded[0] * scale), found) > 1000
    assert exact.error(exact.expected(found)[0].astype("f4") * np.nan, found) == float("inf")
    assert exact.error(np.zeros(3, "f4"), found) == float("inf")


def test_the_statistics_of_a_problem_are_those_of_its_data():
    found = posed("batch_norm", (300, 3), 1e4)
    wide = found.x.astype(np.longdouble)
    np.testing.assert_allclose(found.mean, wide.mean(0), rtol=1e-15)
    np.testing.assert_allclose(found.var, wide.var(0), rtol=1e-12)
    assert np.all(np.sign(found.mean) == [1, -1, 1])
    given = posed("batch_norm_inference", (300, 3), 1e4)
    assert np.array_equal(given.mean, given.mean.astype("f4"))


def test_a_problem_is_the_same_each_time():
    one, other = (posed("group_norm", (2, 32, 5)) for _ in range(2))
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
