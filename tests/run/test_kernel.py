"""A user's kernel, called by name."""

from __future__ import annotations

import numpy as np
import pytest

import symbn
from symbn import pipeline

DTYPES = ["float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_computes_what_its_equations_say(kernels, rng, dtype):
    x = rng.standard_normal((50, 6)).astype(dtype)
    result = kernels("standardize", dtype)(x=x, w=np.full(6, 2, dtype), epsilon=1e-5)
    assert result._fields == ("y", "mu", "d")
    assert type(result).__name__ == "standardize_result"
    assert result.y.dtype == dtype
    # what other equations read is a statistic, and stays in float64
    assert result.mu.dtype == result.d.dtype == np.float64
    wide = x.astype(np.longdouble)
    expected = 2 * (wide - wide.mean(axis=0)) / np.sqrt(wide.var(axis=0) + np.longdouble(1e-5))
    np.testing.assert_allclose(result.y, expected, rtol=1e-6 if dtype == "float32" else 1e-13, atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_several_operators_agree_with_numpy(kernels, rng, dtype, order):
    x = np.array(rng.standard_normal((40, 7)) * 2, dtype, order=order)
    wide, tolerance = x.astype(np.longdouble), {"rtol": 1e-5 if dtype == "float32" else 1e-13, "atol": 1e-5}
    centred = wide - wide.mean(axis=0)
    np.testing.assert_allclose(
        kernels("deviation", dtype)(x=x, epsilon=0.1), centred / (np.abs(centred).mean(axis=0) + 0.1), **tolerance
    )
    leaky = np.where(wide > 0, wide, np.where(wide > -1, np.expm1(wide), 0.1 * wide))
    np.testing.assert_allclose(kernels("leaky", dtype)(x=x, p=0.1), leaky, **tolerance)
    np.testing.assert_allclose(kernels("clipped", dtype)(x=x, p=0.5), np.maximum(wide, 0.5), **tolerance)
    w = rng.standard_normal(7).astype(dtype)
    np.testing.assert_allclose(kernels("counted", dtype)(x=x, w=w), wide.sum(axis=0) + 80 * w, **tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_index_that_is_summed_here_and_kept_there(kernels, rng, dtype):
    x = rng.standard_normal((40, 7)).astype(dtype)
    expected = ((x - x.astype(np.longdouble).mean(axis=0)) ** 2).sum(axis=1)
    np.testing.assert_allclose(kernels("rows_of_centred", dtype)(x=x), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", ["full", "off"])
def test_an_extent_by_itself(kernels, rng, dtype, check):
    x = rng.standard_normal((9, 5)).astype(dtype)
    result = kernels("unbiased", dtype)(x=x, check=check)
    np.testing.assert_allclose(result, x.astype("g").var(axis=0, ddof=1), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", ["full", "off"])
def test_a_defined_array_indexed_in_two_ways(kernels, rng, dtype, check):
    x = rng.standard_normal((9, 5)).astype(dtype)
    result = kernels("covariance", dtype)(x=x, check=check)
    np.testing.assert_allclose(result, np.cov(x.T.astype(float), bias=True), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_array_indexed_in_two_ways(kernels, rng, dtype):
    x = rng.standard_normal((9, 5)).astype(dtype)
    np.testing.assert_allclose(kernels("gram", dtype)(x=x), x.astype("g") @ x.astype("g").T, rtol=1e-5, atol=1e-6)


def test_a_fixed_extent_is_enforced(kernels, rng):
    x, w = rng.standard_normal((5, 3)).astype("f4"), rng.standard_normal(3).astype("f4")
    np.testing.assert_allclose(kernels("channels")(x=x, w=w), x @ w, rtol=1e-5, atol=1e-6)
    with pytest.raises(symbn.ArgumentError, match=r"^x: has 4 along c, expected 3"):
        kernels("channels")(x=np.ones((5, 4), "f4"), w=w)
    with pytest.raises(symbn.ArgumentError, match=r"^w: has 2 along c, expected 3"):
        kernels("channels")(x=x, w=np.ones(2, "f4"))


def test_defaults_stand_for_what_is_left_out(kernels, rng):
    kernel, x = kernels("standardize"), rng.standard_normal((20, 3)).astype("f4")
    whole = kernel(x=x, w=np.ones(3, "f4"), epsilon=1e-3)
    for left in ({}, {"w": None}, {"epsilon": None}, {"w": None, "epsilon": 1e-3}):
        for one, other in zip(kernel(x=x, **left), whole, strict=True):
            assert one.tobytes() == other.tobytes()


def test_a_missing_input_is_named(kernels):
    with pytest.raises(symbn.ArgumentTypeError, match=r"^deviation_float32: lacks epsilon; its inputs are x, eps"):
        kernels("deviation")(x=np.ones((2, 2), "f4"))
    with pytest.raises(symbn.ArgumentTypeError, match=r"^deviation_float32: lacks x, epsilon"):
        kernels("deviation")()
    with pytest.raises(symbn.ArgumentTypeError, match=r"^deviation_float32: lacks x"):
        kernels("deviation")(x=None, epsilon=1.0)


def test_an_unknown_input_is_named(kernels):
    with pytest.raises(symbn.ArgumentTypeError, match=r"has no input 'eps'; its inputs are x, epsilon"):
        kernels("deviation")(x=np.ones((2, 2), "f4"), eps=1.0)


def test_inputs_are_taken_by_name_only(kernels):
    with pytest.raises(symbn.ArgumentTypeError, match=r"takes its inputs by keyword: x, epsilon"):
        kernels("deviation")(np.ones((2, 2), "f4"), epsilon=1.0)


@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        ({"p": -0.1}, ValueError, r"^p: is -0\.1, expected a number from 0 to 1"),
        ({"p": 2}, ValueError, r"^p: is 2, expected a number from 0 to 1"),
        ({"p": float("nan")}, ValueError, r"^p: is not a number \(NaN\), expected a number from 0 to 1"),
        ({"p": "0.5"}, TypeError, r"^p: is a str, expected a number"),
        ({"p": np.ones(2)}, TypeError, r"^p: is a ndarray, expected a number"),
        ({"flag": 0.5}, ValueError, r"^flag: is 0\.5, expected 0 or 1"),
        ({"flag": float("nan")}, ValueError, r"^flag: is not a number \(NaN\), expected 0 or 1"),
        ({"t": -1}, ValueError, r"^t: is -1, expected a finite number of at least 0"),
        ({"t": float("inf")}, ValueError, r"^t: is inf, expected a finite number of at least 0"),
    ],
)
def test_a_number_outside_its_domain_is_named(kernels, values, error, match):
    right = {"x": np.ones(3, "f4"), "p": 0.5, "flag": 1, "t": 0}
    assert kernels("numbers")(**right).tolist() == [1.5] * 3
    with pytest.raises(error, match=match):
        kernels("numbers")(**right | values)


@pytest.mark.parametrize(
    "values", [{"p": 0, "flag": 0}, {"p": 1, "flag": True}, {"p": np.float32(1), "flag": np.int8(1)}]
)
def test_the_ends_of_a_domain_belong_to_it(kernels, values):
    expected = float(values["p"]) + float(values["flag"]) + 2
    assert kernels("numbers")(x=np.ones(2, "f4"), **values).tolist() == [expected] * 2


def test_data_of_the_other_dtype_is_refused(kernels):
    with pytest.raises(symbn.ArgumentTypeError, match=r"^x: has dtype float64, expected float32"):
        kernels("deviation")(x=np.ones((2, 2)), epsilon=1.0)


@pytest.mark.parametrize("shape", [(2,), (2, 2, 2), ()])
def test_an_array_needs_one_axis_for_each_index(kernels, shape):
    with pytest.raises(symbn.ArgumentError, match=r"^x: has \d dimensions .*, expected 2, one for each index of x"):
        kernels("deviation")(x=np.ones(shape, "f4"), epsilon=1.0)


def test_out_and_check(kernels, rng):
    x, out = rng.standard_normal((20, 3)).astype("f4"), np.empty((3, 20), "f4").T
    kernel = kernels("deviation")
    expected = kernel(x=x, epsilon=1.0)
    for check in ("full", "sample", "off"):
        out[...] = np.nan
        assert kernel(x=x, epsilon=1.0, out=out, check=check) is out
        assert np.array_equal(out, expected)


def test_in_place_where_elements_are_read_at_other_places(kernels, rng):
    data = rng.standard_normal((50, 50)).astype("float32")
    for check in ("off", "full"):
        here = data.copy()
        assert kernels("symmetric")(x=here, out=here, check=check) is here
        np.testing.assert_array_equal(here, data + data.T)


def test_the_same_kernel_takes_any_strides_one_after_the_other(kernels, rng):
    kernel, x = kernels("standardize"), rng.standard_normal((700, 9)).astype("f4")
    expected = kernel(x=x)
    for again in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[::-1].copy()[::-1], x, x.copy()):
        for one, other in zip(kernel(x=again), expected, strict=True):
            assert one.tobytes() == other.tobytes()


def test_what_a_kernel_says_of_itself(kernels, operators):
    kernel = kernels("standardize")
    assert kernel.operator is operators.standardize
    assert kernel.dtype == np.float32
    assert f'#include "{kernel.name}.h"' in kernel.source
    assert "standardize_float32" in kernel.header
    assert repr(kernel) == "<symbn.Kernel standardize_float32(x, w, epsilon)>"
    assert kernel.path.is_file()
    again = pipeline.build(operators.standardize, "float32")
    assert again.cached
    assert again.path == kernel.path
