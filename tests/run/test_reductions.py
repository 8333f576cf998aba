"""Kernels of products, maxima and minima: what NumPy gives, in any memory, with nothing and with what is no number."""

from __future__ import annotations

import dataclasses
import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Abs, Eq, Idx, IndexedBase, Product, Sum, exp, log, symbols

import symbn
from symbn import ReduceMax, ReduceMin, dtypes, pipeline
from symbn.build import native
from symbn.run import reference
from symbn.run.call import Call, Compiled

pytestmark = pytest.mark.usefixtures("compiled_quickly")

DTYPES = ["float32", "float64"]
m, n = symbols("m n", integer=True, positive=True)
i, j, k, h = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n)), Idx("h", (1, n))
x, w, y, mu, e, largest, smallest, product, bound = map(
    IndexedBase, "x w y mu e largest smallest product bound".split()
)

TOP, BOTTOM = ReduceMax(x[i, k], (i, 1, m)), ReduceMin(x[i, k], (i, 1, m))
EACH = symbn.Operator(
    "each",
    [Eq(largest[k], TOP), Eq(smallest[k], BOTTOM), Eq(product[k], Product(x[i, k], (i, 1, m)))],
    outputs=[largest, smallest, product],
)
OPERATORS = {
    "each": EACH,
    "softmax": symbn.Operator(
        "softmax",
        [
            Eq(largest[k], TOP),
            Eq(e[i, k], exp(x[i, k] - largest[k])),
            Eq(y[i, k], e[i, k] / Sum(e[j, k], (j, 1, m))),
        ],
        outputs=[y],
    ),
    "log_sum_exp": symbn.Operator(
        "log_sum_exp",
        [Eq(largest[k], TOP), Eq(y[k], largest[k] + log(Sum(exp(x[i, k] - largest[k]), (i, 1, m))))],
        outputs=[y],
    ),
    "largest_deviation": symbn.Operator(
        "largest_deviation",
        [
            Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
            Eq(bound[k], ReduceMax(Abs(x[i, k] - mu[k]), (i, 1, m))),
            Eq(y[i, k], (x[i, k] - mu[k]) / bound[k]),
        ],
        outputs=[y, mu, bound],
    ),
    "range_norm": symbn.Operator(
        "range_norm",
        [
            Eq(largest[k], TOP),
            Eq(smallest[k], BOTTOM),
            Eq(y[i, k], (x[i, k] - smallest[k]) / (largest[k] - smallest[k])),
        ],
        outputs=[y],
    ),
    "geometric": symbn.Operator("geometric", [Eq(y[k], Product(Abs(x[i, k]) + 1, (i, 1, m)) ** (1 / m))], outputs=[y]),
    "of_each_other": symbn.Operator(
        "of_each_other",
        [
            Eq(
                y[i],
                ReduceMax(x[i, k] * ReduceMin(x[j, k], (j, 1, m)), (k, 1, n))
                - ReduceMin(x[j, k], (j, 1, m), (k, 1, n)),
            )
        ],
        outputs=[y],
    ),
}


@cache
def kernel(name, dtype, derived=""):
    operator = OPERATORS[name]
    return symbn.build({"": lambda: operator, "gradient": operator.gradient}[derived](), dtype=dtype)


def layouts(array):
    """The same numbers in different memory."""
    yield np.ascontiguousarray(array)
    yield np.asfortranarray(array)
    yield np.ascontiguousarray(array[::-1])[::-1]
    yield np.repeat(array, 3, axis=1)[:, ::3]


def exact(array):
    return (np.asarray(part).tobytes() for part in array)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (16, 1), (17, 130), (513, 3), (1300, 40)])
