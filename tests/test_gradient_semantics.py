"""What the shipped gradients do, to the last case: edge cases, memory layouts, out=, bad arguments."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import symbn

DTYPES = [np.float32, np.float64]
CHECKS = ["full", "sample", "off"]
TRAINING, INFERENCE = "batch_norm_backward", "batch_norm_inference_backward"
BOTH = [TRAINING, INFERENCE]


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def all_same_bits(a, b):
    return all(same_bits(one, other) for one, other in zip(a, b, strict=True))


def case(rng, shape, axis, dtype):
    """dy, x, mean, var, gamma; dy and x of means that are not 0."""
    count = shape[axis]
    dy = (rng.standard_normal(shape) + 0.5).astype(dtype)
    x = (rng.standard_normal(shape) * 3 + 50).astype(dtype)
    _, mean, var = symbn.batch_norm(x, axis=axis, check="off")
    return dy, x, mean, var, rng.uniform(0.5, 2, count).astype(dtype)


def formula(name, dy, x, mean, var, gamma, eps=1e-5, axis=1):
    """The textbook's gradient in NumPy and the scales of its elements, in the widest float there is."""
    wide = [np.asarray(one, np.longdouble) for one in (dy, x)]
    dy, x = (np.moveaxis(one, axis, -1).reshape(-1, one.shape[axis]) for one in wide)
    m = max(len(x), 1)
    r = 1 / np.sqrt(np.asarray(var, np.longdouble) + np.longdouble(eps))
    g = np.longdouble(1) if gamma is None else gamma.astype(np.longdouble)
    hat = (x - mean) * r
    dbeta, dgamma = dy.sum(axis=0), (dy * hat).sum(axis=0)
    parts = [dy, dbeta / m + 0 * dy, hat * dgamma / m]
    if name == INFERENCE:
        parts[1:] = [0 * dy, 0 * dy]
    dx = g * r * (parts[0] - parts[1] - parts[2])
    scale = np.maximum(np.abs(dx), np.abs(g) * r * np.abs(parts).max(axis=0))
    rest = np.moveaxis(wide[0], axis, -1).shape
    dx, scale = (np.moveaxis(one.reshape(rest), -1, axis) for one in (dx, scale))
    return (dx, dgamma, dbeta), (scale, np.abs(dy * hat).sum(axis=0), np.abs(dy).sum(axis=0))


def assert_near(result, name, *arguments, **options):
    """Within some units of the last place at each element's scale (for float64 the sums above err as well)."""
    expected, scales = formula(name, *arguments, **options)
    for one, right, scale in zip(result, expected, scales, strict=True):
        if one is not None:
            unit = np.finfo(one.dtype).eps * (1 if one.dtype == np.float32 else 16)
            assert (np.abs(one.astype(np.longdouble) - right) <= unit * scale).all()


# ---- conventions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", DTYPES)
def test_results_are_named_tuples_in_the_dtype_of_the_data(rng, name, dtype):
    arguments = case(rng, (4, 3, 2), 1, dtype)
    result = getattr(symbn, name)(*arguments)
    assert isinstance(result, tuple)
    assert result._fields == ("dx", "dgamma", "dbeta")
    assert [one.dtype for one in result] == [dtype] * 3
    assert [one.shape for one in result] == [(4, 3, 2), (3,), (3,)]
    assert_near(result, name, *arguments)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
def test_eps_is_1e_5_and_the_axis_1_unless_given(rng, name, check):
    function = getattr(symbn, name)
    dy, x, mean, var, gamma = case(rng, (5, 3, 4), 1, np.float64)
    plain = function(dy, x, mean, var, gamma, check=check)
    assert all_same_bits(plain, function(dy, x, mean, var, gamma, eps=1e-5, axis=1, check=check))
    assert all_same_bits(plain, function(dy, x, mean, var, gamma, axis=-2, check=check))
    assert all_same_bits(plain, function(dy, x, mean, var, gamma, axis=np.int64(1), check=check))
    assert not same_bits(plain.dx, function(dy, x, mean, var, gamma, eps=1e-3, check=check).dx)
    assert_near(function(dy, x, mean, var, gamma, 0.25, check=check), name, dy, x, mean, var, gamma, eps=0.25)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("shape", [(7,), (40, 7), (6, 7, 9), (3, 7, 5, 4), (2, 7, 3, 4, 5)])
