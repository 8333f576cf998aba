"""What each function does, to the last case: conventions, edge cases, memory layouts, threads, bad arguments."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import symbn
from symbn.run.plan import THREADED_ELEMENTS

DTYPES = [np.float32, np.float64]
CHECKS = ["full", "sample", "off"]
some = settings(max_examples=100, deadline=None, derandomize=True)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def all_same_bits(a, b):
    return all(same_bits(one, other) for one, other in zip(a, b, strict=True))


def shipped(name):
    """The object through which a shipped function is called."""
    return importlib.import_module(f"symbn.shipped.{name}").CALL


def data(rng, shape, axis, dtype):
    count = shape[axis]
    x = (rng.standard_normal(shape) * 3 + 50).astype(dtype)
    return x, rng.uniform(-2, 2, count).astype(dtype), rng.standard_normal(count).astype(dtype)


# ---- conventions -------------------------------------------------------------------------------------


def test_results_are_named_tuples(rng):
    x = rng.standard_normal((4, 3)).astype(np.float32)
    result = symbn.batch_norm(x)
    assert isinstance(result, tuple)
    assert result._fields == ("y", "mean", "var")
    running = symbn.update_running_stats(np.zeros(3), np.ones(3), result.mean, result.var, 4)
    assert isinstance(running, tuple)
    assert running._fields == ("running_mean", "running_var")
    assert type(symbn.batch_norm_inference(x, result.mean, result.var)) is np.ndarray


@pytest.mark.parametrize("dtype", DTYPES)
def test_y_has_the_dtype_of_the_data_and_statistics_are_float64(rng, dtype):
    result = symbn.batch_norm(rng.standard_normal((4, 3, 2)).astype(dtype))
    assert [one.dtype for one in result] == [dtype, np.float64, np.float64]
    assert [one.shape for one in result] == [(4, 3, 2), (3,), (3,)]
    assert symbn.batch_norm_inference(result.y, result.mean, result.var).dtype == dtype


def test_the_normalizing_variance_is_the_biased_one():
    result = symbn.batch_norm(np.array([[1.0], [2.0], [6.0]]))
    assert result.mean[0] == 3
    assert result.var[0] == float(Fraction(14, 3))


def test_eps_is_1e_5_unless_given(rng):
    x = rng.standard_normal((5, 3))
    assert all_same_bits(symbn.batch_norm(x), symbn.batch_norm(x, eps=1e-5))
    assert not same_bits(symbn.batch_norm(x).y, symbn.batch_norm(x, eps=1e-3).y)
    mean, var = np.zeros(3), np.ones(3)
    y = symbn.batch_norm_inference(x, mean, var)
    assert same_bits(y, symbn.batch_norm_inference(x, mean, var, eps=1e-5))
    assert not same_bits(y, symbn.batch_norm_inference(x, mean, var, eps=1e-3))


def test_the_feature_axis_is_1_unless_given(rng):
    x = rng.standard_normal((5, 3, 4))
    assert symbn.batch_norm(x).mean.shape == (3,)
    assert symbn.batch_norm(x, axis=-1).mean.shape == (4,)
    assert all_same_bits(symbn.batch_norm(x, axis=-3), symbn.batch_norm(x, axis=0))
    assert all_same_bits(symbn.batch_norm(x, axis=np.int64(2)), symbn.batch_norm(x, axis=2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gamma_and_beta_can_be_left_out_independently(rng, dtype):
    x, gamma, beta = data(rng, (6, 5, 3), 1, dtype)
    one, zero = np.ones(5, dtype), np.zeros(5, dtype)
    for g in (None, gamma):
        for b in (None, beta):
            left, whole = (g, b), (one if g is None else g, zero if b is None else b)
            assert all_same_bits(symbn.batch_norm(x, *left), symbn.batch_norm(x, *whole))
            mean, var = rng.standard_normal(5), rng.uniform(1, 2, 5)
            assert same_bits(
                symbn.batch_norm_inference(x, mean, var, *left), symbn.batch_norm_inference(x, mean, var, *whole)
            )
    assert not same_bits(symbn.batch_norm(x, gamma).y, symbn.batch_norm(x).y)
    assert not same_bits(symbn.batch_norm(x, None, beta).y, symbn.batch_norm(x).y)


def test_inference_with_the_batch_statistics_is_training(rng):
    x, gamma, beta = data(rng, (50, 7), 1, np.float32)
    result = symbn.batch_norm(x, gamma, beta)
    y = symbn.batch_norm_inference(x, result.mean, result.var, gamma, beta)
    np.testing.assert_array_max_ulp(y, result.y, 1)


# ---- the number of samples and features ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("shape", "axis"), [((1, 5), 1), ((1, 5, 1, 1), 1), ((1, 1, 5), -1), ((5,), 0)])
def test_one_sample_gives_beta(rng, dtype, check, shape, axis):
    x, gamma, beta = data(rng, shape, axis, dtype)
    result = symbn.batch_norm(x, gamma, beta, axis=axis, check=check)
    assert np.array_equal(result.y.ravel(), beta)
    assert np.array_equal(result.mean, x.ravel())
    assert np.array_equal(result.var, np.zeros(5))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("shape", "axis"), [((0, 3), 1), ((0, 3, 4, 4), 1), ((2, 3, 0), 1), ((0, 2, 3), -1)])
def test_no_samples_give_an_empty_y_and_leave_running_statistics_alone(dtype, check, shape, axis):
    x = np.empty(shape, dtype)
    result = symbn.batch_norm(x, np.ones(3, dtype), axis=axis, check=check)
    assert result.y.shape == shape
    assert result.mean.shape == result.var.shape == (3,)
    assert symbn.batch_norm_inference(x, np.zeros(3), np.ones(3), axis=axis, check=check).shape == shape
    running = np.array([1, 2, 3], dtype), np.array([4, 5, 6], dtype)
    updated = symbn.update_running_stats(*running, result.mean, result.var, 0, check=check)
    assert all_same_bits(updated, running)
    symbn.update_running_stats(*running, result.mean, result.var, 0, out=running, check=check)
    assert np.array_equal(running, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("shape", "axis"), [((4, 0), 1), ((4, 0, 3, 3), 1), ((0, 0), 1), ((4, 2, 0), -1)])
def test_no_features_give_an_empty_result(dtype, check, shape, axis):
    none = np.empty(0, dtype)
    result = symbn.batch_norm(np.empty(shape, dtype), none, none, axis=axis, check=check)
    assert result.y.shape == shape
    assert result.mean.shape == result.var.shape == (0,)
    empty = np.empty(0)
    assert symbn.batch_norm_inference(np.empty(shape, dtype), empty, empty, axis=axis, check=check).shape == shape
    assert symbn.update_running_stats(none, none, empty, empty, 4, check=check).running_mean.shape == (0,)


# ---- values -------------------------------------------------------------------------------------------


def constant(value, beta, m, dtype, order):
    x = np.array(np.full((m, 3), value, dtype), order=order)
    beta = np.full(3, beta, dtype)
    result = symbn.batch_norm(x, np.full(3, 1.7, dtype), beta, check="full")
    assert np.array_equal(result.mean, x[0].astype(np.float64))
    assert np.array_equal(result.var, np.zeros(3))
    assert np.array_equal(result.y, np.broadcast_to(beta, (m, 3)))


@some
@given(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(-100, 100, width=32),
    st.integers(1, 3000),
    st.sampled_from("CF"),
)
def test_a_constant_float32_feature_gives_beta(value, beta, m, order):
    constant(value, beta, m, np.float32, order)


@some
@given(st.floats(-1e300, 1e300), st.floats(-100, 100), st.integers(1, 3000), st.sampled_from("CF"))
def test_a_constant_float64_feature_gives_beta(value, beta, m, order):
    constant(value, beta, m, np.float64, order)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [7, 511, 513, 100003])
def test_many_constant_features_give_beta(rng, dtype, m):
    values = (rng.standard_normal(20) * 10.0 ** rng.integers(-30, 30, 20)).astype(dtype)
    result = symbn.batch_norm(np.broadcast_to(values, (m, 20)), check="off")
    assert np.array_equal(result.mean, values.astype(np.float64))
    assert not result.var.any()
    assert not result.y.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("layout", ["NC", "NCHW", "NHWC"])
@pytest.mark.parametrize("place", [0, 77, 599])
def test_nan_and_infinity_stay_in_their_feature(rng, dtype, check, layout, place):
    clean = (rng.standard_normal((600, 6)) + 10).astype(dtype)
    dirty = clean.copy()
    dirty[place, 1] = np.nan
    dirty[place, 2] = np.inf
    dirty[place, 4] = -np.inf
    dirty[place, 5], dirty[place - 1, 5] = np.inf, -np.inf

    def run(x):
        if layout == "NC":
            return symbn.batch_norm(x, check=check)
        x = x.reshape(6, 10, 10, 6)
        if layout == "NHWC":
            return symbn.batch_norm(x, axis=-1, check=check)
        result = symbn.batch_norm(np.ascontiguousarray(x.transpose(0, 3, 1, 2)), check=check)
        return result._replace(y=result.y.transpose(0, 2, 3, 1))

    good, result = run(clean), run(dirty)
    y, untouched = result.y.reshape(600, 6), good.y.reshape(600, 6)
    assert same_bits(y[:, [0, 3]], untouched[:, [0, 3]])
    assert np.isnan(y[:, [1, 2, 4, 5]]).all()
    assert np.array_equal(result.mean[[1, 2, 4, 5]], [np.nan, np.inf, -np.inf, np.nan], equal_nan=True)
    assert np.isnan(result.var[[1, 2, 4, 5]]).all()
    assert same_bits(result.mean[[0, 3]], good.mean[[0, 3]])
    assert same_bits(result.var[[0, 3]], good.var[[0, 3]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_at_inference_stays_in_its_element_and_nan_statistics_in_their_feature(rng, dtype):
    x = rng.standard_normal((40, 4)).astype(dtype)
    mean, var = np.zeros(4), np.ones(4)
    good = symbn.batch_norm_inference(x, mean, var)
    x[3, 1], x[5, 2] = np.nan, np.inf
    mean[3] = np.nan
    y = symbn.batch_norm_inference(x, mean, var)
    assert np.argwhere(np.isnan(y[:, :3])).tolist() == [[3, 1]]
    assert y[5, 2] == np.inf
    assert np.isnan(y[:, 3]).all()
    rest = np.isfinite(y)
    assert same_bits(y[rest], good[rest])


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_sum_beyond_float32_normalizes(order):
    x = np.array(np.array([[1e38, -1e38], [2e38, -2e38], [3e38, -3e38]], np.float32), order=order)
    result = symbn.batch_norm(x)
    np.testing.assert_allclose(result.y[:, 0], [-(1.5**0.5), 0, 1.5**0.5], atol=1e-6)
    np.testing.assert_allclose(result.y[:, 1], [1.5**0.5, 0, -(1.5**0.5)], atol=1e-6)
    np.testing.assert_allclose(result.mean, [2e38, -2e38], rtol=1e-7)
    np.testing.assert_allclose(result.var, [2e76 / 3] * 2, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormals_are_kept(dtype, threads):
    threads(2)
    least = np.nextafter(dtype(0), dtype(1))
    x = (np.arange(-50, 50).reshape(20, 5) * least).astype(dtype)
    y = symbn.batch_norm_inference(x, np.zeros(5), np.ones(5), eps=0.0)
    assert same_bits(y, x + dtype(0))
    large = np.resize(x, (20000, 5))
    assert same_bits(symbn.batch_norm_inference(large, np.zeros(5), np.ones(5), eps=0.0), large + dtype(0))
    # and the caller's own arithmetic keeps them, before and after
    assert np.count_nonzero(x * dtype(0.75)) == np.count_nonzero(x)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_negative_variance_at_inference_gives_nan(check, dtype):
    x = np.ones((4, 3), dtype)
    y = symbn.batch_norm_inference(x, np.zeros(3), np.array([-1.0, 1.0, -1e-6]), eps=1e-5, check=check)
    assert np.isnan(y[:, 0]).all()
    # -1e-6 + 1e-5 is positive: nothing is clamped
    np.testing.assert_allclose(y[:, 2], 9e-6**-0.5, rtol=1e-6)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_division_by_a_zero_variance_at_inference_follows_ieee(check, dtype):
    x = np.array([[1, 1], [-2, -2], [0, 0]], dtype)
    gamma = np.array([1, -1], dtype)
    y = symbn.batch_norm_inference(x, np.zeros(2), np.zeros(2), gamma, eps=0.0, check=check)
    assert np.array_equal(y, [[np.inf, -np.inf], [-np.inf, np.inf], [np.nan, np.nan]], equal_nan=True)
    y = symbn.batch_norm_inference(x, np.zeros(2), np.full(2, np.inf), gamma, eps=0.0, check=check)
    assert not y.any()


# ---- memory layouts -----------------------------------------------------------------------------------


@st.composite
def strided(draw):
    """(array, its feature axis): 1-d to 5-d, with axes permuted, reversed, stepped, cropped and broadcast."""
    dtype = draw(st.sampled_from(DTYPES))
    ndim = draw(st.integers(1, 5))
    shape = [draw(st.sampled_from([1, 2, 3, 4, 5, 7, 40] if ndim < 4 else [1, 2, 3, 5])) for _ in range(ndim)]
    steps = [draw(st.sampled_from([1, 1, 1, 2, -1, -3, 0])) for _ in range(ndim)]
    crops = [draw(st.integers(0, 2)) for _ in range(ndim)]
    order = draw(st.permutations(range(ndim)))
    sizes = [1 if step == 0 else size * abs(step) + crop for size, step, crop in zip(shape, steps, crops, strict=True)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    offset = draw(st.sampled_from([0, 0, 1, 3, 4]))
    memory = np.zeros(int(np.prod(sizes)) * np.dtype(dtype).itemsize + offset, np.uint8)
    base = np.frombuffer(memory.data, dtype, offset=offset).reshape([sizes[axis] for axis in order])
    base[...] = rng.standard_normal(base.shape) * 2 + draw(st.sampled_from([0, 30, 1e4]))
    array = base.transpose(np.argsort(order))
    for axis, (size, step, crop) in enumerate(zip(shape, steps, crops, strict=True)):
        key = [slice(None)] * ndim
        if step:
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
    return array, draw(st.integers(-ndim, ndim - 1))


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(strided(), st.sampled_from(CHECKS))
def test_any_strides_give_the_bits_of_the_contiguous_copy(case, check):
    x, axis = case
    plain = np.ascontiguousarray(x, x.dtype.newbyteorder("=")).reshape(x.shape)
    rng = np.random.default_rng(0)
    gamma = rng.standard_normal(2 * x.shape[axis]).astype(plain.dtype)[::-2]
    beta = rng.standard_normal((x.shape[axis], 3)).astype(plain.dtype)[:, 1]
    before = x.tobytes(), gamma.tobytes(), beta.tobytes()
    result = symbn.batch_norm(x, gamma, beta, axis=axis, check=check)
    expected = symbn.batch_norm(plain, gamma.copy(), beta.copy(), axis=axis, check="off")
    assert all_same_bits(result, expected)
    y = symbn.batch_norm_inference(x, result.mean, result.var, gamma, beta, axis=axis, check=check)
    assert same_bits(y, symbn.batch_norm_inference(plain, result.mean, result.var, gamma, beta, axis=axis, check="off"))
    # `out` in the caller's own strides
    if x.flags.writeable and 0 not in x.strides:
        out = np.full_like(x, np.nan, subok=False)
        assert symbn.batch_norm(x, gamma, beta, axis=axis, out=out, check=check).y is out
        assert same_bits(np.ascontiguousarray(out, plain.dtype), expected.y)
    assert before == (x.tobytes(), gamma.tobytes(), beta.tobytes())


@pytest.mark.parametrize("dtype", DTYPES)
def test_both_memory_orders_give_the_same_bits(rng, dtype):
    """The two loop shapes sum in one and the same tree."""
    x, gamma, beta = data(rng, (5, 70, 17, 19), 1, dtype)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    first, second = symbn.batch_norm(x, gamma, beta), symbn.batch_norm(last, gamma, beta, axis=-1)
    assert same_bits(first.y, second.y.transpose(0, 3, 1, 2))
    assert all_same_bits(first[1:], second[1:])
    view = symbn.batch_norm(last.transpose(0, 3, 1, 2), gamma, beta)
    assert all_same_bits(first, view)
    # a result lies in memory as its data does
    assert view.y.strides == last.transpose(0, 3, 1, 2).strides


def test_a_list_of_floats_is_float64_data():
    rows = [[1.0, 2.0], [3.0, 5.0]]
    assert all_same_bits(symbn.batch_norm(rows), symbn.batch_norm(np.array(rows)))


# ---- threads and processes ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"), [((8, 37, 16, 17), 1), ((8, 16, 17, 37), -1), ((5000, 130), 1), ((3, 40000), 1)]
)
def test_any_number_of_threads_gives_the_same_bits(rng, threads, dtype, shape, axis):
    x, gamma, beta = data(rng, shape, axis, dtype)
    assert x.size >= THREADED_ELEMENTS
    threads(1)
    expected = symbn.batch_norm(x, gamma, beta, axis=axis, check="off")
    inference = symbn.batch_norm_inference(x, expected.mean, expected.var, gamma, beta, axis=axis, check="off")
    for number in (2, 3, 7, 64):
        threads(number)
        assert all_same_bits(symbn.batch_norm(x, gamma, beta, axis=axis, check="off"), expected)
        y = symbn.batch_norm_inference(x, expected.mean, expected.var, gamma, beta, axis=axis, check="off")
        assert same_bits(y, inference)


def test_calls_from_many_python_threads_do_not_disturb_each_other(rng, threads):
    threads(2)
    shapes = [((6000, 13), 1), ((6, 13, 50, 20), 1), ((6, 50, 20, 13), -1), ((5, 13), 1)]
    cases = [(*data(rng, shape, axis, dtype), axis) for shape, axis in shapes for dtype in DTYPES]

    def run(number):
        x, gamma, beta, axis = cases[number % len(cases)]
        return symbn.batch_norm(x, gamma, beta, axis=axis, check=CHECKS[number % 3])

    expected = [run(number) for number in range(len(cases) * 3)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(run, list(range(len(cases) * 3)) * 4))
    for number, result in enumerate(found):
        assert all_same_bits(result, expected[number % len(expected)])


def test_a_child_after_fork_computes():
    script = """
        import os, sys
        import numpy as np, symbn
        symbn.set_num_threads(2)
        x = np.random.default_rng(0).standard_normal((3000, 50))
        expected = symbn.batch_norm(x)
        child = os.fork()
        if child == 0:
            result = symbn.batch_norm(x)
            same = all(a.tobytes() == b.tobytes() for a, b in zip(result, expected))
            os._exit(0 if same else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    command = [sys.executable, "-I", "-W", "ignore", "-c", textwrap.dedent(script)]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


# ---- out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("shape", "axis", "memory"),
    [
        ((600, 9), 1, (0, 1)),
        ((600, 9), 1, (1, 0)),
        ((4, 9, 7, 30), 1, (0, 1, 2, 3)),
        ((4, 9, 7, 30), 1, (0, 2, 3, 1)),
        ((4, 9, 7, 30), 1, (3, 1, 0, 2)),
    ],
)
def test_in_place_is_exact(rng, dtype, check, shape, axis, memory):
    x, gamma, beta = data(rng, shape, axis, dtype)
    expected = symbn.batch_norm(x, gamma, beta, axis=axis, check="off")
    own = x.transpose(memory).copy().transpose(np.argsort(memory))
    result = symbn.batch_norm(own, gamma, beta, axis=axis, out=own, check=check)
    assert result.y is own
    assert all_same_bits(result, expected)
    own[...] = x
    y = symbn.batch_norm_inference(own, expected.mean, expected.var, gamma, beta, axis=axis, out=own, check=check)
    assert y is own
    assert same_bits(own, symbn.batch_norm_inference(x, expected.mean, expected.var, gamma, beta, axis=axis))


