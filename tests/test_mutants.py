"""The check refuses each kernel that is broken on purpose, and none that is right."""

from __future__ import annotations

import dataclasses
import itertools
import re
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Abs, Eq, Idx, IndexedBase, Max, Piecewise, Sum, Symbol, exp, log, sqrt, symbols, tanh

import symbn
from symbn import dtypes, pipeline
from symbn.build import native
from symbn.run import reference
from symbn.run.call import Call, Compiled

pytestmark = pytest.mark.usefixtures("compiled_quickly")

DTYPES = ["float32", "float64"]
#: (m, n): below one vector, one vector and one more, two blocks of a sum, ten; one feature, few, more than a tile
SHAPES = [(5, 1), (5, 3), (5, 130), (17, 3), (17, 130), (600, 1), (600, 3), (600, 130), (5003, 1), (5003, 3)]

m, n = symbols("m n", integer=True, positive=True)
i, j, k = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n))
x, gamma, beta, mu, sigma2, y = map(IndexedBase, ("x", "gamma", "beta", "mu", "sigma2", "y"))
epsilon = Symbol("epsilon", positive=True)

MEAN = Sum(x[i, k], (i, 1, m)) / m
SQUARES = Sum((x[i, k] - mu[k]) ** 2, (i, 1, m))
VARIANCE = SQUARES / m
ROOT = sqrt(sigma2[k] + epsilon)
NORMALIZED = (x[i, k] - mu[k]) / ROOT
Y = gamma[k] * NORMALIZED + beta[k]


class Result(NamedTuple):
    """What batch normalization returns."""

    y: object
    mu: object
    sigma2: object


def operator(mean=MEAN, variance=VARIANCE, result=Y):
    return symbn.Operator(
        "batch_norm",
        [Eq(mu[k], mean), Eq(sigma2[k], variance), Eq(y[i, k], result)],
        outputs=[y, mu, sigma2],
        inputs=[x, gamma, beta, epsilon],
        statistics=[mu, sigma2],
    )


TRUE = operator()


def call(source):
    """The kernel of a source, checked against the true equations."""
    built = native.build(source)
    true = pipeline.emit(TRUE, dtypes.dtype(source.interface.dtype)).interface
    assert source.interface.layout == true.layout
    function = reference.compile_reference(reference.numpy_source(TRUE))
    return Call([true], lambda _: Compiled(true, built.ffi, built.function), function, None, {}, Result)


def data(rng, shape, order, dtype, offset=3.0, *, ascending=False):
    """Mean/std of one to offset, with parameters that are all different.

    Where samples ascend, the first lie far from the mean, and squares about it are summed in a visit of their own.
    """
    count = shape[1]
    centres = offset * (1 + np.arange(count) / count) / 2
    drawn = rng.standard_normal(shape)
    samples = np.array((np.sort(drawn, axis=0) if ascending else drawn) * 1.5 + centres * 1.5, dtype, order=order)
    scale = np.linspace(0.5, 2, count) * np.where(np.arange(count) % 2, -1, 1)
    return samples, scale.astype(dtype), np.linspace(-3, -1, count).astype(dtype)


def assert_refused(kernel, rng, dtype, shapes, offset=3.0, checks=("full",), *, ascending=False):
    for shape in shapes:
        for order in "CF":
            arrays = data(rng, shape, order, dtype, offset, ascending=ascending)
            for check in checks:
                with pytest.raises(symbn.CheckError) as caught:
                    kernel(arrays, (1e-5,), 0, check=check)
                assert not caught.value.report.passed


# ---- mutated equations --------------------------------------------------------------------------------

