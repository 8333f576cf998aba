"""What each function of the shipped family does, to the last case: conventions, shapes, memory, out=, bad arguments."""

from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import symbn

DTYPES = [np.float32, np.float64]
CHECKS = ["full", "sample", "off"]
#: each dtype and each check: a kernel does not know the check, and the check treats both dtypes alike
MODES = [(np.float32, "full"), (np.float64, "sample"), (np.float32, "off")]


def same_bits(a, b):
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def all_same_bits(a, b):
    return all(same_bits(one, other) for one, other in zip(a, b, strict=True))


def assert_near(found, expected):
    """Within some units of the last place at each element's scale: right, if not yet how right."""
    for one, right, scale in zip(found, *expected, strict=True):
        unit = np.finfo(one.dtype).eps * (1 if one.dtype == np.float32 else 64)
        assert one.shape == right.shape
        assert (np.abs(one.astype(np.longdouble) - right) <= unit * scale).all()


# ---- conventions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "check"), MODES)
def test_results_are_what_the_textbook_says(norm, rng, dtype, check):
    for shape, where in norm.examples:
        case = norm.case(rng, shape, where, dtype)
        result = case.forward(check=check)
        assert result._fields == ("y", *norm.statistics)
        assert [one.dtype for one in result] == [dtype, *[np.float64] * len(norm.statistics)]
        assert_near(result, case.expected())
        gradients = case.backward(result[1:], check=check)
        assert gradients._fields == norm.gradients
        assert {one.dtype for one in gradients} == {np.dtype(dtype)}
        assert_near(gradients, case.expected_gradients())


@pytest.mark.parametrize("check", CHECKS)
def test_eps_has_the_default_of_the_field(norm, rng, check):
    """On data so small that eps decides."""
    case = norm.case(rng, *norm.examples[1], np.float64).of(lambda a: a * 1e-3)
    assert_near(case.forward(check=check), case.expected(norm.eps))
    assert all_same_bits(case.forward(check=check), case.forward(eps=norm.eps))
    assert not same_bits(case.forward(check=check).y, case.forward(eps=2 * norm.eps).y)
    statistics = case.forward()[1:]
    assert all_same_bits(case.backward(statistics, check=check), case.backward(statistics, eps=norm.eps))
    found = case.backward(case.forward(eps=0.25)[1:], eps=0.25, check=check)
    assert_near(found, case.expected_gradients(0.25))


def test_the_axis_is_the_one_of_the_field(rng):
    x = rng.standard_normal((3, 4, 5))
    for function in (symbn.layer_norm, symbn.rms_norm):
        assert all_same_bits(function(x), function(x, axis=-1))
        assert all_same_bits(function(x, axis=1), function(x, axis=-2))
        assert function(x)[1].shape == (3, 4)
        assert function(x, axis=0)[1].shape == ()
    assert all_same_bits(symbn.batch_norm_relu(x), symbn.batch_norm_relu(x, axis=1))
    assert all_same_bits(symbn.batch_norm_add_relu(x, x), symbn.batch_norm_add_relu(x, x, axis=1))


@pytest.mark.parametrize(("dtype", "check"), MODES)
def test_parameters_can_be_left_out_independently(norm, rng, dtype, check):
    case = norm.case(rng, *norm.examples[1], dtype)
    neutral = {"gamma": dtype(1), "beta": dtype(0)}
    statistics = case.forward()[1:]
    for left in ((), ("gamma",), ("beta",), ("gamma", "beta")):
        if not set(left) <= set(norm.parameters):
            continue
        filled = {name: np.full_like(case.parameters[name], neutral[name]) for name in left}
        whole, part = replace(case, parameters=case.parameters | filled), case.without(*left)
        expected = whole.backward(statistics)
        for _ in range(2):  # the second call takes the shortest way through
            assert all_same_bits(part.forward(check=check), whole.forward())
            gradients = part.backward(statistics, check=check)
            for name, one, other in zip(norm.gradients, gradients, expected, strict=True):
                if name[1:] in left and name[1:] in norm.read_back:
                    assert one is None
                else:
                    assert same_bits(one, other)
        assert_near(part.forward(), part.expected())
    out = [None if name != "dgamma" else np.empty_like(case.parameters["gamma"]) for name in norm.gradients]
    with pytest.raises(symbn.ArgumentError, match=r"^out: dgamma is not returned where gamma is not given"):
        case.without("gamma").backward(statistics, out=out, check=check)