@pytest.mark.parametrize("check", CHECKS)
def test_out_takes_any_of_the_outputs(rng, check):
    x, gamma, beta = data(rng, (20, 6), 1, np.float32)
    expected = symbn.batch_norm(x, gamma, beta)
    y, mean, var = np.empty((6, 40), np.float32).T[::2], np.empty(12)[::-2], np.empty(6)
    for out in (y, (y, None, None), (y, mean, None), (None, None, var), (y, mean, var), [None, mean, var]):
        for one in (y, mean, var):
            one[...] = np.nan
        result = symbn.batch_norm(x, gamma, beta, out=out, check=check)
        assert all_same_bits(result, expected)
        given_out = out if isinstance(out, (tuple, list)) else (out, None, None)
        assert all(one is None or one is got for one, got in zip(given_out, result, strict=True))


@pytest.mark.parametrize("check", CHECKS)
def test_statistics_may_go_where_the_parameters_are(rng, check):
    x, gamma, beta = data(rng, (2000, 30), 1, np.float64)
    expected = symbn.batch_norm(x, gamma, beta)
    result = symbn.batch_norm(x, gamma, beta, out=(None, gamma, beta), check=check)
    assert result.mean is gamma
    assert all_same_bits(result, expected)


@pytest.mark.parametrize("check", CHECKS)
def test_out_that_overlaps_in_part_is_refused(rng, check):
    memory = rng.standard_normal((21, 6))
    before = memory.copy()
    with pytest.raises(ValueError, match=r"out: overlaps x in part"):
        symbn.batch_norm(memory[:20], out=memory[1:], check=check)
    square = memory[:6]
    with pytest.raises(ValueError, match=r"out: overlaps x in part"):
        symbn.batch_norm(square, out=square.T, check=check)
    with pytest.raises(ValueError, match=r"out: overlaps gamma in part"):
        symbn.batch_norm(np.ones((2, 4)), memory[0, :4], out=(None, memory[0, 2:], None), check=check)
    shared = np.empty(6)
    with pytest.raises(ValueError, match=r"out: two of its arrays share memory"):
        symbn.batch_norm(memory, out=(None, shared, shared), check=check)
    assert np.array_equal(memory, before)


