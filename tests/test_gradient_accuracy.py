"""Errors of gradients in scaled ulps against exact rational sums and a root with 60 digits."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import NamedTuple

import mpmath
import numpy as np
import pytest

import symbn

LIMIT = 0.51
EPS = 1e-5
OFFSETS = [0.0, 1e2, 1e4, 1e6]
LAYOUTS = ["NC", "NCHW", "NHWC", "NCHW in NHWC memory", "HWCN in NCHW memory", "stepped and reversed"]
#: N, C, H, W: tiny, odd and prime, one short block of a sum, many features, many blocks
SIZES = [(1, 1, 1, 2), (3, 5, 7, 11), (2, 3, 16, 16), (2, 130, 3, 3), (11, 3, 13, 19)]


class Errors(NamedTuple):
    """The largest errors in scaled ulps."""

    dx: float
    dgamma: float
    dbeta: float


def integers(values):
    """The values as integers times 2**exponent: exact."""
    mantissas, exponents = np.frexp(values.astype(np.float64))
    least = int(exponents.min())
    shifts = (exponents - least).tolist()
    return [int(a) << b for a, b in zip(np.ldexp(mantissas, 53).tolist(), shifts, strict=True)], least - 53


def exact_sum(values):
    numbers, exponent = integers(values)
    return sum(numbers) * Fraction(2) ** exponent


def exact_product_sum(a, b):
    (a, first), (b, second) = integers(a), integers(b)
    return sum(map(int.__mul__, a, b)) * Fraction(2) ** (first + second)


def columns(array, axis):
    return np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)


class Exact:
    """The gradient of one feature: that of the forward equations, given the statistics or with exact ones."""

    def __init__(self, oracle, dy, x, gamma, eps, mean=None, var=None, training=True):
        feature = oracle.feature(x)
        self.oracle, self.dy, self.x, self.training = oracle, dy, x, training
        self.mean = feature.mean if mean is None else Fraction(float(mean))
        self.spread = (feature.var if var is None else Fraction(float(var))) + Fraction(eps)
        self.gamma = Fraction(float(gamma))
        self.dbeta = exact_sum(dy)
        self.moment = exact_product_sum(dy, x) - self.mean * self.dbeta
        self.root = mpmath.sqrt(oracle.mpf(self.spread))
        self.dgamma = oracle.mpf(self.moment) / self.root
        high = np.longdouble(float(self.mean))
        low = np.longdouble(float(self.mean - Fraction(float(self.mean))))
        terms = np.abs(dy.astype(np.longdouble) * (x.astype(np.longdouble) - high - low))
        self.dgamma_scale = mpmath.mpf(float(terms.sum())) / self.root
        self.dbeta_scale = exact_sum(np.abs(dy))

    def dx(self, place):
        """(the exact result at one sample, its natural scale)."""
        mpf, dy, m = self.oracle.mpf, Fraction(float(self.dy[place])), len(self.dy)
        parts = [dy]
        if self.training:
            centred = Fraction(float(self.x[place])) - self.mean
            parts += [-self.dbeta / m, -centred * self.moment / (m * self.spread)]
        factor = mpf(self.gamma) / self.root
        # The result itself belongs to its scale: it can be in a higher binade than each of its parts.
        return factor * mpf(sum(parts)), abs(factor) * mpf(max(map(abs, (sum(parts), *parts))))


def errors(
    oracle, rng, dy, x, result, gamma, axis, eps=EPS, mean=None, var=None, training=True, features=4, elements=20
):
    """The largest errors over some features and elements; the statistics are exact where none are given."""
    worst = [0.0, 0.0, 0.0]
    dys, xs, dxs = (columns(one, axis) for one in (dy, x, result.dx))
    for k in sorted({0, len(xs) - 1, *rng.integers(0, len(xs), features - 1).tolist()}):
        given = {} if mean is None else {"mean": mean[k], "var": var[k]}
        g = 1.0 if gamma is None else gamma[k]
        exact = Exact(oracle, dys[k], xs[k], g, eps, training=training, **given)
        count = xs.shape[1]
        # Where x is farthest from the mean and where dx nearly vanishes are the hard places.
        extremes = np.argsort(np.abs(xs[k].astype(np.float64) - float(exact.mean)), kind="stable")
        places = {*extremes[:2].tolist(), *extremes[-2:].tolist(), int(np.argmin(np.abs(dxs[k])))}
        for place in {*places, *rng.integers(0, count, elements).tolist()}:
            worst[0] = max(worst[0], oracle.error(dxs[k, place], *exact.dx(place), dxs.dtype))
        if result.dgamma is not None:
            error = oracle.error(result.dgamma[k], exact.dgamma, exact.dgamma_scale, result.dgamma.dtype)
            worst[1] = max(worst[1], error)
        worst[2] = max(worst[2], oracle.error(result.dbeta[k], exact.dbeta, exact.dbeta_scale, result.dbeta.dtype))
    return Errors(*worst)


def arranged(layout, size, draw):
    """(array, axis) of a layout; ``draw(shape)`` gives the data, features on axis 1."""
    n, c, h, w = size
    if layout == "NC":
        return draw((n * h * w, c)), 1
    data = draw(size)
    if layout == "NCHW":
        return data, 1
    if layout == "HWCN in NCHW memory":
        return data.transpose(2, 3, 1, 0), 2
    if layout == "stepped and reversed":
        wide = np.zeros((n, c + 1, 2 * h, w), data.dtype)
        view = wide[:, 1:, ::2, ::-1]
        view[...] = data
        return view, 1
    channels_last = np.ascontiguousarray(data.transpose(0, 2, 3, 1))
    return (channels_last, -1) if layout == "NHWC" else (channels_last.transpose(0, 3, 1, 2), 1)


def normal(rng, dtype, offset):
    """Data of standard deviation 1 about alternately +offset and -offset."""

    def draw(shape):
        signs = np.where(np.arange(shape[1]) % 2, -1.0, 1.0).reshape(1, -1, *[1] * (len(shape) - 2))
        return (rng.standard_normal(shape) + offset * signs).astype(dtype)

    return draw


def case(rng, layout, size, dtype, offset):
    """(dy, x, gamma, axis); the mean of dy is not 0, or its term in dx could be dropped unseen."""
    x, axis = arranged(layout, size, normal(rng, dtype, offset))
    dy, _ = arranged(layout, size, normal(rng, dtype, 0.75))
    sign = np.where(np.arange(x.shape[axis]) % 3, 1, -1)
    return dy, x, (rng.uniform(0.5, 2, x.shape[axis]) * sign).astype(dtype), axis


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("offset", OFFSETS)
def test_float32_gradients_are_rounded_as_well_as_can_be(oracle, rng, layout, offset):
    for size in SIZES:
        dy, x, gamma, axis = case(rng, layout, size, np.float32, offset)
        _, mean, var = symbn.batch_norm(x, axis=axis, check="off")
        result = symbn.batch_norm_backward(dy, x, mean, var, gamma, EPS, axis)
        given = errors(oracle, rng, dy, x, result, gamma, axis, mean=mean, var=var)
        assert max(given) <= LIMIT, size
        # The statistics' last digits are lost in float64, not in float32: the whole gradient is as good.
        whole = errors(oracle, rng, dy, x, result, gamma, axis)
        assert max(whole) <= LIMIT, size


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("offset", OFFSETS)
def test_float32_inference_gradients_are_rounded_as_well_as_can_be(oracle, rng, layout, offset):
    for size in SIZES:
        dy, x, gamma, axis = case(rng, layout, size, np.float32, offset)
        count = x.shape[axis]
        mean = np.where(np.arange(count) % 2, -offset, offset) + rng.standard_normal(count) * 0.01
        var = rng.uniform(0.5, 2, count)
        result = symbn.batch_norm_inference_backward(dy, x, mean, var, gamma, EPS, axis)
        found = errors(oracle, rng, dy, x, result, gamma, axis, mean=mean, var=var, training=False)
        assert max(found) <= LIMIT, size


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_float32_gradients_of_a_large_array(oracle, rng, layout, offset):
    dy, x, gamma, axis = case(rng, layout, (16, 40, 28, 28), np.float32, offset)
    _, mean, var = symbn.batch_norm(x, axis=axis, check="off")
    result = symbn.batch_norm_backward(dy, x, mean, var, gamma, EPS, axis, check="sample")
    assert max(errors(oracle, rng, dy, x, result, gamma, axis, elements=50)) <= LIMIT


@pytest.mark.parametrize("eps", [1e-300, 1e-12, 1.0, 1e10])
def test_float32_gradients_with_unusual_eps(oracle, rng, eps):
    dy, x, gamma, axis = case(rng, "NC", (300, 5, 1, 1), np.float32, 1e2)
    _, mean, var = symbn.batch_norm(x, axis=axis)
    result = symbn.batch_norm_backward(dy, x, mean, var, gamma, eps, axis)
    assert max(errors(oracle, rng, dy, x, result, gamma, axis, eps=eps, features=5)) <= LIMIT


@pytest.mark.parametrize("gamma", [1e-30, 1e30, -2.5, 0.0, None])
def test_float32_gradients_with_unusual_gamma(oracle, rng, gamma):
    dy, x, _, axis = case(rng, "NC", (300, 4, 1, 1), np.float32, 1e4)
    gamma = None if gamma is None else np.full(4, gamma, np.float32)
    _, mean, var = symbn.batch_norm(x, axis=axis)
    result = symbn.batch_norm_backward(dy, x, mean, var, gamma, EPS, axis)
    assert (result.dgamma is None) == (gamma is None)
    assert max(errors(oracle, rng, dy, x, result, gamma, axis)) <= LIMIT


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("m", [2, 3, 17, 513, 2003])
def test_gradients_of_adversarial_data(oracle, hard_data, rng, m, order, dtype):
    pairs = hard_data.pairs(rng, m, dtype)
    dy, x = (np.array(np.stack([pair[n] for pair in pairs.values()], axis=1), order=order) for n in range(2))
    _, mean, var = symbn.batch_norm(x)
    result = symbn.batch_norm_backward(dy, x, mean, var, np.ones(len(pairs), dtype))
    for k, name in enumerate(pairs):
        part = type(result)(result.dx[:, [k]], result.dgamma[[k]], result.dbeta[[k]])
        found = errors(oracle, rng, dy[:, [k]], x[:, [k]], part, None, 1, mean=mean[[k]], var=var[[k]], elements=12)
        assert max(found) <= LIMIT, name


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("offset", [*OFFSETS, 1e8])
def test_float64_gradients_are_rounded_as_well_as_can_be(oracle, rng, layout, offset):
    """Those for the statistics as given, which are float64 and no more."""
    for size in SIZES:
        dy, x, gamma, axis = case(rng, layout, size, np.float64, offset)
        _, mean, var = symbn.batch_norm(x, axis=axis, check="off")
        result = symbn.batch_norm_backward(dy, x, mean, var, gamma, EPS, axis)
        found = errors(oracle, rng, dy, x, result, gamma, axis, mean=mean, var=var)
        assert found.dx <= LIMIT, size
        assert found.dgamma <= LIMIT, size
        assert found.dbeta <= LIMIT, size
        inference = symbn.batch_norm_inference_backward(dy, x, mean, var, gamma, EPS, axis)
        found = errors(oracle, rng, dy, x, inference, gamma, axis, mean=mean, var=var, training=False)
        assert found.dx <= LIMIT, size
        assert found.dgamma <= LIMIT, size
        assert found.dbeta <= LIMIT, size


@pytest.mark.parametrize("offset", OFFSETS)
def test_float64_gradients_lose_the_last_place_of_the_mean_at_most(oracle, rng, offset):
    """Statistics are handed over in float64: of float64 data the gradient loses what their last place is worth,
    mean/std units. Up to 2.1 times that is seen, a binade of which is the scale's."""
    for size in SIZES:
        dy, x, gamma, axis = case(rng, "NCHW", size, np.float64, offset)
        _, mean, var = symbn.batch_norm(x, axis=axis, check="off")
        result = symbn.batch_norm_backward(dy, x, mean, var, gamma, EPS, axis)
        assert max(errors(oracle, rng, dy, x, result, gamma, axis)) <= 2 + 4 * offset, size