@pytest.mark.parametrize("check", CHECKS)
def test_statistics_may_have_the_dtype_of_the_data(norm, rng, check):
    case = norm.case(rng, *norm.examples[1])
    rounded = [one.astype(np.float32) for one in case.forward()[1:]]
    wide = [one.astype(np.float64) for one in rounded]
    assert all_same_bits(case.backward(rounded, check=check), case.backward(wide))


def test_arguments_may_be_lists_and_numbers():
    """A mean of all axes is an array of none; a number stands for it."""
    x = [1.0, 2.0, 4.0]
    result = symbn.layer_norm(x)
    assert result.mean.shape == ()
    expected = symbn.layer_norm_backward(np.array(x), np.array(x), result.mean, result.var)
    found = symbn.layer_norm_backward(x, x, float(result.mean), float(result.var), check="off")
    assert found.dgamma is None
    assert same_bits(found.dx, expected.dx)
    assert same_bits(found.dbeta, np.array(x))


# ---- the rectifier -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "check"), MODES)
def test_what_is_cut_off_has_no_gradient(rng, dtype, check):
    x = rng.standard_normal((50, 3)).astype(dtype)
    for beta, whole in ((-9, False), (9, True)):
        beta = np.full(3, beta, dtype)
        result = symbn.batch_norm_relu(x, None, beta, check=check)
        g = symbn.batch_norm_relu_backward(x + 1, x, *result[1:], None, beta, check=check)
        assert result.y.any() == g.dx.any() == g.dbeta.any() == whole
        if whole:  # nothing is cut off: batch norm
            assert same_bits(result.y, symbn.batch_norm(x, None, beta).y)
            plain = symbn.batch_norm_backward(x + 1, x, *result[1:])
            assert same_bits(g.dx, plain.dx)
            assert same_bits(g.dbeta, plain.dbeta)


@pytest.mark.parametrize(("dtype", "check"), MODES)
def test_an_activation_of_zero_has_no_gradient(rng, dtype, check):
    """As in PyTorch: of a constant feature without beta nothing passes."""
    x = np.full((20, 2), 3, dtype)
    dy = rng.standard_normal((20, 2)).astype(dtype)
    residual = np.where(np.arange(20)[:, None] % 2, dtype(1), dtype(0)) * np.ones((20, 2), dtype)
    result = symbn.batch_norm_add_relu(x, residual, check=check)
    assert np.array_equal(result.y, residual)
    g = symbn.batch_norm_add_relu_backward(dy, x, residual, *result[1:], check=check)
    assert np.array_equal(g.dresidual, dy * residual)
    assert not symbn.batch_norm_relu_backward(dy, x, *result[1:], check=check).dx.any()


# ---- the number of samples -----------------------------------------------------------------------------


def ones_for(norm):
    """Calls in which each statistic is of one element."""
    if norm.name == "group_norm":
        return [((5, 4), {"num_groups": 4}), ((2, 4, 1, 1), {"num_groups": 4})]
    if norm.name == "instance_norm":
        return [((5, 4), {}), ((5, 4, 1, 1), {})]
    if norm.relu:
        return [((1, 4), {"axis": 1}), ((4,), {"axis": 0}), ((1, 1, 4), {"axis": -1})]
    return [((4, 1), {"axis": -1}), ((1,), {"axis": 0}), ((3, 2, 1, 1), {"axis": 2})]


@pytest.mark.parametrize(("dtype", "check"), MODES)
def test_one_sample(norm, rng, dtype, check):
    for shape, where in ones_for(norm):
        case = norm.case(rng, shape, where, dtype)
        result = case.forward(check=check)
        assert_near(result, case.expected())
        gradients = case.backward(result[1:], check=check)
        assert_near(gradients, case.expected_gradients())
        if "mean" in norm.statistics:
            assert np.array_equal(result.mean.ravel(), case.x.ravel())
            assert not result.var.any()
            assert not gradients.dx.any()
            assert not gradients.dgamma.any()


def empty_for(norm):
    """Calls of empty data; the last one's statistics are not empty."""
    if norm.name == "group_norm":
        groups = {"num_groups": 3}
        return [((0, 6, 4), groups), ((2, 0, 4), groups), ((0, 3), groups), ((2, 3, 4, 0, 5), groups)]
    if norm.name == "instance_norm":
        return [((0, 6, 4), {}), ((2, 0, 4), {}), ((0, 3), {}), ((2, 3, 4, 0, 5), {})]
    if norm.relu:
        return [((3, 0), {"axis": 1}), ((0,), {"axis": 0}), ((2, 0, 4), {"axis": 1}), ((4, 0, 3, 0), {"axis": 2})]
    return [
        ((0, 3), {"axis": -1}),
        ((4, 0, 3), {"axis": -1}),
        ((2, 0, 2, 0, 3), {"axis": 2}),
        ((3, 2, 0), {"axis": -1}),
    ]