def test_interleaved_arrays_do_not_overlap(rng):
    memory = rng.standard_normal((20, 12))
    x, out = memory[:, ::2], memory[:, 1::2]
    expected = symbn.batch_norm(x.copy())
    assert same_bits(symbn.batch_norm(x, out=out).y, expected.y)


@pytest.mark.parametrize(
    ("out", "error", "match"),
    [
        (np.empty((4, 2)), symbn.ArgumentError, r"out \(y\): has shape \(4, 2\), expected \(4, 3\)"),
        (np.empty((4, 3), np.float32), symbn.ArgumentTypeError, r"out \(y\): has dtype float32, expected float64"),
        (np.broadcast_to(np.empty(3), (4, 3)), symbn.ArgumentError, r"out \(y\): is read-only"),
        (
            np.lib.stride_tricks.as_strided(np.empty(3), (4, 3), (0, 8)),
            symbn.ArgumentError,
            r"out \(y\): its elements share memory",
        ),
        ([[0.0] * 3] * 4, symbn.ArgumentError, "out: has 4 entries, expected "),
        ((None, None), symbn.ArgumentError, "out: has 2 entries, expected "),
        (("y", None, None), symbn.ArgumentTypeError, r"out: holds a str, expected a numpy\.ndarray"),
        (np.ma.zeros((4, 3)), symbn.ArgumentTypeError, "out: holds a MaskedArray"),
        ((None, np.empty(4), None), symbn.ArgumentError, r"out \(mean\): has shape \(4,\), expected \(3,\)"),
        ((None, None, np.empty(3, "f4")), symbn.ArgumentTypeError, r"out \(var\): has dtype float32, expected float64"),
    ],
)
@pytest.mark.parametrize("check", CHECKS)
def test_unusable_out_is_refused(out, error, match, check):
    with pytest.raises(error, match=match):
        symbn.batch_norm(np.ones((4, 3)), out=out, check=check)


