"""Operators on which a kernel, its call or its check could go wrong without a word."""

import numpy as np
import pytest
from sympy import Eq, Idx, IndexedBase, Sum, Symbol, symbols

import symbn

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
p, q = Idx("p", (1, n)), Idx("q", (1, n))
w, x, y, d, s, t = map(IndexedBase, "w x y d s t".split())


def normal(*shape, dtype="float32"):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def test_in_place_where_elements_are_read_at_other_places():
    kernel = symbn.build(symbn.Operator("symmetric", [Eq(y[p, q], x[p, q] + x[q, p])], outputs=[y]))
    data = normal(50, 50)
    expected = data + data.T
    for check in ("off", "full"):
        here = data.copy()
        assert kernel(x=here, out=here, check=check) is here
        np.testing.assert_array_equal(here, expected)


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
