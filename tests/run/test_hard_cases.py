"""Operators on which a kernel, its call or its check could go wrong without a word."""

import numpy as np
import pytest
from sympy import Abs, Eq, Idx, IndexedBase, Max, Piecewise, Sum, Symbol, exp, log, sqrt, symbols

import symbn

pytestmark = pytest.mark.usefixtures("compiled_quickly")

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
p, q = Idx("p", (1, n)), Idx("q", (1, n))
w, x, y, d, s, t = map(IndexedBase, "w x y d s t".split())


def normal(*shape, dtype="float32"):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("check", ["full", "sample"])
def test_pairwise_distances_of_many_rows_are_checked(check):
    j = Idx("j", (1, m))
    op = symbn.Operator("distances", [Eq(d[i, j], Sum((x[i, k] - x[j, k]) ** 2, (k, 1, n)))], outputs=[d])
    data = normal(400, 3)
    wide = data.astype("float64")
    result = symbn.build(op)(x=data, check=check)
    np.testing.assert_allclose(result, ((wide[:, None] - wide[None]) ** 2).sum(-1), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dividing_by_what_may_be_zero_is_reported_as_uncertain(dtype):
    total = Symbol("total")
    op = symbn.Operator("quotient", [Eq(total, Sum(x[i], (i, 1, m))), Eq(y[i], 1 / total)], outputs=[y])
    data = np.array([1.0, -1.0, 1e-20], dtype)
    (output,) = symbn.build(op, dtype).report(x=data).outputs
    assert output.passed
    assert output.uncertain == 3
    (output,) = symbn.build(op, dtype).report(x=np.abs(data)).outputs
    assert output.uncertain == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_may_be_zero_over_what_may_be_zero_is_uncertain(dtype):
    """One sample has no weighted variance without bias: rounding makes it nothing, an infinity or any number."""
    total, mean, squares = Symbol("total"), IndexedBase("mean"), Symbol("squares")
    op = symbn.Operator(
        "unbiased",
        [
            Eq(total, Sum(w[i], (i, 1, m))),
            Eq(squares, Sum(w[i] ** 2, (i, 1, m))),
            Eq(mean[k], Sum(w[i] * x[i, k], (i, 1, m)) / total),
            Eq(y[k], Sum(w[i] * (x[i, k] - mean[k]) ** 2, (i, 1, m)) / (total - squares / total)),
        ],
        outputs=[y],
    )
    kernel = symbn.build(op, dtype)
    weights = np.random.default_rng(0).uniform(0.5, 2, (20, 1)).astype(dtype)
    for one in weights:
        (output,) = kernel.report(x=normal(1, 50, dtype=dtype), w=one).outputs
        assert output.passed
        assert output.uncertain == 50
    (output,) = kernel.report(x=normal(3, 50, dtype=dtype), w=weights[:3, 0]).outputs
    assert output.passed
    assert output.uncertain == 0


def test_nothing_over_nothing_is_certainly_not_a_number():
    kernel = symbn.build(symbn.Operator("quotient", [Eq(y[i], x[i] / w[i])], outputs=[y]))
    (output,) = kernel.report(x=np.zeros(4, "float32"), w=np.zeros(4, "float32")).outputs
    assert output.passed
    assert output.uncertain == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sum_counts_each_element_of_an_array_that_does_not_vary_with_the_index(dtype):
    op = symbn.Operator(
        "counted",
        [
            Eq(t[i, k], exp(w[k]) - 1),
            Eq(y[i, k], x[i, k] * t[i, k]),
            Eq(s[k], Sum(t[i, k], (i, 1, m))),
            Eq(d[k], s[k] * Sum(t[i, k] ** 2, (i, 1, m)) + Sum(y[i, k], (i, 1, m))),
        ],
        outputs=[d, s],
    )
    data, weights = normal(6, 4, dtype=dtype), normal(4, dtype=dtype)
    result = symbn.build(op, dtype)(x=data, w=weights)
    one = np.exp(weights.astype("float64")) - 1
    np.testing.assert_allclose(result.s, 6 * one, rtol=1e-6)
    np.testing.assert_allclose(result.d, 36 * one**3 + (data * one).sum(0), rtol=1e-5)


def test_names_that_the_generated_code_would_make_itself():
    names = ["x_row_buffer", "x_row", "x_row_strides", "mu_hi", "mu_hi_total", "all_mu_hi", "eq2_part", "beta_here"]
    extra = [IndexedBase(name) for name in names]
    mu = IndexedBase("mu")
    terms = sum(one[i, k] for one in extra)
    op = symbn.Operator(
        "names", [Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m), Eq(y[i, k], x[i, k] - mu[k] + terms)], outputs=[y, mu]
    )
    data = {name: normal(30, 5) for name in ("x", *names)}
    for order in ("C", "F"):
        symbn.build(op)(**{name: np.asarray(a, order=order) for name, a in data.items()})