# ---- a refused result ---------------------------------------------------------------------------------


@pytest.mark.parametrize("check", ["full", "sample"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_refused_result_reaches_nobody(rng, refused, check, order):
    x, gamma, beta = (np.array(one, order=order) for one in data(rng, (50, 4), 1, np.float32))
    out = np.full((50, 4), 7, np.float32), np.full(4, 8.0), np.full(4, 9.0)
    kept = [one.copy() for one in (x, gamma, beta, *out)]
    refused("batch_norm")
    with pytest.raises(symbn.CheckError):
        symbn.batch_norm(x, gamma, beta, out=out, check=check)
    assert all_same_bits((x, gamma, beta, *out), kept)
    with pytest.raises(symbn.CheckError):
        symbn.batch_norm(x, gamma, beta, out=x, check=check)
    assert all_same_bits((x, gamma, beta, *out), kept)
    symbn.batch_norm(x, gamma, beta, out=out, check="off")
    assert not same_bits(out[0], kept[3])


@pytest.mark.parametrize("check", ["full", "sample"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_refused_update_leaves_the_running_statistics(refused, check, dtype):
    running = np.zeros(5, dtype), np.ones(10, dtype)[::2]
    refused("running_stats")
    with pytest.raises(symbn.CheckError):
        symbn.update_running_stats(*running, np.ones(5), np.ones(5) * 2, 9, out=running, check=check)
    assert not running[0].any()
    assert (running[1] == 1).all()


def test_arguments_are_never_modified(rng):
    x, gamma, beta = data(rng, (40, 6), 1, np.float32)
    mean, var = rng.standard_normal(6), rng.uniform(1, 2, 6)
    running = rng.standard_normal(6).astype(np.float32), np.ones(6, np.float32)
    everything = (x, gamma, beta, mean, var, *running)
    kept = [one.copy() for one in everything]
    for one in everything:
        one.flags.writeable = False
    for check in CHECKS:
        symbn.batch_norm(x, gamma, beta, check=check)
        symbn.batch_norm_inference(x, mean, var, gamma, beta, check=check)
        symbn.update_running_stats(*running, mean, var, 40, check=check)
    assert all_same_bits(everything, kept)


# ---- bad arguments ------------------------------------------------------------------------------------


def functions(x, **named):
    """Each function that takes data, called with it."""
    mean, var = np.zeros(3), np.ones(3)
    return [lambda: symbn.batch_norm(x, **named), lambda: symbn.batch_norm_inference(x, mean, var, **named)]


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (np.ones((4, 3), int), r"x: has dtype int64, expected float32 or float64; cast it"),
        (np.ones((4, 3), np.uint8), r"x: has dtype uint8, expected float32 or float64; cast it"),
        (np.ones((4, 3), bool), r"x: has dtype bool, expected float32 or float64; cast it"),
        (np.ones((4, 3), complex), r"x: has dtype complex128, expected float32 or float64; take its real part"),
        (np.ones((4, 3), np.float16), r"x: has dtype float16, expected float32 or float64; cast it"),
        (np.ones((4, 3), np.longdouble), r"x: has dtype \w+, expected float32 or float64; cast it"),
        (np.ones((4, 3), object), r"x: has dtype object, expected float32 or float64"),
        (np.full((4, 3), "a"), r"x: has dtype <U1, expected float32 or float64"),
        ([[1, 2, 3]], r"x: has dtype int64, expected float32 or float64; cast it"),
        ([[1.0], [2.0, 3.0]], "x: "),
        (None, "x: "),
        ("text", "x: has dtype <U4, expected float32 or float64"),
        (np.ma.masked_array(np.ones((4, 3)), False), r"x: is a masked array, .*x\.filled"),
    ],
)
@pytest.mark.parametrize("check", CHECKS)
def test_data_of_another_dtype_is_a_type_error(x, match, check):
    for call in functions(x, check=check):
        # a missing array is a missing argument; anything else has the wrong type
        with pytest.raises(symbn.ArgumentError if x is None else symbn.ArgumentTypeError, match=match):
            call()


@pytest.mark.parametrize("name", ["gamma", "beta"])
@pytest.mark.parametrize(("own", "other"), [(np.float32, np.float64), (np.float64, np.float32)])
@pytest.mark.parametrize("check", CHECKS)
def test_parameters_of_another_dtype_are_a_type_error(name, own, other, check):
    text = f"{name}: has dtype {other.__name__}, expected {own.__name__}"
    for call in functions(np.ones((4, 3), own), check=check, **{name: np.ones(3, other)}):
        with pytest.raises(symbn.ArgumentTypeError, match=text):
            call()


@pytest.mark.parametrize("name", ["gamma", "beta"])
@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (np.ones(2), ValueError, r"has shape \(2,\), expected \(3,\): 3 along k, as in x"),
        (np.ones(4), ValueError, r"has shape \(4,\), expected \(3,\): 3 along k, as in x"),
        (np.ones(1), ValueError, r"has shape \(1,\), expected \(3,\)"),
        (np.ones((1, 3)), ValueError, r"has 2 dimensions \(shape \(1, 3\)\), expected 1"),
        (np.array(1.0), ValueError, r"has 0 dimensions \(shape \(\)\), expected 1"),
        (np.ones(3, complex), TypeError, "has dtype complex128, expected float32 or float64; take its real part"),
        (1, TypeError, "has dtype int64"),
    ],
)
def test_wrong_parameters_are_named(name, value, error, match):
    for call in functions(np.ones((4, 3)), **{name: value}):
        with pytest.raises(error, match=f"^{name}: {match}") as caught:
            call()
        assert isinstance(caught.value, symbn.SymbnError)