def test_they_are_what_numpy_gives(rng, dtype, shape):
    samples = rng.uniform(0.5, 1.6, shape).astype(dtype) * rng.choice([-1, 1], shape).astype(dtype)
    bits = set()
    for array in layouts(samples):
        result = kernel("each", dtype)(x=array, check="full")
        np.testing.assert_array_equal(result.largest, samples.max(axis=0))
        np.testing.assert_array_equal(result.smallest, samples.min(axis=0))
        wanted = samples.astype(np.longdouble).prod(axis=0)
        units = np.abs(result.product - wanted) / np.spacing(np.abs(wanted).astype(dtype))
        assert np.all(units <= (0.501 if dtype == "float32" else shape[0]))
        bits.add(b"".join(exact(result)))
    assert len(bits) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_threads(rng, dtype):
    samples = rng.normal(1, 0.1, (3000, 200)).astype(dtype)
    before, bits = symbn.get_num_threads(), set()
    try:
        for threads in (1, 2, 5):
            symbn.set_num_threads(threads)
            bits |= {b"".join(exact(kernel("each", dtype)(x=one))) for one in layouts(samples)}
    finally:
        symbn.set_num_threads(before)
    assert len(bits) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_index_may_stand_for_several_axes(rng, dtype):
    samples = rng.normal(1, 0.1, (4, 3, 5, 7)).astype(dtype)
    result = kernel("each", dtype)(x=samples, axes={"x": ("i", "k", "i", "i")})
    np.testing.assert_array_equal(result.largest, samples.max(axis=(0, 2, 3)))
    np.testing.assert_array_equal(result.smallest, samples.min(axis=(0, 2, 3)))
    np.testing.assert_allclose(result.product, samples.prod(axis=(0, 2, 3)), rtol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_nothing(dtype):
    for array in (np.empty((0, 3), dtype), np.empty((0, 3), dtype, order="F")):
        result = kernel("each", dtype)(x=array, check="full")
        assert result.largest.tolist() == [-np.inf] * 3
        assert result.smallest.tolist() == [np.inf] * 3
        assert result.product.tolist() == [1.0] * 3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", [0, 15, 16, 511, 512, 599])
def test_not_a_number_and_infinity_stay_in_their_feature(rng, dtype, place):
    samples = rng.uniform(0.5, 1.5, (600, 4)).astype(dtype)
    samples[place, 0], samples[place, 1], samples[place, 2] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        wanted = [samples.max(axis=0), samples.min(axis=0)]
    for array in layouts(samples):
        result = kernel("each", dtype)(x=array, check="full")
        np.testing.assert_array_equal(result.largest, wanted[0])
        np.testing.assert_array_equal(result.smallest, wanted[1])
        assert np.isnan(result.product[0])
        assert result.product[1:3].tolist() == [np.inf, -np.inf]
        assert np.isfinite(result.product[3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_terms_that_do_not_vary_are_counted(dtype):
    operator = symbn.Operator(
        "constant",
        [
            Eq(y[k], Product(w[k], (i, 1, m))),
            Eq(largest[k], ReduceMax(w[k], (i, 1, m))),
            Eq(e[k], Sum(x[i, k], (i, 1, m))),
        ],
        outputs=[y, largest, e],
    )
    built = symbn.build(operator, dtype=dtype)
    base = np.array([2, -1, 0.5], dtype)
    for count in (0, 1, 7):
        result = built(w=base, x=np.zeros((count, 3), dtype), check="full")
        assert result.y.tolist() == (base**count).tolist()
        assert result.largest.tolist() == (base.tolist() if count else [-np.inf] * 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions_of_reductions(rng, dtype):
    samples = rng.standard_normal((40, 30)).astype(dtype)
    wide = samples.astype(np.longdouble)
    wanted = (wide * wide.min(axis=0)).max(axis=1) - wide.min()
    for array in layouts(samples):
        result = kernel("of_each_other", dtype)(x=array, check="full")
        np.testing.assert_allclose(result, wanted, rtol=1e-6 if dtype == "float32" else 1e-14)


# ---- no false alarms ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "dtype"), [(name, DTYPES[number % 2]) for number, name in enumerate(OPERATORS)])
def test_the_check_raises_no_false_alarm(name, dtype):
    forward, backward = kernel(name, dtype), kernel(name, dtype, "gradient")

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(
        st.tuples(st.sampled_from([1, 2, 15, 17, 513, 1200]), st.sampled_from([1, 3, 40])),
        st.sampled_from([0, 1, 1e3, 1e6]),
        st.integers(-12, 12),
        st.sampled_from("CF"),
        st.sampled_from(["normal", "ties", "constant", "zeros", "not a number", "infinite"]),
        st.integers(0, 2**32),
    )
    def passes(shape, offset, power, order, kind, seed):
        rng = np.random.default_rng(seed)
        samples = rng.standard_normal(shape)
        samples = rng.integers(-2, 3, shape) * 1.0 if kind == "ties" else samples * (kind != "constant")
        samples = np.array((samples + offset) * 10.0**power, dtype, order=order)
        value = {"zeros": 0, "not a number": np.nan, "infinite": np.inf}.get(kind)
        if value is not None:
            samples[rng.integers(shape[0], size=2), rng.integers(shape[1], size=2)] = value
        result = forward(x=samples, check="full")
        results = (
            {one: getattr(result, one) for one in forward.operator.outputs}
            if len(forward.operator.outputs) > 1
            else {"y": result}
        )
        given = {f"d{one}": rng.standard_normal(np.shape(array)).astype(dtype) for one, array in results.items()}
        others = {one: {**given, **results}[one] for one in backward.operator.inputs if one != "x"}
        backward(x=samples, **others, check="full")

    passes()


# ---- what must be caught --------------------------------------------------------------------------------

MUTANTS = {
    "a minimum for the maximum": (r"nan_max\(largest", "nan_min(largest"),
    "a maximum for the minimum": (r"nan_min\(smallest", "nan_max(smallest"),
    "a product of some factors": (r"product_prod_lanes\[lane \+ 8\](\[j\])?", "1.0"),
    "the last sample not visited": (r"smaller\(512, m0 \* m1 - start\)", "smaller(512, m0 * m1 - 1 - start)"),
    "a lane lost": ("lane < 8", "lane < 7"),
    "a block lost": ("block = 0", "block = 1"),
    "the remainder of the vector loop skipped": ("lane < count - whole", "lane < 0"),
    "a maximum that begins with zero": (r"-\(\(double\)INFINITY\)", "0.0"),
    "a product that begins with zero": ("product_prod_total = 1.0", "product_prod_total = 0.0"),
}


def broken(operator, dtype, edit):
    """A kernel whose C has been edited, checked against the equations of the right one."""
    one = pipeline.emit(operator, dtypes.dtype(dtype))
    text = edit(one.text)
    assert text != one.text
    built = native.build(dataclasses.replace(one, text=text))
    function = reference.compile_reference(reference.numpy_source(operator))
    return Call([one.interface], lambda _: Compiled(one.interface, built.ffi, built.function), function, None, {}, None)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_loop_is_refused(rng, name):
    old, new = MUTANTS[name]
    call = broken(EACH, "float32", lambda text: re.sub(old, new, text))
    # Of both ends each lane and each block has the farthest in some feature.
    samples = -rng.uniform(0.5, 1.5, (1030, 600)).astype("float32")
    for array in (np.asfortranarray(samples), samples):
        kernel("each", "float32")(x=array, check="full")
    with pytest.raises(symbn.CheckError):
        call((np.asfortranarray(samples),), (), 0, check="full")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["largest_deviation", "range_norm"])
def test_the_check_sees_what_a_gradient_gives_the_maximum(rng, name, dtype):
    """Where one term alone can be the maximum, its gradient is held to the limit of all others."""
    backward = kernel(name, dtype, "gradient")
    samples, cotangent = (rng.standard_normal((50, 4)).astype(dtype) for _ in range(2))
    result = kernel(name, dtype)(x=samples)
    saved = {one: getattr(result, one) for one in backward.operator.inputs if one not in ("dy", "x")}
    right = backward(dy=cotangent, x=samples, **saved, check="full")
    # Those that are counted stay as they are.
    counted = r"_(?:lanes|term)"
    share = re.compile(rf"^((?!.*{counted}).*)\? 1\.0 : 0\.0(?!.*\n.* sum\d* = .*{counted})", re.MULTILINE)
    call = broken(backward.operator, dtype, lambda text: share.sub(r"\1? 1.0001 : 0.0", text))
    arrays = tuple({"dy": cotangent, "x": samples, **saved}[name] for name in backward.operator.inputs)
    assert np.isfinite(right).all()
    call(arrays, (), 0, check="off")
    with pytest.raises(symbn.CheckError):
        call(arrays, (), 0, check="full")