EQUATIONS = {
    "1/m dropped from the mean": operator(mean=Sum(x[i, k], (i, 1, m))),
    "1/m dropped from the variance": operator(variance=SQUARES),
    "m - 1 for m in the mean": operator(mean=Sum(x[i, k], (i, 1, m)) / (m - 1)),
    "m - 1 for m in the variance": operator(variance=SQUARES / (m - 1)),
    "sign of the mean in y": operator(result=gamma[k] * (x[i, k] + mu[k]) / ROOT + beta[k]),
    "sign of the mean in the variance": operator(variance=Sum((x[i, k] + mu[k]) ** 2, (i, 1, m)) / m),
    "sign of beta": operator(result=gamma[k] * NORMALIZED - beta[k]),
    "sign of gamma": operator(result=-gamma[k] * NORMALIZED + beta[k]),
    "eps subtracted": operator(result=gamma[k] * (x[i, k] - mu[k]) / sqrt(sigma2[k] - epsilon) + beta[k]),
    "eps squared": operator(result=gamma[k] * (x[i, k] - mu[k]) / sqrt(sigma2[k] + epsilon**2) + beta[k]),
    "eps outside the root": operator(result=gamma[k] * (x[i, k] - mu[k]) / (sqrt(sigma2[k]) + epsilon) + beta[k]),
    "root missing": operator(result=gamma[k] * (x[i, k] - mu[k]) / (sigma2[k] + epsilon) + beta[k]),
    "gamma and beta swapped": operator(result=beta[k] * NORMALIZED + gamma[k]),
}


@pytest.mark.parametrize(("name", "dtype"), list(zip(EQUATIONS, itertools.cycle(DTYPES), strict=False)))
def test_a_mutated_equation_is_refused(rng, name, dtype):
    kernel = call(pipeline.emit(EQUATIONS[name], dtypes.dtype(dtype)))
    assert_refused(kernel, rng, dtype, SHAPES, checks=("full", "sample"))


def test_the_variance_as_a_difference_of_squares_is_refused(rng):
    """For float32; what float64's arithmetic of pairs loses here is beyond the last place."""
    mutant = operator(variance=Sum(x[i, k] ** 2, (i, 1, m)) / m - mu[k] ** 2)
    assert_refused(call(pipeline.emit(mutant, dtypes.dtype("float32"))), rng, "float32", SHAPES, offset=1e4)
    arrays = data(rng, (600, 3), "C", "float64", offset=1e4)
    call(pipeline.emit(mutant, dtypes.dtype("float64")))(arrays, (1e-5,), 0, check="full")


# ---- mutated loops ------------------------------------------------------------------------------------

COUNT = "const ptrdiff_t count = smaller(512, m0 * m1 - start);"
#: where y is written: in blocks, and row by row
WRITTEN = re.compile(r"(const ptrdiff_t count = smaller\((?:2048|64 \* .*), m0 \* m1) - start\);")
ROWS = re.compile(r"for \(ptrdiff_t q = 0; q < m0 \* m1; q\+\+\)")
BLOCKS = "for (ptrdiff_t block = 0; block < (m0 * m1 + 511) / 512; block++)"
#: in float64, where the total is a pair made tight, the other parts have low parts of their own
MU_HI = re.compile(r"const double mu_hi = (mu_hi_total(?:\[j\])?|tight) / \(double\)\(m0 \* m1\);")
MU_LOWS = re.compile(r"const double (mu_lo|mu_lo_low|eq1_part_low) = .*;")
MU_OUT = "const double eq1_part = mu_hi + mu_lo;"


def nth(text, old, new, number):
    """The text with one occurrence replaced."""
    parts = text.split(old)
    assert len(parts) > number + 1, f"no {old!r} number {number}"
    return old.join(parts[: number + 1]) + new + old.join(parts[number + 1 :])


def each_nest(text, edit):
    """Edit all loop shapes: the contiguous index is reduced, or it is kept, by rows of all features or of panels."""
    head, *nests = re.split(r"(?=static void group1_)", text)
    nests[-1], main = re.split(r"(?=\nint batch_norm_)", nests[-1])
    assert len(nests) == 3
    edited = [edit(nest) for nest in nests]
    assert not {*edited} & {*nests}
    return head + "".join(edited) + main


def short_count(number):
    return lambda nest: nth(nest, COUNT, COUNT.replace("m0 * m1 - start", "m0 * m1 - 1 - start"), number)