def test_any_number_of_axes(rng, dtype, check, shape):
    for name in BOTH:
        for axis in range(-len(shape), len(shape)):
            arguments = case(rng, shape, axis, dtype)
            result = getattr(symbn, name)(*arguments, axis=axis, check=check)
            assert result.dx.shape == shape
            assert result.dgamma.shape == result.dbeta.shape == (shape[axis],)
            assert_near(result, name, *arguments, axis=axis)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
def test_without_gamma_there_is_no_dgamma(rng, name, dtype, check):
    function = getattr(symbn, name)
    dy, x, mean, var, _ = case(rng, (6, 5, 3), 1, dtype)
    whole = function(dy, x, mean, var, np.ones(5, dtype), check=check)
    for _ in range(2):  # the second call takes the shortest way through
        left = function(dy, x, mean, var, check=check)
        assert left._fields == ("dx", "dgamma", "dbeta")
        assert left.dgamma is None
        assert same_bits(left.dx, whole.dx)
        assert same_bits(left.dbeta, whole.dbeta)
    out = np.empty_like(x), None, np.empty(5, dtype)
    left = function(dy, x, mean, var, out=out, check=check)
    assert left.dgamma is None
    assert (left.dx, left.dbeta) == (out[0], out[2]) or (left.dx is out[0] and left.dbeta is out[2])
    message = r"^out: dgamma is not returned where gamma is not given; leave its entry None"
    with pytest.raises(symbn.ArgumentError, match=message):
        function(dy, x, mean, var, out=(None, np.empty(5, dtype), None), check=check)


def test_the_gradient_of_the_mean_of_y_is_zero(rng):
    """y of each feature has mean beta and a spread that eps alone keeps from being gamma: dx is orthogonal to both."""
    dy, x, mean, var, gamma = case(rng, (500, 6), 1, np.float64)
    dx = symbn.batch_norm_backward(dy, x, mean, var, gamma).dx
    np.testing.assert_allclose(dx.sum(axis=0), 0, atol=1e-13)
    constant = symbn.batch_norm_backward(np.full_like(dy, 3.0), x, mean, var, gamma).dx
    np.testing.assert_allclose(constant, 0, atol=1e-13)


# ---- the number of samples and features ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("shape", "axis"), [((1, 5), 1), ((1, 5, 1, 1), 1), ((1, 1, 5), -1), ((5,), 0)])
def test_one_sample_has_no_gradient(rng, dtype, check, shape, axis):
    dy, x, mean, var, gamma = case(rng, shape, axis, dtype)
    for g in (gamma, None):
        result = symbn.batch_norm_backward(dy, x, mean, var, g, axis=axis, check=check)
        assert result.dx.shape == shape
        assert not result.dx.any()
        assert result.dgamma is None if g is None else not result.dgamma.any()
        assert np.array_equal(result.dbeta, dy.ravel())


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("shape", "axis"), [((0, 3), 1), ((0, 3, 4, 4), 1), ((2, 3, 0), 1), ((0, 2, 3), -1)])
def test_no_samples_give_zero_for_the_parameters(name, dtype, check, shape, axis):
    x = np.empty(shape, dtype)
    result = getattr(symbn, name)(x, x, np.zeros(3), np.ones(3), np.ones(3, dtype), axis=axis, check=check)
    assert result.dx.shape == shape
    assert np.array_equal(result.dbeta, np.zeros(3))
    assert np.array_equal(result.dgamma, np.zeros(3))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
def test_no_samples_give_zero_with_their_own_statistics(name, check):
    """Those of no samples are NaN, which must not get into sums over nothing."""
    x = np.empty((0, 3))
    _, mean, var = symbn.batch_norm(x)
    result = getattr(symbn, name)(x, x, mean, var, np.ones(3), check=check)
    assert np.array_equal(result.dbeta, np.zeros(3))
    assert np.array_equal(result.dgamma, np.zeros(3))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("shape", "axis"), [((4, 0), 1), ((4, 0, 3, 3), 1), ((0, 0), 1), ((4, 2, 0), -1)])
def test_no_features_give_an_empty_result(name, dtype, check, shape, axis):
    x, none = np.empty(shape, dtype), np.empty(0)
    result = getattr(symbn, name)(x, x, none, none, none.astype(dtype), axis=axis, check=check)
    assert [one.shape for one in result] == [shape, (0,), (0,)]
    assert getattr(symbn, name)(x, x, none, none, axis=axis, check=check).dgamma is None