@pytest.mark.parametrize(("dtype", "check"), MODES)
def test_empty_data(norm, rng, dtype, check):
    for shape, where in empty_for(norm):
        case = norm.case(rng, shape, where, dtype)
        for arranged in (case, case.of(np.asfortranarray), case.of(lambda a: np.repeat(a, 2, axis=-1)[..., ::2])):
            result = arranged.forward(check=check)
            assert [one.shape for one in result] == [shape, *[case.parts.statistics] * len(norm.statistics)]
            gradients = arranged.backward(result[1:], check=check)
            for name, one in zip(norm.gradients, gradients, strict=True):
                assert one.shape == (shape if name in ("dx", "dresidual") else case.parts.parameters)
                assert not one.any()
            out = np.empty(shape, dtype)  # NumPy gives it strides of 0
            assert arranged.forward(out=out, check=check).y is out
            assert arranged.backward(result[1:], out=out, check=check).dx is out
    assert np.isnan(result[-1]).all()


# ---- values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "check"), MODES)
def test_a_constant_group_gives_beta(norm, rng, dtype, check):
    if "mean" not in norm.statistics:
        pytest.skip("no mean is taken off")
    for (shape, where), value in zip(norm.examples, itertools.cycle([0.1, -1e7, 3e30, 0.0]), strict=False):
        case = norm.case(rng, shape, where, dtype)
        values = (case.parts.statistic + 1) * dtype(value)
        case = replace(case, data=case.data | {"x": values.astype(dtype)})
        result = case.forward(check=check)
        beta = case.parameters["beta"].ravel()[case.parts.parameter] + case.data.get("residual", dtype(0))
        assert np.array_equal(result.y, np.maximum(beta, 0) if norm.relu else beta)
        assert not result.var.any()
        assert not case.backward(result[1:], check=check).dgamma.any()


@pytest.mark.parametrize(("dtype", "check"), MODES)
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_nan_and_infinity_stay_in_their_group(norm, rng, dtype, check, value):
    for shape, where in norm.examples[:3]:
        case = norm.case(rng, shape, where, dtype)
        good = case.forward(check="off")
        gradients = case.backward(good[1:], check="off")
        place = tuple(rng.integers(size) for size in shape)
        number = case.parts.statistic[place]
        group = case.parts.statistic == number
        touched = np.isin(np.arange(case.parts.parameter.max() + 1), case.parts.parameter[group])
        for name in ("dy", *case.data):
            dirty = {key: one.copy() for key, one in {"dy": case.dy, **case.data}.items()}
            dirty[name][place] = value
            own = replace(case, dy=dirty.pop("dy"), data=dirty)
            result = own.forward(check=check)
            assert same_bits(result.y[~group], good.y[~group])
            for one, other in zip(result[1:], good[1:], strict=True):
                others = np.arange(one.size) != number
                assert same_bits(one.ravel()[others], other.ravel()[others])
                assert np.isfinite(one.ravel()[number]) == (name != "x")
            if name == "x" and (np.isnan(value) or "mean" in norm.statistics):
                assert np.isnan(result.y[group]).all()
            found = own.backward(result[1:], check=check)
            assert same_bits(found.dx[~group], gradients.dx[~group])
            for parameter in norm.parameters:
                one, other = (getattr(these, f"d{parameter}").ravel() for these in (found, gradients))
                assert same_bits(one[~touched], other[~touched])
            if name == "x" and np.isnan(value):
                assert np.isnan(found.dx[group]).all()
                assert np.isnan(found.dgamma.ravel()[case.parts.parameter[place]])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("scales", [(3e37, 1), (1e-42, 1), (1e-30, 1e-30), (1, 3e37), (1, 1e-43), (1e-20, 1e37)])
def test_extremes_of_float32(norm, rng, order, scales):
    """What overflows or vanishes in float32 does neither on the way."""
    scale, cotangent = map(np.float32, scales)
    shape, where = norm.examples[1]
    case = norm.case(rng, shape, where).of(lambda a: np.array(a, order=order))
    case = replace(case, data=case.data | {"x": case.x * scale}, dy=case.dy * cotangent)
    result = case.forward()
    found = case.backward(result[1:])
    largest = np.finfo(np.float32).max
    assert np.isfinite(result.y).all()
    (y, *_), (y_scale, *_) = case.expected()
    gradients, scales = case.expected_gradients()
    for one, right, size in zip((result.y, *found), (y, *gradients), (y_scale, *scales), strict=True):
        fits = np.abs(right) < largest
        unit = np.maximum(np.finfo(np.float32).eps * size, np.finfo(np.float32).smallest_subnormal)
        assert (np.abs(one.astype(np.longdouble) - right)[fits] <= unit[fits]).all()
        assert np.isinf(one[~fits]).all()