@pytest.mark.parametrize("name", ["mean", "var"])
@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (np.ones(5), ValueError, r"has shape \(5,\), expected \(3,\): 3 along k, as in x"),
        (np.ones((3, 1)), ValueError, r"has 2 dimensions \(shape \(3, 1\)\), expected 1"),
        (np.ones(3, np.float16), TypeError, "has dtype float16, expected float32"),
        (np.ones(3, int), TypeError, "has dtype int64, expected float32 or float64"),
        (None, (ValueError, TypeError), "is missing"),
    ],
)
def test_wrong_statistics_at_inference_are_named(name, value, error, match):
    given_statistics = {"mean": np.zeros(3), "var": np.ones(3)} | {name: value}
    with pytest.raises(error, match=f"^{name}: {match}"):
        symbn.batch_norm_inference(np.ones((4, 3), np.float32), **given_statistics)


def test_statistics_at_inference_may_have_the_dtype_of_the_data(rng):
    x = rng.standard_normal((4, 3)).astype(np.float32)
    mean, var = rng.standard_normal(3).astype(np.float32), rng.uniform(1, 2, 3).astype(np.float32)
    assert same_bits(
        symbn.batch_norm_inference(x, mean, var),
        symbn.batch_norm_inference(x, mean.astype(np.float64), var.astype(np.float64)),
    )


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("eps", "error", "said"),
    [
        (-1e-5, ValueError, "-1e-05"),
        (float("nan"), ValueError, r"not a number \(NaN\)"),
        (float("inf"), ValueError, "inf"),
        (-float("inf"), ValueError, "-inf"),
        ("1e-5", TypeError, "a str"),
        (None, TypeError, "a NoneType"),
        (1e-5j, TypeError, "a complex"),
        (np.ones(3), TypeError, "a ndarray"),
    ],
)
def test_eps_that_is_no_such_number_is_refused(eps, error, said, check):
    for call in functions(np.ones((4, 3)), eps=eps, check=check):
        with pytest.raises(error, match=f"^eps: is {said}, expected a "):
            call()