def test_an_extent_named_like_a_stride():
    x_k = Symbol("x_k", integer=True, positive=True)
    r = Idx("r", (1, x_k))
    op = symbn.Operator("named", [Eq(s[k], Sum(x[r, k], (r, 1, x_k)))], outputs=[s])
    np.testing.assert_allclose(symbn.build(op)(x=normal(40, 3)), normal(40, 3).sum(0), rtol=1e-4, atol=1e-5)


def test_a_value_read_at_another_elements_place():
    op = symbn.Operator("other", [Eq(t[p], Sum(x[p, q], (q, 1, n))), Eq(y[p, q], x[p, q] * t[q])], outputs=[y])
    result = symbn.build(op)(x=np.array([[0, 1], [2, 3]], "float32"))
    np.testing.assert_array_equal(result, [[0, 5], [2, 15]])


@pytest.mark.parametrize("axes", ["iik", ["i", "k"], {"y": ("i", "k")}, {"x": ("i", "j")}, {"x": ("i", "k", "i")}])
def test_axes_that_do_not_fit_are_named(axes):
    kernel = symbn.build(symbn.Operator("twice", [Eq(y[i, k], 2 * x[i, k])], outputs=[y]))
    with pytest.raises((symbn.ArgumentError, symbn.ArgumentTypeError)):
        kernel(x=normal(4, 5), axes=axes)


def test_a_damaged_library_is_built_again(monkeypatch):
    from symbn.build import native

    op = symbn.Operator("again", [Eq(y[i, k], 3 * x[i, k])], outputs=[y])
    symbn.build(op)
    load, tries = native.load, []

    def damaged_at_first(source, path, cached):
        tries.append(cached)
        if len(tries) == 1:
            raise OSError("invalid ELF header")
        return load(source, path, cached)

    monkeypatch.setattr(native, "load", damaged_at_first)
    kernel = symbn.build(op)
    assert tries == [True, False]
    np.testing.assert_array_equal(kernel(x=np.ones((2, 2), "float32")), 3)


# ---- the check evaluates a part of the features at a time ----------------------------------------------


def everything(kernel, monkeypatch, **inputs):
    """Run with each check, the full one in parts of one feature, and in the smallest blocks, too."""
    from symbn.run import blocks, parts

    kernel(**inputs)
    for _ in range(3):
        kernel(**inputs, check="sample")
    monkeypatch.setattr(parts, "PART", 1)
    monkeypatch.setattr(parts, "FEATURES", 1)
    kernel(**inputs)
    monkeypatch.setattr(blocks, "ELEMENTS", 7)
    return kernel(**inputs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(13, 13), (7, 5), (17, 31)])
def test_blocks_and_samples_agree_with_the_whole(dtype, shape, monkeypatch):
    j, r = Idx("j", (1, n)), Idx("r", (1, m))
    gram = Eq(y[k, j], Sum(x[i, k] * x[i, j], (i, 1, m)) / m)
    centred = Eq(y[i, k], x[i, k] - Sum(x[r, k], (r, 1, m)) / m - Sum(x[i, j], (j, 1, n)) / n)
    share = Eq(y[k], w[k] / Sum(w[j], (j, 1, n)))
    scaled = Eq(y[i, k], sqrt(m) * x[i, k] + log(n) * exp(-m) + x[i, k] * m / n)
    for eq in (gram, centred, scaled):
        kernel = symbn.build(symbn.Operator("blocks", [eq], outputs=[y]), dtype)
        everything(kernel, monkeypatch, x=normal(*shape, dtype=dtype))
    kernel = symbn.build(symbn.Operator("blocks", [share], outputs=[y]), dtype)
    everything(kernel, monkeypatch, w=np.abs(normal(shape[1], dtype=dtype)))