# ---- values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("value", [0.0, 0.1, -1e7, 3e30])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_constant_feature_is_centred_dy(rng, dtype, check, value, order):
    """x - mean is 0 exactly, so that dgamma is, and dx is dy less its mean, over the root of eps."""
    dy = np.array(rng.standard_normal((600, 2)) + 1, dtype, order=order)
    x = np.array(np.full((600, 2), value), dtype, order=order)
    _, mean, var = symbn.batch_norm(x)
    result = symbn.batch_norm_backward(dy, x, mean, var, np.full(2, 1.5, dtype), check=check)
    assert not result.dgamma.any()
    wide = dy.astype(np.longdouble)
    expected = (wide - wide.mean(axis=0)) * 1.5 / np.sqrt(np.longdouble(1e-5))
    np.testing.assert_allclose(result.dx, expected, rtol=1e-6, atol=1e-3 if dtype is np.float32 else 1e-11)
    assert not symbn.batch_norm_inference_backward(dy, x, mean, var, np.ones(2, dtype), check=check).dgamma.any()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("layout", ["NC", "NCHW", "NHWC"])
@pytest.mark.parametrize("place", [0, 77, 599])
@pytest.mark.parametrize("where", ["dy", "x", "mean", "var", "gamma"])
def test_nan_and_infinity_stay_in_their_feature(rng, name, dtype, check, layout, place, where):
    function = getattr(symbn, name)
    clean = dict(zip(("dy", "x", "mean", "var", "gamma"), case(rng, (600, 6), 1, dtype), strict=True))
    dirty = {key: one.copy() for key, one in clean.items()}
    at = place if where in ("dy", "x") else slice(None)
    for column, value in ((1, np.nan), (2, np.inf), (4, -np.inf)):
        dirty[where].reshape(-1, 6)[at, column] = value

    def run(arrays):
        dy, x = arrays["dy"], arrays["x"]
        rest = arrays["mean"], arrays["var"], arrays["gamma"]
        if layout == "NC":
            return function(dy, x, *rest, check=check)
        dy, x = dy.reshape(6, 10, 10, 6), x.reshape(6, 10, 10, 6)
        if layout == "NHWC":
            result = function(dy, x, *rest, axis=-1, check=check)
            return result._replace(dx=result.dx.reshape(600, 6))
        dy, x = (np.ascontiguousarray(one.transpose(0, 3, 1, 2)) for one in (dy, x))
        result = function(dy, x, *rest, check=check)
        return result._replace(dx=result.dx.transpose(0, 2, 3, 1).reshape(600, 6))

    good, result = run(clean), run(dirty)
    untouched = [0, 3, 5]
    assert same_bits(result.dx[:, untouched], good.dx[:, untouched])
    assert same_bits(result.dgamma[untouched], good.dgamma[untouched])
    assert same_bits(result.dbeta[untouched], good.dbeta[untouched])
    # a NaN is met in everything that its feature's equations make of it
    if where == "dy":
        assert np.array_equal(result.dbeta[[1, 2, 4]], [np.nan, np.inf, -np.inf], equal_nan=True)
        assert not np.isfinite(result.dgamma[[1, 2, 4]]).any()
    else:
        assert same_bits(result.dbeta, good.dbeta)
    if name == TRAINING or where in ("var", "gamma"):
        assert np.isnan(result.dx[:, 1]).all()
    elif where == "dy":
        assert np.flatnonzero(np.isnan(result.dx[:, 1])).tolist() == [place]
    else:
        # dx of inference reads neither x nor the mean
        assert same_bits(result.dx, good.dx)
    if where == "gamma":
        assert same_bits(result.dgamma, good.dgamma)
    else:
        assert np.isnan(result.dgamma[1])


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_negative_variance_gives_nan_and_a_zero_one_follows_ieee(check, dtype):
    dy = np.array([[1, 1, 1], [-2, -2, -2], [0, 0, 0]], dtype)
    x = np.ones((3, 3), dtype)
    gamma = np.array([1, -1, 1], dtype)
    var = np.array([-1.0, 1.0, -1e-6])
    result = symbn.batch_norm_inference_backward(dy, x, np.zeros(3), var, gamma, 1e-5, check=check)
    assert np.isnan(result.dx[:, 0]).all()
    assert np.isnan(result.dgamma[0])
    assert np.array_equal(result.dbeta, [-1, -1, -1])
    # -1e-6 + 1e-5 is positive: nothing is clamped
    np.testing.assert_allclose(result.dx[:, 2], [9e-6**-0.5, -2 * 9e-6**-0.5, 0], rtol=1e-6)
    result = symbn.batch_norm_inference_backward(dy, x, np.zeros(3), np.zeros(3), gamma, 0.0, check=check)
    inf, nan = np.inf, np.nan
    assert np.array_equal(result.dx, [[inf, -inf, inf], [-inf, inf, -inf], [nan, nan, nan]], equal_nan=True)
    # the last sample's dy is 0, and 0 times infinity is what it is
    assert np.isnan(result.dgamma).all()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("check", CHECKS)