def unwritten(nest):
    return ROWS.sub("for (ptrdiff_t q = 0; q < m0 * m1 - 1; q++)", WRITTEN.sub(r"\1 - 1 - start);", nest))


LOST = BLOCKS.replace("block = 0", "block = (m0 * m1 > 512)")


def lost_block_of_the_mean(nest):
    return nest.replace(BLOCKS, LOST, 1)


def lost_block_of_squares(nest):
    """In each loop over blocks that follows the mean's and comes before the variance is known."""
    head, *parts = nest.split(BLOCKS)
    known = next(number for number, part in enumerate(parts) if "const double sigma2_hi = " in part)
    return head + "".join((LOST if 0 < number <= known else BLOCKS) + part for number, part in enumerate(parts))


def skipped_remainder(nest):
    plain = "lane < count - whole;"
    if plain in nest:
        return nest.replace(plain, "lane < 0;")
    loop = re.compile(r"j < width; j\+\+\) (\{\s+const ptrdiff_t k = first \+ j;\s+/\* \(1\)(?:, \(2\))? \*/)")
    runs = re.compile(r"j < (smaller\(16 \* width, length - run\)); j\+\+")
    return runs.sub(r"j < \1 - \1 % 8; j++", loop.sub(r"j < width - width % 8; j++) \1", nest))


def wrong_mean(nest, mean):
    """The statistics that are returned are right; what follows uses another mean, given that."""
    place = "[j]" if "mu_hi_total[j]" in nest else ""
    total = "tight" if "tight" in nest else f"(mu_hi_total{place} + mu_hi_rest{place})"
    nest = MU_HI.sub(mean(f"{total} / (double)(m0 * m1)"), nest)
    nest = nest.replace(MU_OUT, f"const double eq1_part = {total} / (double)(m0 * m1);")
    return MU_LOWS.sub(r"const double \1 = 0.0;", nest)


def rounded_mean(nest):
    return wrong_mean(nest, lambda mean: f"const double mu_hi = (float)({mean});")


def stale_mean(nest):
    """That of the feature before."""
    kept = "static double before = 0.0; const double mu_hi = before; before = {};"
    return wrong_mean(nest, kept.format)


def both(old, new):
    return lambda nest: nest.replace(old, new)


class Loops(NamedTuple):
    """How to break a nest, on which shapes it shows, and at which mean/std."""

    edit: object
    shows: object = lambda m, n: True
    offset: float = 3.0
    ascending: bool = False


LOOPS = {
    "last sample missing from the mean": Loops(short_count(0)),
    "last sample missing from the variance": Loops(short_count(1), lambda m, n: m > 512, ascending=True),
    # 600 rows of few features are a whole number of vectors.
    "remainder of the vector loop skipped": Loops(skipped_remainder, lambda m, n: m != 600 or n > 63),
    "a block lost from the mean": Loops(lost_block_of_the_mean, lambda m, n: m > 512),
    "a block lost from the variance": Loops(lost_block_of_squares, lambda m, n: m > 512, ascending=True),
    "gamma of the neighbouring feature": Loops(
        both("gamma[k * layout->gamma__k]", "gamma[(k + 1) % n * layout->gamma__k]"), lambda m, n: n > 1
    ),
    "beta of the neighbouring feature": Loops(
        both("beta[k * layout->beta__k]", "beta[(k + 1) % n * layout->beta__k]"), lambda m, n: n > 1
    ),
    "eps dropped": Loops(lambda nest: re.sub(r"(?<!double )\bepsilon\b", "0.0", nest)),
    "mean rounded to float32": Loops(rounded_mean, offset=1e4),
    "stale mean": Loops(stale_mean, lambda m, n: n > 1),
}


@cache
def source(dtype):
    return pipeline.emit(TRUE, dtypes.dtype(dtype))


def mutated(dtype, edit):
    one = source(dtype)
    return call(dataclasses.replace(one, text=each_nest(one.text, edit)))


@pytest.fixture
def one_thread():
    before = symbn.get_num_threads()
    symbn.set_num_threads(1)
    yield
    symbn.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOOPS)