@pytest.mark.parametrize("check", CHECKS)
def test_training_needs_a_positive_eps_and_inference_takes_zero(check):
    x = np.ones((4, 3))
    for zero in (0.0, -0.0, 0, np.float32(0)):
        with pytest.raises(ValueError, match=r"^eps: is -?0, expected a finite number greater than 0"):
            symbn.batch_norm(x, eps=zero, check=check)
        y = symbn.batch_norm_inference(x, np.zeros(3), np.ones(3), eps=zero, check=check)
        assert np.array_equal(y, x)


@pytest.mark.parametrize("eps", [1, np.float32(0.25), np.float64(0.25), np.int64(2), np.array(0.5), Fraction(1, 2)])
def test_eps_may_be_any_real_number(eps):
    x = np.arange(12.0).reshape(4, 3)
    assert same_bits(symbn.batch_norm(x, eps=eps).y, symbn.batch_norm(x, eps=float(eps)).y)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("axis", "ndim"), [(2, 2), (-3, 2), (1, 1), (0, 0), (10**30, 2)])
def test_an_axis_out_of_range_is_refused(axis, ndim, check):
    x = np.ones((3,) * ndim)
    for call in functions(x, axis=axis, check=check):
        with pytest.raises(ValueError, match=rf"^axis: {axis} is out of range for x, which has {ndim} dimensions"):
            call()