def test_sums_beyond_float32_are_finite_where_the_result_is(name, order, check):
    x = np.array(np.array([[1e38, -1e38], [2e38, -2e38], [3e38, -3e38]], np.float32), order=order)
    dy = np.array(np.array([[3e38, 3e38], [3e38, -3e38], [-3e38, 1e38]], np.float32), order=order)
    _, mean, var = symbn.batch_norm(x)
    result = getattr(symbn, name)(dy, x, mean, var, check=check)
    assert_near(result, name, dy, x, mean, var, None)
    np.testing.assert_allclose(result.dbeta, [3e38, 1e38], rtol=1e-6)
    # and a sum that float32 cannot hold is infinite
    beyond = getattr(symbn, name)(np.abs(dy), x, mean, var, check=check)
    assert np.array_equal(beyond.dbeta, [np.inf, np.inf])
    assert np.isfinite(beyond.dx).all()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormals_are_kept(name, dtype):
    least = np.nextafter(dtype(0), dtype(1))
    dy = (np.arange(-50, 51).reshape(-1, 1) * least).astype(dtype)
    x = np.linspace(-3, 3, 101).reshape(-1, 1).astype(dtype)
    result = getattr(symbn, name)(dy, x, np.zeros(1), np.ones(1), eps=1e-300, check="full")
    assert result.dbeta[0] == 0
    if name == INFERENCE:
        assert same_bits(result.dx, dy)
    one = getattr(symbn, name)(np.full((1, 1), least), x[:1], np.zeros(1), np.ones(1), check="full")
    assert one.dbeta[0] == least


# ---- memory layouts -----------------------------------------------------------------------------------


@st.composite
def strided(draw, shape, dtype, seed):
    """An array with axes permuted, reversed, stepped, cropped and broadcast, unaligned or read-only or byte-swapped."""
    ndim = len(shape)
    steps = [draw(st.sampled_from([1, 1, 1, 2, -1, -3, 0])) for _ in range(ndim)]
    crops = [draw(st.integers(0, 2)) for _ in range(ndim)]
    order = draw(st.permutations(range(ndim)))
    sizes = [1 if step == 0 else size * abs(step) + crop for size, step, crop in zip(shape, steps, crops, strict=True)]
    offset = draw(st.sampled_from([0, 0, 1, 3, 4]))
    memory = np.zeros(int(np.prod(sizes)) * np.dtype(dtype).itemsize + offset, np.uint8)
    base = np.frombuffer(memory.data, dtype, offset=offset).reshape([sizes[axis] for axis in order])
    rng = np.random.default_rng(seed)
    base[...] = rng.standard_normal(base.shape) * 2 + draw(st.sampled_from([0, 30, 1e4]))
    array = base.transpose(np.argsort(order))
    for axis, (size, step, crop) in enumerate(zip(shape, steps, crops, strict=True)):
        if step:
            key = [slice(None)] * ndim
            key[axis] = slice(crop, None)
            array = array[tuple(key)]
            key[axis] = slice(None, None, step)
            array = array[tuple(key)]
            key[axis] = slice(0, size)
            array = array[tuple(key)]
    array = np.broadcast_to(array, shape) if 0 in steps else array
    assert array.shape == tuple(shape)
    if draw(st.booleans()):
        array = array.view()
        array.flags.writeable = False
    if draw(st.integers(0, 5)) == 0:
        array = array.astype(array.dtype.newbyteorder())
    return array