def test_a_mutated_loop_is_refused(rng, name, dtype):
    mutant = LOOPS[name]
    shapes = [shape for shape in SHAPES if mutant.shows(*shape)]
    assert shapes
    assert_refused(mutated(dtype, mutant.edit), rng, dtype, shapes, mutant.offset, ascending=mutant.ascending)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_element_that_is_not_written_is_refused(rng, dtype, monkeypatch):
    """The outputs' memory holds NaN, so that it cannot happen to hold the right value."""
    monkeypatch.setattr(np, "empty", lambda shape, dtype=float: np.full(shape, np.nan, dtype))
    kernel = mutated(dtype, unwritten)
    assert_refused(kernel, rng, dtype, SHAPES)
    samples, scale, shift = data(rng, (600, 3), "C", dtype)
    with pytest.raises(symbn.CheckError) as caught:
        kernel((samples, scale, shift), (1e-5,), 0, check="full")
    report = caught.value.report.outputs[0]
    assert report.failed == 3
    assert sorted(place.index for place in report.worst[:3]) == [(599, 0), (599, 1), (599, 2)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_single_wrong_element_among_many_is_refused(rng, dtype):
    """A few units in the last place, in one of 650,000 elements."""
    amount = {"float32": "1e-6f", "float64": "1e-13"}[dtype]
    step = f"if (m0 * m1 == 5003 && n == 130) y[4001 * n + 77] += {amount};"
    text = source(dtype).text.replace("    return status;\n}", f"    {step}\n    return status;\n}}")
    assert text != source(dtype).text
    kernel = call(dataclasses.replace(source(dtype), text=text))
    with pytest.raises(symbn.CheckError) as caught:
        kernel(data(rng, (5003, 130), "C", dtype), (1e-5,), 0, check="full")
    report = caught.value.report.outputs[0]
    assert report.failed == 1
    assert report.worst[0].index == (4001, 77)


# ---- no false alarms ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0.0, 3.0, 1e4, 1e7])
def test_the_true_kernel_passes_where_its_mutants_are_refused(rng, dtype, offset):
    kernel = call(source(dtype))
    for shape in [*SHAPES, (1, 4), (5003, 130)]:
        for order in "CF":
            arrays = data(rng, shape, order, dtype, offset)
            for check in ("full", "sample"):
                kernel(arrays, (1e-5,), 0, check=check)


@st.composite
def batches(draw):
    """(x, gamma, beta, eps): any shape and order, offsets to 1e8, magnitudes to 1e±30, NaN and infinity in places."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.sampled_from([1, 2, 3, 15, 16, 17, 100, 511, 513, 1025])), draw(st.sampled_from([1, 2, 7, 33, 129]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    offset, magnitude = draw(st.sampled_from([0, 1, 1e2, 1e4, 1e6, 1e8])), 10.0 ** draw(st.integers(-30, 30))
    kind = draw(st.sampled_from(["normal", "lognormal", "few values", "outlier"]))
    samples = rng.standard_normal(shape)
    if kind == "lognormal":
        samples = rng.lognormal(0, 4, shape)
    elif kind == "few values":
        samples = rng.integers(0, 3, shape).astype(float)
    elif kind == "outlier":
        samples[rng.integers(shape[0])] *= 1e6
    samples = (samples + offset) * min(magnitude, 1e28)
    for value in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 0.0]), max_size=3)):
        samples[rng.integers(shape[0]), rng.integers(shape[1])] = value
    samples = np.array(samples, dtype, order=draw(st.sampled_from("CF")))
    parameters = [(rng.standard_normal(shape[1]) * 10.0 ** draw(st.integers(-10, 10))).astype(dtype) for _ in range(2)]
    return samples, *parameters, draw(st.sampled_from([1e-5, 1e-12, 1e-3, 1e5]))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(batches())
def test_shipped_functions_raise_no_false_alarm(batch):
    samples, scale, shift, eps = batch
    with np.errstate(all="ignore"):
        result = symbn.batch_norm(samples, scale, shift, eps, check="full")
        symbn.batch_norm_inference(samples, result.mean, np.abs(result.var), scale, shift, eps, check="full")
        old = samples[0] * samples.dtype.type(0.5), np.abs(samples[-1])
        symbn.update_running_stats(*old, result.mean, result.var, len(samples), check="full")


d, s2 = IndexedBase("d"), IndexedBase("s2")
USERS = {
    "mean absolute deviation": [
        Eq(mu[k], MEAN),
        Eq(d[k], Sum(Abs(x[i, k] - mu[k]), (i, 1, m)) / m),
        Eq(y[i, k], (x[i, k] - mu[k]) / (d[k] + epsilon)),
    ],
    "root mean square": [Eq(d[k], Sum(x[i, k] ** 2, (i, 1, m)) / m), Eq(y[i, k], x[i, k] / sqrt(d[k] + epsilon))],
    "log of a sum of exponentials": [
        Eq(d[k], log(Sum(exp(tanh(x[i, k])), (i, 1, m)))),
        Eq(y[i, k], tanh(x[i, k]) - d[k] + epsilon),
    ],
    "leaky": [
        Eq(mu[k], MEAN),
        Eq(y[i, k], Piecewise((x[i, k] - mu[k], x[i, k] > mu[k]), (epsilon * (x[i, k] - mu[k]), True))),
    ],
    "rows and columns of one array": [
        Eq(mu[k], MEAN),
        Eq(d[i], Sum(x[i, k] - mu[k], (k, 1, n)) / n),
        Eq(y[i, k], Max(x[i, k] - mu[k], epsilon) + d[i]),
    ],
    "total": [Eq(d[k], Sum(x[i, k], (i, 1, m))), Eq(y[i, k], x[i, k] * d[k] + epsilon)],
}


@cache
def user_kernel(name, dtype):
    return pipeline.build(symbn.Operator("user", USERS[name], outputs=[y]), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", USERS)
def test_user_operators_raise_no_false_alarm(name, dtype):
    kernel = user_kernel(name, dtype)

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(
        st.tuples(st.sampled_from([1, 2, 15, 17, 513, 1200]), st.sampled_from([1, 3, 40])),
        st.sampled_from([0, 1, 1e3, 1e6]),
        st.integers(-12, 12),
        st.sampled_from("CF"),
        st.integers(0, 2**32),
        st.booleans(),
    )
    def passes(shape, offset, power, order, seed, with_nan):
        rng = np.random.default_rng(seed)
        samples = np.array((rng.standard_normal(shape) + offset) * 10.0**power, dtype, order=order)
        if with_nan:
            samples[rng.integers(shape[0]), rng.integers(shape[1])] = rng.choice([np.nan, np.inf])
        kernel(x=samples, epsilon=1e-3, check="full")

    passes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", USERS)
def test_user_operators_are_refused_when_their_loops_are_broken(rng, name, dtype):
    """The check knows nothing of batch normalization: a sample missing from a user's sum is found as well."""
    one = pipeline.emit(symbn.Operator("user", USERS[name], outputs=[y]), dtypes.dtype(dtype))
    text = one.text.replace("smaller(512, m0 * m1 - start)", "smaller(512, m0 * m1 - 1 - start)", 1)
    if text == one.text:
        text = re.sub(r"smaller\(512, (.*?) - start\)", r"smaller(512, \1 - 1 - start)", one.text, count=1)
    assert text != one.text
    broken = native.build(dataclasses.replace(one, text=text))
    function = reference.compile_reference(reference.numpy_source(symbn.Operator("user", USERS[name], outputs=[y])))
    compiled = Compiled(one.interface, broken.ffi, broken.function)
    kernel = Call([one.interface], lambda _: compiled, function, None, {}, None)
    samples = np.asfortranarray(rng.standard_normal((40, 5)) + 2).astype(dtype, order="F")
    good = user_kernel(name, dtype)(x=samples, epsilon=1e-3)
    assert np.isfinite(good).all()
    with pytest.raises(symbn.CheckError):
        kernel((samples,), (1e-3,), 0, check="full")