@pytest.mark.parametrize("name", ["batch_norm_backward", "batch_norm_inference_backward"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(6, 40, 17, 19), (3, 5, 1, 1), (1, 3, 160, 150)])
def test_bits_depend_on_neither_threads_nor_strides_nor_check(rng, name, dtype, size):
    function = getattr(symbn, name)
    dy, x, gamma, _ = case(rng, "NCHW", size, dtype, 50.0)
    _, mean, var = symbn.batch_norm(x)
    expected = function(dy, x, mean, var, gamma, check="off")
    before = symbn.get_num_threads()
    memories = [(0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 2, 3)]
    try:
        for number, (own, other) in enumerate(itertools.product(memories, repeat=2)):
            symbn.set_num_threads((1, 2, 7)[number % 3])
            # dy need not lie in memory as x does
            arrays = [one.transpose(to).copy().transpose(np.argsort(to)) for one, to in ((dy, own), (x, other))]
            if number % 2:
                arrays = [np.repeat(one, 2, axis=3)[..., ::2] for one in arrays]
            for check in ("off", "sample", "full") if number % 5 == 0 else ("off",):
                result = function(*arrays, mean, var, gamma, check=check)
                assert [one.tobytes() for one in result] == [one.tobytes() for one in expected]
    finally:
        symbn.set_num_threads(before)


def test_the_oracle_knows_a_rounding_error(oracle, rng):
    """The oracle is not blind: NumPy in float32 is far off at an offset of 1e4, and a dropped term is seen."""
    dy, x, gamma, axis = case(rng, "NC", (1000, 2, 1, 1), np.float32, 1e4)
    r = 1 / np.sqrt(x.var(axis=0) + np.float32(EPS))
    hat = (x - x.mean(axis=0)) * r
    dbeta, dgamma = dy.sum(axis=0), (dy * hat).sum(axis=0)
    dx = gamma * r / 1000 * (1000 * dy - dbeta - hat * dgamma)
    result = symbn.batch_norm_backward(dy, x, *symbn.batch_norm(x)[1:], gamma)
    found = errors(oracle, rng, dy, x, Errors(dx, dgamma, dbeta), gamma, axis)
    assert found.dx > 10
    assert found.dgamma > 10
    assert found.dbeta > LIMIT
    dropped = result._replace(dx=(gamma * r * (dy - hat * dgamma / 1000)).astype(np.float32))
    assert errors(oracle, rng, dy, x, dropped, gamma, axis).dx > 1000