@st.composite
def arguments(draw):
    """(dy, x, axis): 1-d to 5-d, each in its own strides."""
    dtype = draw(st.sampled_from(DTYPES))
    ndim = draw(st.integers(1, 5))
    shape = [draw(st.sampled_from([1, 2, 3, 4, 5, 7, 40] if ndim < 4 else [1, 2, 3, 5])) for _ in range(ndim)]
    seed = draw(st.integers(0, 2**32))
    dy, x = (draw(strided(shape, dtype, seed + number)) for number in range(2))
    return dy, x, draw(st.integers(-ndim, ndim - 1))


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(arguments(), st.sampled_from(CHECKS), st.sampled_from(BOTH), st.booleans())
def test_any_strides_give_the_bits_of_the_contiguous_copy(values, check, name, affine):
    dy, x, axis = values
    function = getattr(symbn, name)
    plain = [np.ascontiguousarray(one, one.dtype.newbyteorder("=")).reshape(one.shape) for one in (dy, x)]
    rng = np.random.default_rng(0)
    count = x.shape[axis]
    _, mean, var = symbn.batch_norm(plain[1], axis=axis, check="off")
    mean, var = np.repeat(mean, 2)[::2], np.stack([var, var], axis=1)[:, 1]
    gamma = rng.standard_normal(2 * count).astype(plain[0].dtype)[::-2] if affine else None
    before = [one.tobytes() for one in (dy, x, mean, var)]
    result = function(dy, x, mean, var, gamma, axis=axis, check=check)
    copied = None if gamma is None else gamma.copy()
    expected = function(*plain, mean.copy(), var.copy(), copied, axis=axis, check="off")
    kept = [n for n in range(3) if result[n] is not None]
    assert len(kept) == 2 + affine
    assert all_same_bits([result[n] for n in kept], [expected[n] for n in kept])
    assert_near(result, name, *plain, mean, var, gamma, axis=axis)
    for target in (dy, x):  # `out` in the caller's own strides, and then in place
        if target.flags.writeable and 0 not in target.strides:
            out = np.full_like(target, np.nan, subok=False)
            assert function(dy, x, mean, var, gamma, axis=axis, out=out, check=check).dx is out
            assert same_bits(np.ascontiguousarray(out, plain[0].dtype).reshape(x.shape), expected.dx)
    assert before == [one.tobytes() for one in (dy, x, mean, var)]
    own = dy.copy()
    assert function(own, x, mean, var, gamma, axis=axis, out=own, check=check).dx is own
    assert same_bits(np.ascontiguousarray(own, plain[0].dtype).reshape(x.shape), expected.dx)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dy_may_be_one_number_for_all(rng, name, check, dtype):
    """What sum() hands back: a cotangent without memory of its own."""
    _, x, mean, var, gamma = case(rng, (6, 5, 4, 3), 1, dtype)
    one = np.broadcast_to(dtype(1), x.shape)
    result = getattr(symbn, name)(one, x, mean, var, gamma, check=check)
    assert all_same_bits(result, getattr(symbn, name)(one.copy(), x, mean, var, gamma, check="off"))
    assert (result.dbeta == 72).all()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
def test_statistics_of_float32_are_taken_with_float32_data(rng, name, check):
    dy, x, mean, var, gamma = case(rng, (30, 5), 1, np.float32)
    narrow = mean.astype(np.float32), var.astype(np.float32)
    expected = getattr(symbn, name)(dy, x, *(one.astype(np.float64) for one in narrow), gamma)
    for statistics in (narrow, (narrow[0], narrow[1].astype(np.float64)), (narrow[0].astype(np.float64), narrow[1])):
        assert all_same_bits(getattr(symbn, name)(dy, x, *statistics, gamma, check=check), expected)
    message = r"^mean: has dtype float32, expected float64"
    with pytest.raises(symbn.ArgumentTypeError, match=message):
        getattr(symbn, name)(dy.astype("f8"), x.astype("f8"), *narrow, gamma.astype("f8"), check=check)