# ---- memory -------------------------------------------------------------------------------------------


def disarranged(rng, array):
    """The same values in other memory: axes permuted, reversed, stepped; unaligned, byte-swapped or read-only."""
    ndim = array.ndim
    if ndim == 0:
        return array
    order = rng.permutation(ndim)
    steps, crops = rng.choice([1, 1, 2, -1, -3], ndim), rng.integers(0, 3, ndim)
    sizes = [size * abs(step) + crop for size, step, crop in zip(array.shape, steps, crops, strict=True)]
    offset = int(rng.choice([0, 0, 0, 1, 4]))
    memory = np.zeros(int(np.prod(sizes)) * array.itemsize + offset, np.uint8)
    base = np.frombuffer(memory.data, array.dtype, offset=offset)
    view = base.reshape([sizes[axis] for axis in order]).transpose(np.argsort(order))
    view = view[tuple(slice(crop, None) for crop in crops)][tuple(slice(None, None, step) for step in steps)]
    view = view[tuple(slice(0, size) for size in array.shape)]
    view[...] = array
    kind = rng.integers(6)
    if kind == 0:
        view = view.astype(view.dtype.newbyteorder())
    if kind == 1:
        view.flags.writeable = False
    return view


@st.composite
def calls(draw, norm):
    """(shape, where): up to 7 axes, empty ones and those of length 1 among them."""
    least = 2 if norm.name in ("group_norm", "instance_norm") else 1
    ndim = draw(st.integers(least, 7))
    sizes = [0, 1, 1, 2, 3, 4] if ndim > 3 else [0, 1, 2, 3, 6, 8, 17, 40]
    shape = tuple(draw(st.sampled_from(sizes[draw(st.booleans()) :])) for _ in range(ndim))
    if norm.name == "instance_norm":
        return shape, {}
    if norm.name == "group_norm":
        divisors = [number for number in range(1, 41) if shape[1] % number == 0]
        return shape, {"num_groups": draw(st.sampled_from(divisors))}
    return shape, {"axis": draw(st.integers(-ndim, ndim - 1))}


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(DTYPES), st.sampled_from(CHECKS), st.booleans(), st.integers(0, 2**32))
def test_any_memory_gives_the_bits_of_the_contiguous_copy(norm, values, dtype, check, broadcast, seed):
    rng = np.random.default_rng(seed)
    shape, where = values.draw(calls(norm))
    case = norm.case(rng, shape, where, dtype, offset=float(rng.choice([0, 30, 1e4])))
    if rng.integers(3) == 0:
        case = case.without(*rng.choice(norm.parameters, 1))
    if broadcast:
        axis = int(rng.integers(len(shape)))
        case = case.of(lambda a: np.broadcast_to(a.take([0][: a.shape[axis]], axis), a.shape), parameters=False)
    plain = case.of(np.array)
    expected = plain.forward(check="off")
    gradients = plain.backward(expected[1:], check="off")
    assert all_same_bits(plain.forward(check="off"), expected)
    assert all_same_bits(plain.backward(expected[1:], check="off"), gradients)
    other = case if broadcast else case.of(lambda a: disarranged(rng, a))
    statistics = [disarranged(rng, one) for one in expected[1:]]
    before = [one.tobytes() for one in (*other.data.values(), other.dy)]
    assert all_same_bits(other.forward(check=check), expected)
    assert all_same_bits(other.backward(statistics, check=check), gradients)
    # results in memory of the caller's
    for run, results in ((other.forward, expected), (lambda **o: other.backward(statistics, **o), gradients)):
        out = [None if one is None or rng.integers(4) == 0 else disarranged(rng, np.zeros_like(one)) for one in results]
        out = [None if one is None else one if one.flags.writeable else one.copy() for one in out]
        found = run(out=out, check=check)
        assert all(one is None or one is own for one, own in zip(out, found, strict=True))
        assert all_same_bits(
            [one if one is None else one.astype(one.dtype.newbyteorder("=")) for one in found], results
        )
    assert before == [one.tobytes() for one in (*other.data.values(), other.dy)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_result_lies_in_memory_as_its_data_does(norm, rng, dtype):
    case = norm.case(rng, *norm.examples[0], dtype).of(np.asfortranarray)
    result = case.forward()
    assert result.y.strides == case.backward(result[1:]).dx.strides == case.x.strides


# ---- one call after another, threads and processes -------------------------------------------------------


def large_for(norm):
    """Calls on which more than one thread works."""
    if norm.name == "group_norm":
        groups = [(6, 12, 30, 31), 3], [(6, 12, 30, 31), 12], [(4, 64, 300), 1], [(6000, 12), 6]
        return [(shape, {"num_groups": number}) for shape, number in groups]
    if norm.name == "instance_norm":
        return [((6, 12, 30, 31), {}), ((1, 2, 40000), {}), ((6000, 4, 3), {})]
    if norm.relu:
        return [((6, 12, 30, 31), {"axis": 1}), ((24000, 3), {"axis": 1}), ((6, 30, 31, 12), {"axis": -1})]
    return [
        ((600, 130), {"axis": -1}),
        ((7, 9, 1100), {"axis": 1}),
        ((2, 40000), {"axis": -1}),
        ((22000, 3), {"axis": 0}),
    ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_number_of_threads_gives_the_same_bits(norm, rng, threads, dtype):
    for shape, where in large_for(norm)[dtype is np.float64 :: 2]:
        case = norm.case(rng, shape, where, dtype, offset=30)
        threads(1)
        expected = case.forward(check="off")
        gradients = case.backward(expected[1:], check="off")
        stepped = case.of(lambda a: np.repeat(a, 2, axis=-1)[..., ::2])
        for number in (2, 5):
            threads(number)
            for one in (case, case.of(np.asfortranarray), stepped):
                assert all_same_bits(one.forward(check="off"), expected)
                assert all_same_bits(one.backward(expected[1:], check="off"), gradients)
    assert_near(expected, case.expected())


def test_calls_from_many_python_threads_do_not_disturb_each_other(norm, rng, threads):
    threads(2)
    cases = [norm.case(rng, *one, dtype) for one in (*norm.examples, large_for(norm)[0]) for dtype in DTYPES]

    def run(number):
        case, check = cases[number % len(cases)], ("off", "off", "sample")[number % 3]
        result = case.forward(check=check)
        return *result, *case.backward(result[1:], check=check)

    expected = [run(number) for number in range(len(cases))]
    with ThreadPoolExecutor(8) as pool:
        for number, found in enumerate(pool.map(run, range(3 * len(cases)))):
            assert all_same_bits(found, expected[number % len(cases)])


@pytest.mark.parametrize("function", [symbn.layer_norm, symbn.rms_norm, symbn.batch_norm_relu])
def test_the_same_shapes_with_another_axis(rng, function):
    x = rng.standard_normal((6, 6, 6))
    first = [function(x, axis=axis, check="full") for axis in range(3)]
    for axis in (0, 1, 2, 0, -1, np.int64(1), np.array(2)):
        assert all_same_bits(function(x, axis=axis, check="off"), first[int(axis)])


def test_the_same_shapes_with_another_number_of_groups(rng):
    x, dy = rng.standard_normal((2, 4, 12, 5))
    numbers = [1, 2, 3, 4, 6, 12]
    first = {number: symbn.group_norm(x, number, check="full") for number in numbers}
    for number in (*numbers, 1, np.int32(2), np.array(3), True):
        result = symbn.group_norm(x, number, check="off")
        assert all_same_bits(result, first[int(number)])
        found = symbn.group_norm_backward(dy, x, *result[1:], number, np.ones(12), check="off")
        assert all_same_bits(
            found, symbn.group_norm_backward(dy, x, *result[1:], int(number), np.ones(12), check="full")
        )


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_the_kernels_stay_loaded_while_the_process_lives():
    """OpenMP's idle threads would lose their code, and the process die as it ends."""
    script = """
        import pathlib
        import symbn
        from symbn.run import shipped
        symbn.layer_norm([1.0, 2.0])
        ffi, library, _ = shipped._library()
        ffi.dlclose(library)
        assert "kernels.so" in pathlib.Path("/proc/self/maps").read_text()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60, check=True)


# ---- out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "check"), MODES)
def test_in_place_is_exact(norm, rng, dtype, check):
    memories = [np.array, np.asfortranarray, lambda a: np.repeat(a[::-1], 2, axis=0)[::-2]]
    examples = (*norm.examples, *large_for(norm)[: dtype is np.float32 and check == "off"])
    for (shape, where), memory in zip(examples, itertools.cycle(memories), strict=False):
        case = norm.case(rng, shape, where, dtype)
        expected = case.forward(check="off")
        gradients = case.backward(expected[1:], check="off")
        for name in case.data:
            own = memory(case.data[name])
            result = replace(case, data=case.data | {name: own}).forward(out=own, check=check)
            assert result.y is own
            assert all_same_bits(result, expected)
            own[...] = case.data[name]
            found = replace(case, data=case.data | {name: own}).backward(expected[1:], out=own, check=check)
            assert found.dx is own
            assert all_same_bits(found, gradients)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_gradient_in_the_place_of_dy_is_exact(norm, rng, check, order):
    for shape, where in norm.examples:
        case = norm.case(rng, shape, where).of(lambda a: np.array(a, order=order))
        statistics = case.forward()[1:]
        expected = case.backward(statistics)
        own = np.array(case.dy, order=order)
        found = replace(case, dy=own).backward(statistics, out=own, check=check)
        assert found.dx is own
        assert all_same_bits(found, expected)


@pytest.mark.parametrize("check", CHECKS)
def test_parameters_gradients_may_go_where_the_parameters_are(norm, rng, check):
    case = norm.case(rng, *norm.examples[0], np.float64)
    statistics = case.forward()[1:]
    expected = case.backward(statistics)
    own = {name: one.copy() for name, one in case.parameters.items()}
    out = [own.get(name[1:]) for name in norm.gradients]
    found = replace(case, parameters=own).backward(statistics, out=out, check=check)
    assert found.dgamma is own["gamma"]
    assert all_same_bits(found, expected)
    result = replace(case, parameters=own).forward(out=tuple(case.forward(check="off")), check=check)
    assert_near(result, replace(case, parameters=own).expected())


@pytest.mark.parametrize("check", CHECKS)
def test_out_that_overlaps_in_part_is_refused(norm, rng, check):
    shape, where = norm.examples[1]
    case = norm.case(rng, shape, where)
    memory = rng.standard_normal((shape[0] + 1, *shape[1:])).astype(np.float32)
    kept = memory.copy()
    statistics = case.forward()[1:]
    for name in case.data:
        over = replace(case, data=case.data | {name: memory[1:]})
        for call in (over.forward, lambda **o: over.backward(statistics, **o)):  # noqa: B023
            with pytest.raises(symbn.ArgumentError, match=rf"^out: overlaps {name} in part; give {name} itself"):
                call(out=memory[:-1], check=check)
    with pytest.raises(symbn.ArgumentError, match=r"^out: overlaps dy in part"):
        replace(case, dy=memory[1:]).backward(statistics, out=memory[:-1], check=check)
    with pytest.raises(symbn.ArgumentError, match=r"^out: overlaps x in part"):
        replace(case, data=case.data | {"x": memory[:-1]}).forward(out=memory[-2::-1], check=check)
    shared = np.empty(case.parts.statistics)
    if len(norm.statistics) == 2:
        with pytest.raises(symbn.ArgumentError, match=r"^out: two of its arrays share memory"):
            case.forward(out=(None, shared, shared), check=check)
    assert same_bits(memory, kept)


@pytest.mark.parametrize("check", CHECKS)
def test_unusable_out_is_refused(norm, rng, check):
    """Each shape is named as the caller knows it."""
    shape, where = norm.examples[1]
    case = norm.case(rng, shape, where)
    statistics = case.forward()[1:]
    for names, call in (
        (("y", *norm.statistics), case.forward),
        (norm.gradients, lambda **options: case.backward(statistics, **options)),
    ):
        results = call()
        for number, (name, right) in enumerate(zip(names, results, strict=True)):

            def refuse(error, match, value, number=number, name=name, names=names, call=call):
                out = [value if at == number else None for at in range(len(names))]
                with pytest.raises(error, match=match.replace("NAME", rf"^out \({name}\)")):
                    call(out=out, check=check)

            other, more = (right.shape[0] + 1, *right.shape[1:]), (*right.shape, 1)
            longer = (*right.shape[:-1], right.shape[-1] + 6)
            for wrong in {other, longer, more, right.shape[1:]}:
                expected = str(tuple(right.shape)).replace("(", r"\(").replace(")", r"\)")
                refuse(symbn.ArgumentError, rf"NAME: has shape .*, expected {expected}", np.empty(wrong, right.dtype))
            if right.ndim == 1 and right.size % 2 == 0:
                refuse(symbn.ArgumentError, "NAME: has shape .*, expected", np.empty((2, right.size // 2), right.dtype))
            refuse(symbn.ArgumentTypeError, "NAME: has dtype float16, expected float", right.astype("f2"))
            fixed = right.copy()
            fixed.flags.writeable = False
            refuse(symbn.ArgumentError, "NAME: is read-only; give an array that can be written", fixed)
            spread = np.lib.stride_tricks.as_strided(right.copy(), right.shape, (0,) * right.ndim)
            refuse(symbn.ArgumentError, "NAME: its elements share memory", spread)
            refuse(symbn.ArgumentTypeError, r"^out: holds a list, expected a numpy\.ndarray", right.tolist())
        with pytest.raises(symbn.ArgumentError, match=f"^out: has 1 entries, .* for each of {', '.join(names)}"):
            call(out=(None,), check=check)


@pytest.mark.parametrize("check", ["full", "sample"])
def test_a_refused_result_reaches_nobody(norm, rng, refused, check):
    for shape, where in norm.examples:
        case = norm.case(rng, shape, where)
        result = case.forward(check="off")
        gradients = case.backward(result[1:], check="off")
        refused(norm.name)
        refused(f"{norm.name}_backward")
        for name, call, right in (
            (norm.name, case.forward, result),
            (f"{norm.name}_backward", lambda **o: case.backward(result[1:], **o), gradients),  # noqa: B023
        ):
            out = [np.full_like(one, 7) for one in right]
            with pytest.raises(symbn.CheckError, match=name) as caught:
                call(out=out, check=check)
            assert all((one == 7).all() for one in out)
            # the report counts as the caller does
            for one, array in zip(caught.value.report.outputs, right, strict=True):
                assert one.shape == array.shape
                for place in one.worst:
                    assert array[place.index] == place.computed


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_a_sample_is_a_part_wherever_the_rows_lie(rng, name, refused):
    """One row in 32 of those that the axes before the normalized one hold together, in any memory."""
    refused(name)
    for x in (
        rng.standard_normal((64, 4)),
        rng.standard_normal((4, 16, 4)),
        rng.standard_normal((4, 16, 4)).T.copy().T,
    ):
        with pytest.raises(symbn.CheckError) as caught:
            getattr(symbn, name)(x, check="sample")
        y = caught.value.report.outputs[0]
        assert (y.compared, y.failed) == (8, 8)
        expected = getattr(symbn, name)(x, check="off").y
        assert all(expected[place.index] == place.computed for place in y.worst)


# ---- bad arguments ------------------------------------------------------------------------------------


X = np.ones((2, 4, 3))
GROUP, LAYER, INSTANCE = (np.ones(shape) for shape in ((2, 2), (2, 4), (2, 4)))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda **o: symbn.group_norm(X, 3, **o), ValueError, "num_groups: is 3, expected a divisor of 4, the length"),
        (lambda **o: symbn.group_norm(X, 0, **o), ValueError, "num_groups: is 0, expected a divisor of 4"),
        (lambda **o: symbn.group_norm(X, -2, **o), ValueError, "num_groups: is -2, expected a divisor of 4"),
        (lambda **o: symbn.group_norm(X, 10**30, **o), ValueError, "num_groups: is 10{30}, expected a divisor of 4"),
        (lambda **o: symbn.group_norm(X, 2.0, **o), TypeError, "num_groups: is 2.0, expected an integer"),
        (lambda **o: symbn.group_norm(X, "2", **o), TypeError, "num_groups: is '2', expected an integer"),
        (lambda **o: symbn.group_norm(X, None, **o), TypeError, "num_groups: is None, expected an integer"),
        (lambda **o: symbn.group_norm(X[0, 0], 1, **o), ValueError, r"x: has 1 dimensions .*, expected 2 or more"),
        (lambda **o: symbn.group_norm(X, 2, np.ones(6), **o), ValueError, r"gamma: has shape \(6,\), expected \(4,\)"),
        (lambda **o: symbn.group_norm(X, 2, GROUP, **o), ValueError, r"gamma: has shape \(2, 2\), expected \(4,\)"),
        (lambda **o: symbn.group_norm(X, 2, None, 1.0, **o), ValueError, r"beta: has shape \(\), expected \(4,\)"),
        (lambda **o: symbn.group_norm(X, 2, np.ones(4, "f4"), **o), TypeError, "gamma: has dtype float32, expected f"),
        (
            lambda **o: symbn.group_norm_backward(X, X, LAYER, LAYER, 2, **o),
            ValueError,
            r"mean: has shape \(2, 4\), expected \(2, 2\): 2 along g, as in dy",
        ),
        (
            lambda **o: symbn.group_norm_backward(X, X[:, :2], GROUP, GROUP, 2, **o),
            ValueError,
            r"x: has shape \(2, 2, 3\), expected \(2, 4, 3\), as dy has",
        ),
        (lambda **o: symbn.group_norm_backward(X, None, GROUP, GROUP, 2, **o), ValueError, "x: is missing"),
        (lambda **o: symbn.instance_norm(X[0, 0], **o), ValueError, r"x: has 1 dimensions .*, expected 2 or more"),
        (lambda **o: symbn.instance_norm(X, np.ones(3), **o), ValueError, r"gamma: has shape \(3,\), expected \(4,\)"),
        (
            lambda **o: symbn.instance_norm_backward(X, X, INSTANCE, GROUP, **o),
            ValueError,
            r"var: has shape \(2, 2\), expected \(2, 4\): 4 along c, as in dy",
        ),
        (lambda **o: symbn.layer_norm(1.5, **o), ValueError, "axis: -1 is out of range for x, which has 0 dimensions"),
        (lambda **o: symbn.layer_norm(X, axis=3, **o), ValueError, "axis: 3 is out of range for x, which has 3 dim"),
        (lambda **o: symbn.layer_norm(X, axis=-4, **o), ValueError, "axis: -4 is out of range for x"),
        (lambda **o: symbn.layer_norm(X, axis=(1, 2), **o), TypeError, r"axis: is \(1, 2\), expected an integer"),
        (lambda **o: symbn.rms_norm(X, axis=None, **o), TypeError, "axis: is None, expected an integer"),
        (lambda **o: symbn.layer_norm(None, **o), ValueError, "x: is missing"),
        (lambda **o: symbn.layer_norm(X, np.ones(4), **o), ValueError, r"gamma: has shape \(4,\), expected \(3,\)"),
        (lambda **o: symbn.layer_norm(X, np.ones((4, 3)), **o), ValueError, "gamma: has 2 dimensions .*, expected 1"),
        (
            lambda **o: symbn.layer_norm(X, np.ones((4, 2)), axis=1, **o),
            ValueError,
            r"gamma: has shape \(4, 2\), expected \(4, 3\): 4 x 3 along k",
        ),
        (
            lambda **o: symbn.rms_norm(X, np.ones(12), axis=1, **o),
            ValueError,
            r"gamma: has 1 dimensions \(shape \(12,\)\), expected 2, as many for each index of gamma\[k\]",
        ),
        (
            lambda **o: symbn.layer_norm_backward(X, X, np.ones((2, 4, 1)), LAYER, **o),
            ValueError,
            "mean: has 3 dimensions .*, expected 2",
        ),
        (
            lambda **o: symbn.rms_norm_backward(X, X, np.ones((2, 3)), **o),
            ValueError,
            r"mean_square: has shape \(2, 3\), expected \(2, 4\)",
        ),
        (lambda **o: symbn.rms_norm_backward(X[0], X, LAYER, **o), ValueError, r"x: has .* \(4, 3\), as dy has"),
        (lambda **o: symbn.layer_norm_backward(X, X, None, LAYER, **o), ValueError, "mean: is missing"),
        (
            lambda **o: symbn.batch_norm_add_relu(X, X[:1], **o),
            ValueError,
            r"residual: has shape \(1, 4, 3\), expected \(2, 4, 3\), as x has",
        ),
        (lambda **o: symbn.batch_norm_add_relu(X, None, **o), ValueError, "residual: is missing"),
        (
            lambda **o: symbn.batch_norm_add_relu(X, X.astype("f4"), **o),
            TypeError,
            r"residual: has dtype float32, expected float64; cast it with residual\.astype\('float64'\)",
        ),
    ],
)
def test_a_bad_argument_is_named(call, error, match, check):
    with pytest.raises(error, match=f"^{match}") as caught:
        call(check=check)
    assert isinstance(caught.value, symbn.SymbnError)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("value", [0, -1e-5, np.nan, np.inf, "1", None, 1j])
def test_eps_is_a_positive_number(norm, rng, value, check):
    case = norm.case(rng, *norm.examples[0])
    statistics = case.forward(check=check)[1:]
    for call in (case.forward, lambda **options: case.backward(statistics, **options)):
        call(check=check)
        with pytest.raises((symbn.ArgumentError, symbn.ArgumentTypeError), match=r"^eps: is .*, expected a "):
            call(eps=value, check=check)


@pytest.mark.parametrize("dtype", [int, complex, np.float16, object])
def test_data_of_another_dtype_is_a_type_error(norm, rng, dtype):
    case = norm.case(rng, *norm.examples[0])
    other = replace(case, data=case.data | {"x": case.x.astype(dtype)})
    with pytest.raises(symbn.ArgumentTypeError, match=f"^x: has dtype {np.dtype(dtype)}, expected float32"):
        other.forward()