@pytest.mark.parametrize("axis", [1.0, "1", None, (1,)])
@pytest.mark.parametrize("check", CHECKS)
def test_an_axis_that_is_no_integer_is_refused(axis, check):
    x = np.ones((4, 3))
    # also right after a call of the same kind that was in order
    for call in functions(x, axis=1, check=check):
        call()
    for call in functions(x, axis=axis, check=check):
        with pytest.raises(TypeError, match=r"^axis: is .*, expected an integer"):
            call()


@pytest.mark.parametrize("check", ["", "Full", "on", True, 1, b"off"])
def test_an_unknown_check_is_refused(check):
    for call in functions(np.ones((4, 3)), check=check):
        with pytest.raises(ValueError, match=r"^check: .* is not a check; expected 'full', 'sample', 'off'"):
            call()


def test_out_and_check_are_taken_by_keyword_only():
    with pytest.raises(TypeError):
        symbn.batch_norm(np.ones((4, 3)), None, None, 1e-5, 1, np.empty((4, 3)))


# ---- running statistics -------------------------------------------------------------------------------


def exact_update(old, new, m, rate, bessel):
    p = Fraction(rate)
    factor = Fraction(m, max(m - 1, 1)) if bessel else 1
    return [
        float((1 - p) * Fraction(float(a)) + p * Fraction(float(b)) * factor) for a, b in zip(old, new, strict=True)
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("rate", [0, 0.0, 0.1, 0.75, 1, 1.0])
@pytest.mark.parametrize("m", [1, 2, 10, 12345])
def test_running_statistics_are_the_moving_average(rng, dtype, check, unbiased, rate, m):
    old = rng.uniform(1, 2, 7).astype(dtype), rng.uniform(1, 2, 7).astype(dtype)
    mean, var = rng.uniform(1, 2, 7), rng.uniform(1, 2, 7)
    result = symbn.update_running_stats(*old, mean, var, m, rate, unbiased, check=check)
    assert result.running_mean.dtype == result.running_var.dtype == dtype
    np.testing.assert_array_max_ulp(result.running_mean, np.array(exact_update(old[0], mean, m, rate, False), dtype), 2)
    expected = np.array(exact_update(old[1], var, m, rate, unbiased), dtype)
    np.testing.assert_array_max_ulp(result.running_var, expected, 2)
    if rate == 0:
        assert all_same_bits(result, old)


def test_momentum_weighs_the_new_value_and_defaults_to_a_tenth():
    result = symbn.update_running_stats(np.zeros(1), np.zeros(1), np.ones(1), np.ones(1), 2)
    assert result.running_mean[0] == 0.1
    assert result.running_var[0] == 0.2  # m/(m - 1) = 2: unbiased unless told otherwise
    biased = symbn.update_running_stats(np.zeros(1), np.zeros(1), np.ones(1), np.ones(1), 2, unbiased=False)
    assert biased.running_var[0] == 0.1


def test_one_sample_leaves_the_variance_factor_at_one():
    result = symbn.update_running_stats(np.zeros(1), np.ones(1), np.ones(1), np.array([3.0]), 1, 1.0)
    assert result.running_var[0] == 3.0


@pytest.mark.parametrize("dtype", DTYPES)
def test_momentum_none_averages_all_batches(rng, dtype):
    running = np.zeros(4, dtype), np.ones(4, dtype)
    batches = rng.standard_normal((9, 30, 4)).astype(dtype)
    for number, x in enumerate(batches, 1):
        result = symbn.batch_norm(x)
        running = symbn.update_running_stats(*running, result.mean, result.var, 30, None, num_batches_tracked=number)
    np.testing.assert_allclose(running.running_mean, batches.astype(np.longdouble).mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(running.running_var, batches.var(axis=1, ddof=1, dtype="g").mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("tracked", [None, 0, -1, 1.5, "2"])
def test_momentum_none_needs_the_number_of_batches(tracked):
    with pytest.raises(ValueError, match=r"^num_batches_tracked: is .*, expected the number of batches"):
        symbn.update_running_stats(*[np.ones(2)] * 4, 5, None, num_batches_tracked=tracked)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("rate", "error"),
    [(-1, ValueError), (-0.1, ValueError), (1.1, ValueError), (np.nan, ValueError), ("", TypeError), (1j, TypeError)],
)
def test_momentum_outside_0_to_1_is_refused(rate, error, check):
    with pytest.raises(error, match=r"^momentum: is .*, expected a number"):
        symbn.update_running_stats(*[np.ones(2)] * 4, 5, rate, check=check)


@pytest.mark.parametrize(
    ("m", "error"), [(-1, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("5", TypeError), (None, TypeError)]
)
def test_a_count_that_is_none_is_refused(m, error):
    with pytest.raises(error, match=r"^m: is .*, expected a (finite )?number"):
        symbn.update_running_stats(*[np.ones(2)] * 4, m)


@pytest.mark.parametrize(
    ("unbiased", "error"), [(2, ValueError), (0.5, ValueError), ("yes", TypeError), (None, TypeError)]
)
def test_unbiased_is_true_or_false(unbiased, error):
    with pytest.raises(error, match=r"^unbiased: is "):
        symbn.update_running_stats(*[np.ones(2)] * 4, 5, 0.1, unbiased)


@pytest.mark.parametrize("place", range(4))
def test_running_statistics_of_another_shape_are_named(place):
    arrays = [np.ones(3) for _ in range(4)]
    arrays[place] = np.ones((3, 1))
    name = ["running_mean", "running_var", "mean", "var"][place]
    with pytest.raises(ValueError, match=rf"^{name}: has 2 dimensions \(shape \(3, 1\)\), expected 1"):
        symbn.update_running_stats(*arrays, 5)
    arrays[place] = np.ones(4)
    with pytest.raises(ValueError, match=r"^\w+: has shape \(\d,\), expected \(\d,\)"):
        symbn.update_running_stats(*arrays, 5)
    arrays[place] = np.ones(3, int)
    with pytest.raises(TypeError, match=rf"^{name}: has dtype int64, expected float32 or float64"):
        symbn.update_running_stats(*arrays, 5)


@pytest.mark.parametrize("out", [np.empty(2), (np.empty(2),), [np.empty(2), np.empty(2)], "out"])
def test_out_of_an_update_is_a_pair(out):
    with pytest.raises(TypeError, match=r"^out: expected a tuple of two arrays"):
        symbn.update_running_stats(*[np.ones(2)] * 4, 5, out=out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("strides", ["contiguous", "stepped", "reversed", "one of two columns"])
def test_running_buffers_are_updated_in_place_through_their_strides(rng, dtype, check, strides):
    memory = [rng.uniform(1, 2, (20, 2)).astype(dtype) for _ in range(2)]
    key = {
        "contiguous": lambda a: a.reshape(-1)[:10],
        "stepped": lambda a: a.reshape(-1)[::4],
        "reversed": lambda a: a.reshape(-1)[9::-1],
        "one of two columns": lambda a: a[5:15, 1],
    }[strides]
    running = tuple(key(one) for one in memory)
    untouched = [one.copy() for one in memory]
    mean, var = rng.standard_normal(10), rng.uniform(1, 2, 10)
    expected = symbn.update_running_stats(*[one.copy() for one in running], mean, var, 9)
    result = symbn.update_running_stats(*running, mean, var, 9, out=running, check=check)
    assert result.running_mean is running[0]
    assert result.running_var is running[1]
    assert all_same_bits(running, expected)
    for one, before in zip(memory, untouched, strict=True):
        key(before)[...] = key(one)
        assert np.array_equal(one, before)


def test_one_running_buffer_may_be_given(rng):
    running = rng.uniform(1, 2, 4), rng.uniform(1, 2, 4)
    expected = symbn.update_running_stats(*running, np.ones(4), np.ones(4), 9)
    old_mean = running[0].copy()
    result = symbn.update_running_stats(*running, np.ones(4), np.ones(4), 9, out=(None, running[1]))
    assert all_same_bits(result, expected)
    assert same_bits(running[0], old_mean)


def test_running_statistics_keep_their_dtype_whatever_the_batch_has():
    running = symbn.update_running_stats(
        np.zeros(2, np.float32), np.ones(2, np.float32), np.ones(2, np.float32), np.ones(2), 5
    )
    assert running.running_mean.dtype == running.running_var.dtype == np.float32
    with pytest.raises(TypeError, match=r"^running_var: has dtype float64, expected float32"):
        symbn.update_running_stats(np.zeros(2, np.float32), np.ones(2), np.ones(2), np.ones(2), 5)


@pytest.mark.parametrize("check", CHECKS)
def test_nan_in_a_batch_enters_its_feature_alone(check):
    result = symbn.update_running_stats(
        np.zeros(3), np.ones(3), np.array([1, np.nan, np.inf]), np.array([1, np.nan, np.nan]), 5, check=check
    )
    assert np.array_equal(np.isfinite(result.running_mean), [True, False, False])
    assert np.array_equal(result.running_mean, [0.1, np.nan, np.inf], equal_nan=True)
    assert np.array_equal(np.isnan(result.running_var), [False, True, True])