def test_calls_from_many_python_threads_do_not_disturb_each_other(rng):
    shapes = [((6000, 13), 1), ((6, 13, 50, 20), 1), ((6, 50, 20, 13), -1), ((5, 13), 1)]
    cases = [(case(rng, shape, axis, dtype), axis) for shape, axis in shapes for dtype in DTYPES]

    def run(number):
        values, axis = cases[number % len(cases)]
        return symbn.batch_norm_backward(*values, axis=axis, check=CHECKS[number % 3])

    expected = [run(number) for number in range(len(cases) * 3)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(run, list(range(len(cases) * 3)) * 3))
    for number, result in enumerate(found):
        assert all_same_bits(result, expected[number % len(expected)])


# ---- out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("place", ["dy", "x"])
@pytest.mark.parametrize(
    ("shape", "memory"),
    [
        ((600, 9), (0, 1)),
        ((600, 9), (1, 0)),
        ((4, 9, 7, 30), (0, 1, 2, 3)),
        ((4, 9, 7, 30), (0, 2, 3, 1)),
        ((4, 9, 7, 30), (3, 1, 0, 2)),
    ],
)
def test_in_place_is_exact(rng, name, dtype, check, place, shape, memory):
    dy, x, mean, var, gamma = case(rng, shape, 1, dtype)
    expected = getattr(symbn, name)(dy, x, mean, var, gamma, check="off")
    own = {key: one.transpose(memory).copy().transpose(np.argsort(memory)) for key, one in (("dy", dy), ("x", x))}
    result = getattr(symbn, name)(own["dy"], own["x"], mean, var, gamma, out=own[place], check=check)
    assert result.dx is own[place]
    assert all_same_bits(result, expected)
    other = "x" if place == "dy" else "dy"
    assert np.array_equal(own[other], x if other == "x" else dy)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
def test_one_array_may_be_dy_and_x_and_out(rng, name, check):
    _, x, mean, var, gamma = case(rng, (700, 5), 1, np.float32)
    expected = getattr(symbn, name)(x.copy(), x, mean, var, gamma)
    assert all_same_bits(getattr(symbn, name)(x, x, mean, var, gamma, check=check), expected)
    result = getattr(symbn, name)(x, x, mean, var, gamma, out=x, check=check)
    assert result.dx is x
    assert all_same_bits(result, expected)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
def test_out_takes_any_of_the_outputs(rng, name, check):
    dy, x, mean, var, gamma = case(rng, (20, 6), 1, np.float32)
    expected = getattr(symbn, name)(dy, x, mean, var, gamma)
    dx, dgamma, dbeta = np.empty((6, 40), "f4").T[::2], np.empty(12, "f4")[::-2], np.empty(6, "f4")
    for out in (dx, (dx, None, None), (None, dgamma, None), (dx, None, dbeta), (dx, dgamma, dbeta), [None] * 3):
        for one in (dx, dgamma, dbeta):
            one[...] = np.nan
        result = getattr(symbn, name)(dy, x, mean, var, gamma, out=out, check=check)
        assert all_same_bits(result, expected)
        given_out = out if isinstance(out, tuple | list) else (out, None, None)
        assert all(one is None or one is got for one, got in zip(given_out, result, strict=True))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_dgamma_may_go_where_gamma_is(rng, name, check, order):
    """gamma is read for dx, after dgamma is known."""
    dy, x, mean, var, gamma = (np.array(one, order=order) for one in case(rng, (2000, 30), 1, np.float64))
    expected = getattr(symbn, name)(dy, x, mean, var, gamma)
    result = getattr(symbn, name)(dy, x, mean, var, gamma, out=(None, gamma, None), check=check)
    assert result.dgamma is gamma
    assert all_same_bits(result, expected)
    # and the statistics' memory, where dtypes agree
    result = getattr(symbn, name)(dy, x, mean, var, np.ones(30), out=(None, mean, var), check=check)
    assert result.dgamma is mean
    assert all_same_bits(result[1:], expected[1:])


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
def test_out_that_overlaps_in_part_is_refused(rng, name, check):
    function = getattr(symbn, name)
    memory, other = rng.standard_normal((21, 6)), rng.standard_normal((20, 6))
    kept = memory.copy()
    mean, var = np.zeros(6), np.ones(6)
    with pytest.raises(symbn.ArgumentError, match=r"^out: overlaps dy in part"):
        function(memory[:20], other, mean, var, out=memory[1:], check=check)
    with pytest.raises(symbn.ArgumentError, match=r"^out: overlaps x in part"):
        function(other, memory[:20], mean, var, out=memory[1:], check=check)
    with pytest.raises(symbn.ArgumentError, match=r"^out: overlaps mean in part"):
        function(other[:, :4], other[:, :4], memory[0, :4], var[:4], out=(None, None, memory[0, 2:]), check=check)
    with pytest.raises(symbn.ArgumentError, match=r"^out: overlaps x in part"):
        function(other, memory[:20], mean, var, out=(None, None, memory[3]), check=check)
    shared = np.empty(6)
    with pytest.raises(symbn.ArgumentError, match=r"^out: two of its arrays share memory"):
        function(other, other, mean, var, np.ones(6), out=(None, shared, shared), check=check)
    assert np.array_equal(memory, kept)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("out", "error", "match"),
    [
        (np.empty((4, 2)), symbn.ArgumentError, r"out \(dx\): has shape \(4, 2\), expected \(4, 3\)"),
        (np.empty((4, 3), "f4"), symbn.ArgumentTypeError, r"out \(dx\): has dtype float32, expected float64"),
        (np.broadcast_to(np.empty(3), (4, 3)), symbn.ArgumentError, r"out \(dx\): is read-only"),
        ((None, None), symbn.ArgumentError, "out: has 2 entries, expected .* for each of dx, dgamma, dbeta"),
        (("dx", None, None), symbn.ArgumentTypeError, r"out: holds a str, expected a numpy\.ndarray"),
        ((None, np.empty(4), None), symbn.ArgumentError, r"out \(dgamma\): has shape \(4,\), expected \(3,\)"),
        ((None, None, np.empty(3, "f4")), symbn.ArgumentTypeError, r"out \(dbeta\): has dtype float32, expected f"),
    ],
)
@pytest.mark.parametrize("check", CHECKS)
def test_unusable_out_is_refused(name, out, error, match, check):
    with pytest.raises(error, match=match):
        getattr(symbn, name)(*[np.ones((4, 3))] * 2, *[np.ones(3)] * 3, out=out, check=check)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", ["full", "sample"])
