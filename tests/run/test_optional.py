"""Inputs that may be left out of a derived operator: outputs that go with them, and cotangents that are zero."""

from __future__ import annotations

import numpy as np
import pytest

import symbn

pytestmark = pytest.mark.usefixtures("compiled_quickly")

DTYPES = ["float32", "float64"]
CHECKS = ["full", "sample", "off"]


@pytest.fixture(scope="module")
def derived():
    """``derived(name, dtype)``: the kernel of something derived from batch normalization, built once."""
    one = symbn.operators.batch_norm
    ways = {
        "gradient": lambda: one.gradient(),
        "whole": lambda: one.gradient(of=one.outputs),
        "jvp": lambda: one.jvp(),
    }
    built = {}

    def kernel(name, dtype="float32"):
        if (name, dtype) not in built:
            built[name, dtype] = symbn.build(ways[name](), dtype=dtype)
        return built[name, dtype]

    return kernel


def values(rng, dtype, shape=(40, 6)):
    x, dy = (rng.standard_normal(shape).astype(dtype) + np.dtype(dtype).type(0.5) for _ in range(2))
    _, mean, var = symbn.batch_norm(x)
    return {"dy": dy, "x": x, "mu": mean, "sigma2": var, "epsilon": 1e-5}


def assert_same(found, expected):
    assert found._fields == expected._fields
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
def test_an_output_goes_with_its_input(derived, rng, dtype, check):
    kernel, given = derived("gradient", dtype), values(rng, dtype)
    assert dict(kernel.operator.optional) == {"dgamma": "gamma"}
    whole = kernel(**given, gamma=np.ones(6, dtype), check=check)
    for left in ({}, {"gamma": None}):
        result = kernel(**given, **left, check=check)
        assert result.dgamma is None
        assert result.dx.tobytes() == whole.dx.tobytes()
        assert result.dbeta.tobytes() == whole.dbeta.tobytes()
    assert whole.dgamma is not None


@pytest.mark.parametrize("check", CHECKS)
def test_out_for_what_is_not_returned_is_refused(derived, rng, check):
    kernel, given = derived("gradient"), values(rng, "float32")
    dx, dgamma, dbeta = np.full((40, 6), 7, "f4"), np.full(6, 7, "f4"), np.full(6, 7, "f4")
    message = r"^out: dgamma is not returned where gamma is not given; leave its entry None"
    with pytest.raises(symbn.ArgumentError, match=message):
        kernel(**given, out=(dx, dgamma, dbeta), check=check)
    assert (dx == 7).all()
    assert (dgamma == 7).all()
    result = kernel(**given, out=(dx, None, dbeta), check=check)
    assert result.dx is dx
    assert result.dgamma is None
    assert result.dbeta is dbeta
    assert not (dx == 7).any()
    assert kernel(**given, gamma=np.ones(6, "f4"), out=(dx, dgamma, dbeta), check=check).dgamma is dgamma


def test_an_output_that_is_not_returned_is_still_checked(derived, rng):
    """The report is of all outputs: dx is computed from dgamma."""
    report = derived("gradient").report(**values(rng, "float32"))
    assert [one.name for one in report.outputs] == ["dx", "dgamma", "dbeta"]
    assert report.passed


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
def test_cotangents_of_statistics_are_zero_unless_given(derived, rng, dtype, check):
    kernel, given = derived("whole", dtype), values(rng, dtype)
    given["gamma"] = rng.uniform(0.5, 2, 6).astype(dtype)
    zero, some = np.zeros(6), rng.standard_normal(6)
    whole = kernel(**given, dmu=zero, dsigma2=zero, check=check)
    for left in ({}, {"dmu": zero}, {"dsigma2": zero}, {"dmu": None, "dsigma2": None}):
        assert_same(kernel(**given, **left, check=check), whole)
    # they are no names without effect
    x, mean = given["x"].astype(np.longdouble), given["mu"]
    for name, part in (("dmu", some / 40), ("dsigma2", 2 * (x - mean) * some / 40)):
        moved = kernel(**given, **{name: some}, check=check)
        assert moved.dgamma.tobytes() == whole.dgamma.tobytes()
        np.testing.assert_allclose(
            moved.dx - whole.dx.astype("g"), np.broadcast_to(part, x.shape), rtol=1e-3, atol=1e-6
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
def test_tangents_of_optional_inputs_are_zero_unless_given(derived, rng, dtype, check):
    kernel, given = derived("jvp", dtype), values(rng, dtype)
    given["dx"] = given.pop("dy")
    zero, some = np.zeros(6, dtype), rng.standard_normal(6).astype(dtype)
    whole = kernel(**given, gamma=np.ones(6, dtype), dgamma=zero, dbeta=zero, check=check)
    for left in ({}, {"dgamma": zero}, {"dbeta": zero}, {"gamma": None, "dgamma": None, "dbeta": None}):
        assert_same(kernel(**given, **left, check=check), whole)
    moved = kernel(**given, dbeta=some, check=check)
    np.testing.assert_allclose(moved.dy - whole.dy.astype("g"), np.broadcast_to(some, (40, 6)), rtol=1e-3, atol=1e-6)
    assert moved.dmu.tobytes() == whole.dmu.tobytes()
    moved = kernel(**given, dgamma=some, check=check)
    hat = (given["x"] - given["mu"]) / np.sqrt(given["sigma2"] + 1e-5)
    np.testing.assert_allclose(moved.dy - whole.dy.astype("g"), hat * some, rtol=1e-3, atol=1e-6)


def test_data_cannot_be_left_out(derived, rng):
    given = values(rng, "float32")
    for name in ("dy", "x", "mu", "sigma2"):
        with pytest.raises(symbn.ArgumentTypeError, match=rf"^batch_norm_backward_float32: lacks {name}"):
            derived("gradient")(**given | {name: None})


@pytest.mark.parametrize("function", [symbn.batch_norm_backward, symbn.batch_norm_inference_backward])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_repeated_call_without_a_check_agrees(rng, function, dtype):
    """The second of two like calls skips what the first has settled; what is optional stays so, either way round."""
    given = values(rng, dtype)
    dy, x, mean, var = (given[one] for one in ("dy", "x", "mu", "sigma2"))
    gamma = rng.uniform(0.5, 2, 6).astype(dtype)
    expected = {with_gamma: function(dy, x, mean, var, gamma if with_gamma else None) for with_gamma in (0, 1)}
    for with_gamma in (1, 0, 1, 1, 0, 0):
        result = function(dy, x, mean, var, gamma if with_gamma else None, check="off")
        assert type(result) is type(expected[1])
        assert (result.dgamma is None) == (not with_gamma)
        for one, other in zip(result, expected[with_gamma], strict=True):
            assert (one is None and other is None) or one.tobytes() == other.tobytes()
    # another eps and other values are no repeated call's results
    other = function(dy, x, mean, var, gamma, eps=0.5, check="off")
    assert other.dx.tobytes() == function(dy, x, mean, var, gamma, eps=0.5).dx.tobytes()
    assert other.dx.tobytes() != expected[1].dx.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_repeated_call_of_a_kernel_agrees(derived, rng, dtype):
    kernel, given = derived("gradient", dtype), values(rng, dtype)
    expected = kernel(**given)
    for _ in range(3):
        result = kernel(**given, check="off")
        assert result.dgamma is None
        assert result.dx.tobytes() == expected.dx.tobytes()
        assert result.dbeta.tobytes() == expected.dbeta.tobytes()