# ---- what else an equation may hold --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_counts_and_masks(dtype):
    count = Sum(Piecewise((1, x[i, k] > 0), (0, True)), (i, 1, m))
    op = symbn.Operator("count", [Eq(s[k], count), Eq(t[k], count / m)], outputs=[s, t])
    data = normal(50, 7, dtype=dtype)
    result = symbn.build(op, dtype)(x=data)
    np.testing.assert_array_equal(result.s, (data > 0).sum(0))
    np.testing.assert_allclose(result.t, (data > 0).mean(0), rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_of_arrays(dtype):
    op = symbn.Operator("powers", [Eq(y[i, k], Abs(x[i, k]) ** w[k] + 2 ** x[i, k])], outputs=[y])
    data, power = normal(20, 5, dtype=dtype), np.abs(normal(5, dtype=dtype))
    result = symbn.build(op, dtype)(x=data, w=power)
    np.testing.assert_allclose(result, np.abs(data) ** power + 2.0**data, rtol=1e-5)


def test_an_extent_expression_that_divides_by_zero():
    op = symbn.Operator("unbiased", [Eq(s[k], Sum(x[i, k] ** 2, (i, 1, m)) * m / (m - 1) / m**2)], outputs=[s])
    assert not np.isfinite(symbn.build(op)(x=np.ones((1, 3), "float32"))).any()


def test_numbers_alone():
    a, b, c = symbols("a b c")
    op = symbn.Operator("numbers", [Eq(c, a * b + sqrt(a))], outputs=[c])
    assert symbn.build(op, "float64")(a=4.0, b=0.5) == 4.0


@pytest.mark.parametrize("offset", [0, 300, 1e7])
def test_a_mean_that_is_not_only_subtracted(offset):
    """The kernel holds a mean in two parts where it centres, in one number elsewhere; the limit knows which."""
    mu, total = IndexedBase("mu"), Symbol("total")
    mean = Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m)
    cases = [
        [mean, Eq(total, Sum(mu[k], (k, 1, n)) / n), Eq(y[i, k], (x[i, k] - total) * mu[k])],
        [mean, Eq(y[i, k], (x[i, k] - Max(mu[k], 0)) * x[i, k])],
        [mean, Eq(y[i, k], (x[i, k] - Piecewise((mu[k], mu[k] > 0), (2, True))) * x[i, k])],
        [mean, Eq(y[i, k], x[i, k] * mu[k] - mu[k])],
    ]
    for equations in cases:
        kernel = symbn.build(symbn.Operator("held", equations, outputs=[y]), "float64")
        for seed in range(10):
            kernel(x=np.random.default_rng(seed).normal(size=(50, 7)) + offset)


def test_branches_at_a_tie():
    mu = IndexedBase("mu")
    branch = Piecewise((x[i, k], x[i, k] > mu[k]), (-x[i, k], True))
    op = symbn.Operator("tie", [Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m), Eq(y[i, k], branch)], outputs=[y])
    kernel = symbn.build(op, "float64")
    random = np.random.default_rng(0)
    for count in range(2, 8):
        for _ in range(20):
            kernel(x=np.round(random.normal(size=(count, 3)), 1))


# ---- calls that do not fit -----------------------------------------------------------------------------


def test_an_index_in_too_many_places_is_refused():
    kernel = symbn.build(symbn.Operator("sums", [Eq(s[k], Sum(x[i, k], (i, 1, m)))], outputs=[s]))
    with pytest.raises(symbn.ArgumentError, match="axes: the axes of i lie in more places"):
        kernel(x=normal(2, 3, 2, 3, 2), axes={"x": "i k i k i".split()})


def test_an_output_that_is_not_written_is_noticed(monkeypatch):
    """Memory that an earlier, good run has left is not taken for a result."""
    from dataclasses import replace

    from symbn import pipeline
    from symbn.build import native
    from symbn.dtypes import DTYPES
    from symbn.run.kernel import Kernel

    op = symbn.Operator("stored", [Eq(y[i, k], 3 * x[i, k])], outputs=[y])
    source = pipeline.emit(op, DTYPES["float32"])
    text = source.text.replace("int status = 0;", "int status = 0;\n    if (layout)\n        return 0;")
    assert text != source.text
    lazy = Kernel(op, replace(source, text=text), native.build(replace(source, text=text)))
    data = normal(40, 3)
    for _ in range(5):
        good = symbn.build(op)(x=data, check="off")
        del good
        with pytest.raises(symbn.CheckError):
            lazy(x=data)


def test_operators_can_be_pickled():
    import copy
    import pickle

    op = symbn.operators.batch_norm
    for other in (pickle.loads(pickle.dumps(op)), copy.deepcopy(op)):
        assert other == op
        assert other.defaults == op.defaults


@pytest.mark.parametrize("make", [lambda: symbn.build(3), lambda: symbn.Operator("q", Eq(y[i], x[i]), [y])])
def test_other_things_than_operators_are_named(make):
    with pytest.raises(symbn.SymbnError):
        make()


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_numbers_beyond_any_float(value):
    with pytest.raises(symbn.ArgumentError, match="eps"):
        symbn.batch_norm(normal(3, 3), eps=value)
    with pytest.raises(symbn.ArgumentError, match="m"):
        symbn.update_running_stats(np.ones(3), np.ones(3), np.ones(3), np.ones(3), value)


def test_part_of_a_sample_is_refused():
    with pytest.raises(symbn.ArgumentError, match=r"^m: is 0.5"):
        symbn.update_running_stats(np.ones(3), np.ones(3), np.ones(3), np.ones(3), 0.5)