def test_a_refused_result_reaches_nobody(rng, refused, name, check):
    arrays = case(rng, (50, 4), 1, np.float32)
    out = np.full((50, 4), 7, "f4"), np.full(4, 8, "f4"), np.full(4, 9, "f4")
    kept = [one.copy() for one in (*arrays, *out)]
    refused(name)
    for target in (out, arrays[0], arrays[1], (None, arrays[4], None)):
        with pytest.raises(symbn.CheckError, match=name):
            getattr(symbn, name)(*arrays, out=target, check=check)
        assert all_same_bits((*arrays, *out), kept)
    getattr(symbn, name)(*arrays, out=out, check="off")
    assert not same_bits(out[0], kept[5])


@pytest.mark.parametrize("name", BOTH)
def test_arguments_are_never_modified(rng, name):
    arrays = case(rng, (40, 6), 1, np.float32)
    kept = [one.copy() for one in arrays]
    for one in arrays:
        one.flags.writeable = False
    for check in CHECKS:
        getattr(symbn, name)(*arrays, check=check)
    assert all_same_bits(arrays, kept)


# ---- bad arguments ------------------------------------------------------------------------------------


def call(name, **changed):
    values = {
        "dy": np.ones((4, 3)),
        "x": np.ones((4, 3)),
        "mean": np.zeros(3),
        "var": np.ones(3),
        "gamma": np.ones(3),
    }
    return getattr(symbn, name)(**values | changed)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("argument", "value", "error", "match"),
    [
        ("dy", np.ones((4, 3), int), TypeError, "has dtype int64, expected float32 or float64; cast it"),
        ("dy", np.ones((4, 3), complex), TypeError, "has dtype complex128, expected .*; take its real part"),
        ("dy", np.ones((4, 3), "f2"), TypeError, "has dtype float16, expected float32 or float64; cast it"),
        ("x", np.ones((4, 3), "f4"), TypeError, "has dtype float32, expected float64"),
        ("x", np.ones((4, 3), bool), TypeError, "has dtype bool, expected float"),
        ("x", np.ma.masked_array(np.ones((4, 3)), False), TypeError, r"is a masked array, .*x\.filled"),
        ("x", np.ones((4, 2)), ValueError, r"has shape \(4, 2\), expected \(4, 3\)"),
        ("x", np.ones((5, 3)), ValueError, r"has shape \(5, 3\), expected \(4, 3\)"),
        ("x", np.ones((2, 3, 2)), ValueError, r"has shape \(2, 3, 2\), expected \(4, 3"),
        ("mean", np.ones(4), ValueError, r"has shape \(4,\), expected \(3,\): 3 along k"),
        ("mean", np.ones((1, 3)), ValueError, r"has 2 dimensions \(shape \(1, 3\)\), expected 1"),
        ("mean", np.ones(3, int), TypeError, "has dtype int64, expected float"),
        ("mean", np.ones(3, "f4"), TypeError, "has dtype float32, expected float64"),
        ("var", np.ones(2), ValueError, r"has shape \(2,\), expected \(3,\): 3 along k"),
        ("var", np.array(1.0), ValueError, r"has 0 dimensions \(shape \(\)\), expected 1"),
        ("var", np.ones(3, complex), TypeError, "has dtype complex128"),
        ("gamma", np.ones(2), ValueError, r"has shape \(2,\), expected \(3,\): 3 along k"),
        ("gamma", np.ones(3, "f4"), TypeError, "has dtype float32, expected float64"),
        ("gamma", 1.0, ValueError, r"has 0 dimensions \(shape \(\)\), expected 1"),
        ("dy", None, ValueError, "is missing"),
        ("x", None, ValueError, "is missing"),
        ("mean", None, ValueError, "is missing"),
        ("var", None, ValueError, "is missing"),
    ],
)
def test_a_bad_array_is_named(name, check, argument, value, error, match):
    call(name, check=check)  # a call that was in order just before changes nothing
    with pytest.raises(error, match=rf"^{argument}: ({match})"):
        call(name, check=check, **{argument: value})


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("shape", [(4,), (3,), (4, 3, 1), (1, 3, 4), (4, 1), (1, 3), (2, 3, 2), (4, 3, 0), (0, 3)])
def test_dy_and_x_need_one_shape(name, check, shape):
    """Nothing broadcasts, and as many samples in other axes are other samples."""
    mean, var = np.zeros(3), np.ones(3)
    for dy, x in ((np.ones((4, 3)), np.ones(shape)), (np.ones(shape), np.ones((4, 3)))):
        with pytest.raises(symbn.ArgumentError):
            getattr(symbn, name)(dy, x, mean, var, check=check)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("eps", "error"),
    [(-1.0, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("1", TypeError), (1j, TypeError)],
)
def test_an_eps_that_is_none_is_named(name, check, eps, error):
    call(name, check=check)
    with pytest.raises(error, match=r"^eps: is "):
        call(name, check=check, eps=eps)


