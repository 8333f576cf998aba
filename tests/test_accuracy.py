"""Errors in scaled ulps against exact rational statistics and a root with 60 digits."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

import symbn

LIMIT = 0.51
EPS = 1e-5
OFFSETS = [0.0, 1e2, 1e4, 1e6]
LAYOUTS = ["NC", "NCHW", "NHWC", "NCHW in NHWC memory"]
#: N, C, H, W: tiny, odd and prime, one short block of a sum, many blocks, wide
SIZES = [(1, 1, 1, 2), (3, 5, 7, 11), (2, 3, 16, 16), (5, 130, 3, 3), (31, 17, 13, 19)]


def arranged(layout, size, draw):
    """(x, axis) of a layout; ``draw(shape)`` gives the data, features on axis 1."""
    n, c, h, w = size
    if layout == "NC":
        return draw((n * h * w, c)), 1
    x = draw(size)
    if layout == "NCHW":
        return x, 1
    channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    return (channels_last, -1) if layout == "NHWC" else (channels_last.transpose(0, 3, 1, 2), 1)


def normal(rng, dtype, offset):
    """Data of standard deviation 1 about alternately +offset and -offset."""

    def draw(shape):
        signs = np.where(np.arange(shape[1]) % 2, -1.0, 1.0).reshape(1, -1, *[1] * (len(shape) - 2))
        return (rng.standard_normal(shape) + offset * signs).astype(dtype)

    return draw


def parameters(rng, dtype, count):
    return rng.uniform(0.5, 2, count).astype(dtype), rng.standard_normal(count).astype(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("offset", OFFSETS)
def test_float32_training_is_rounded_as_well_as_can_be(oracle, rng, layout, offset):
    for size in SIZES:
        x, axis = arranged(layout, size, normal(rng, np.float32, offset))
        gamma, beta = parameters(rng, np.float32, x.shape[axis])
        result = symbn.batch_norm(x, gamma, beta, EPS, axis)
        errors = oracle.errors(x, result, gamma, beta, EPS, axis, rng, np.float32)
        assert errors.y <= LIMIT, size
        assert errors.mean <= LIMIT, size
        assert errors.var <= LIMIT, size
        # The returned statistics are float64 and good to its last digits, not to float32's only.
        doubles = oracle.errors(x, result, gamma, beta, EPS, axis, rng, np.float64)
        assert doubles.mean <= 4, size
        assert doubles.var <= 4, size


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("offset", OFFSETS)
def test_float32_inference_is_rounded_as_well_as_can_be(oracle, rng, layout, offset):
    for size in SIZES:
        x, axis = arranged(layout, size, normal(rng, np.float32, offset))
        count = x.shape[axis]
        gamma, beta = parameters(rng, np.float32, count)
        mean = np.where(np.arange(count) % 2, -offset, offset) + rng.standard_normal(count) * 0.01
        var = rng.uniform(0.5, 2, count)
        y = symbn.batch_norm_inference(x, mean, var, gamma, beta, EPS, axis)
        assert oracle.y_error(x, y, gamma, beta, EPS, axis, rng, mean=mean, var=var) <= LIMIT, size


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_float32_of_a_large_array(oracle, rng, layout, offset):
    x, axis = arranged(layout, (32, 64, 28, 28), normal(rng, np.float32, offset))
    gamma, beta = parameters(rng, np.float32, 64)
    result = symbn.batch_norm(x, gamma, beta, EPS, axis)
    errors = oracle.errors(x, result, gamma, beta, EPS, axis, rng, np.float32, features=3, elements=200)
    assert max(errors.y, errors.mean, errors.var) <= LIMIT


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("m", [2, 3, 16, 17, 512, 513, 5003])
def test_adversarial_data(oracle, hard_data, rng, m, order, dtype):
    columns = hard_data.columns(rng, m, dtype)
    x = np.array(np.stack(list(columns.values()), axis=1), dtype, order=order)
    result = symbn.batch_norm(x)
    for k, name in enumerate(columns):
        part = SimpleNamespace(y=result.y[:, [k]], mean=result.mean[[k]], var=result.var[[k]])
        errors = oracle.errors(x[:, [k]], part, None, None, EPS, 1, rng, dtype, elements=15)
        assert max(errors.y, errors.mean, errors.var) <= LIMIT, name


@pytest.mark.parametrize("eps", [1e-300, 1e-12, 1.0, 1e10])
def test_float32_with_unusual_eps(oracle, rng, eps):
    x = normal(rng, np.float32, 1e2)((300, 5))
    result = symbn.batch_norm(x, eps=eps)
    assert oracle.errors(x, result, None, None, eps, 1, rng, np.float32, features=5).y <= LIMIT


@pytest.mark.parametrize(
    ("gamma", "beta"), [(1e-30, 1.0), (1e30, 1.0), (-2.5, -3e7), (0.0, 0.1), (1.0, None), (None, 1e-8)]
)
def test_float32_with_unusual_parameters(oracle, rng, gamma, beta):
    x = normal(rng, np.float32, 1e4)((300, 4))
    gamma, beta = (None if one is None else np.full(4, one, np.float32) for one in (gamma, beta))
    result = symbn.batch_norm(x, gamma, beta)
    assert oracle.errors(x, result, gamma, beta, EPS, 1, rng, np.float32).y <= LIMIT


def test_a_sample_at_the_mean_of_skewed_data_stays_within_one_ulp(oracle, rng):
    """There x - mean is far below the mean's own last place, in which the mean's error is measured."""
    x = rng.lognormal(0, 6, (513, 8)).astype(np.float32)
    x[0] = x[1:].astype(np.longdouble).mean(axis=0)
    assert oracle.errors(x, symbn.batch_norm(x), None, None, EPS, 1, rng, np.float32, features=8).y <= 1.0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("offset", [*OFFSETS, 1e8])
def test_float64_training_is_rounded_as_well_as_can_be(oracle, rng, layout, offset):
    for size in SIZES:
        x, axis = arranged(layout, size, normal(rng, np.float64, offset))
        gamma, beta = parameters(rng, np.float64, x.shape[axis])
        result = symbn.batch_norm(x, gamma, beta, EPS, axis)
        errors = oracle.errors(x, result, gamma, beta, EPS, axis, rng, np.float64)
        assert errors.y <= LIMIT, size
        assert errors.mean <= LIMIT, size
        assert errors.var <= LIMIT, size


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("offset", [*OFFSETS, 1e8])
def test_float64_inference_is_rounded_as_well_as_can_be(oracle, rng, layout, offset):
    for size in SIZES:
        x, axis = arranged(layout, size, normal(rng, np.float64, offset))
        count = x.shape[axis]
        gamma, beta = parameters(rng, np.float64, count)
        mean = np.where(np.arange(count) % 2, -offset, offset) + rng.standard_normal(count) * 0.01
        var = rng.uniform(0.5, 2, count)
        y = symbn.batch_norm_inference(x, mean, var, gamma, beta, EPS, axis)
        assert oracle.y_error(x, y, gamma, beta, EPS, axis, rng, mean=mean, var=var) <= LIMIT, size


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_subnormals_raise_no_false_alarm(dtype):
    """Below the smallest normal number errors no longer shrink with the values; the check knows it."""
    least = float(np.finfo(dtype).tiny)
    x = np.random.default_rng(1).standard_normal((100, 3)).astype(dtype)
    for scale in (least, least / 8, least / 2**10):
        symbn.batch_norm((x * scale).astype(dtype), check="full")


def test_float64_whose_variance_overflows_is_never_returned_as_if_it_were_right():
    """Squares of 1e200 are beyond float64: the kernel has no answer, and the check says so."""
    x = np.array([[1e200], [2e200], [4e200]])
    with pytest.raises(symbn.CheckError):
        symbn.batch_norm(x, check="full")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0, 1e-4])
@pytest.mark.parametrize("m", [2, 3, 1000, 10**9])
def test_running_statistics_are_rounded_once(oracle, rng, dtype, rate, m):
    old_mean, old_var = (rng.standard_normal(20) * 100).astype(dtype), rng.uniform(0, 9, 20).astype(dtype)
    mean, var = rng.standard_normal(20) * 100, rng.uniform(0, 9, 20)
    new_mean, new_var = symbn.update_running_stats(old_mean, old_var, mean, var, m, rate)
    p = Fraction(rate)
    for k in range(20):
        parts = [(1 - p) * Fraction(float(old_mean[k])), p * Fraction(float(mean[k]))]
        assert oracle.error(new_mean[k], sum(parts), max(map(abs, (*parts, sum(parts)))), dtype) <= LIMIT
        parts = [(1 - p) * Fraction(float(old_var[k])), p * Fraction(float(var[k])) * Fraction(m, m - 1)]
        assert oracle.error(new_var[k], sum(parts), max(map(abs, (*parts, sum(parts)))), dtype) <= LIMIT


def test_the_oracle_knows_a_rounding_error(oracle, rng):
    """The oracle is not blind: NumPy in float32 is far off at an offset of 1e4."""
    x = normal(rng, np.float32, 1e4)((1000, 2))
    mean, var = x.mean(axis=0), x.var(axis=0)
    y = (x - mean) / np.sqrt(var + np.float32(EPS))
    errors = oracle.errors(x, SimpleNamespace(y=y, mean=mean, var=var), None, None, EPS, 1, rng, np.float32)
    assert errors.y > 100