@pytest.mark.parametrize("check", CHECKS)
def test_eps_of_zero_is_for_inference_alone(check):
    for zero in (0, 0.0, -0.0):
        with pytest.raises(symbn.ArgumentError, match=r"^eps: is .*0.*, expected a finite number greater than 0"):
            call(TRAINING, check=check, eps=zero)
        assert (call(INFERENCE, check=check, eps=zero).dx == 1).all()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("eps", [1, np.float32(0.25), np.int64(2), np.array(0.5), Fraction(1, 2)])
def test_eps_may_be_any_real_number(name, eps):
    assert all_same_bits(call(name, eps=eps), call(name, eps=float(eps)))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("axis", "error", "match"),
    [
        (2, ValueError, "2 is out of range for dy, which has 2 dimensions"),
        (-3, ValueError, "-3 is out of range for dy, which has 2 dimensions"),
        (1.0, TypeError, "is .*, expected an integer"),
        (None, TypeError, "is .*, expected an integer"),
        ((1,), TypeError, "is .*, expected an integer"),
    ],
)
def test_a_bad_axis_is_named(name, check, axis, error, match):
    call(name, check=check, axis=1)
    with pytest.raises(error, match=f"^axis: {match}"):
        call(name, check=check, axis=axis)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("check", ["", "Full", True, b"off"])
def test_an_unknown_check_is_refused(name, check):
    with pytest.raises(ValueError, match=r"^check: .* is not a check"):
        call(name, check=check)


@pytest.mark.parametrize("name", BOTH)
def test_out_and_check_are_taken_by_keyword_only(name):
    with pytest.raises(TypeError):
        getattr(symbn, name)(*[np.ones((4, 3))] * 2, *[np.ones(3)] * 3, 1e-5, 1, np.empty((4, 3)))
