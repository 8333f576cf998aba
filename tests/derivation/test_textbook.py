"""The collapsed gradients of the norms are those of the textbooks: equal exactly, with roots kept as roots."""

import random
from functools import cache

import pytest
import sympy
from sympy import Eq, Idx, IndexedBase, Integer, Rational, Sum, Symbol, sqrt, symbols

from symbn import catalogue
from symbn.equations.operator import Operator

m, n, p, q = symbols("m n p q", integer=True, positive=True)
i, k, l = Idx("i", (1, m)), Idx("k", (1, n)), Idx("l", (1, n))  # noqa: E741
c, s, d, t = Idx("c", (1, p)), Idx("s", (1, q)), Idx("d", (1, p)), Idx("t", (1, q))
j = Idx("j", (1, m))
x, y, mu, sigma2, gamma, beta = map(IndexedBase, "x y mu sigma2 gamma beta".split())
dy, dmu, dsigma2, dx, dgamma, dbeta = map(IndexedBase, "dy dmu dsigma2 dx dgamma dbeta".split())
eps = Symbol("epsilon", positive=True)


def x_hat(mean, variance, element):
    return (element - mean) / sqrt(variance + eps)


# ---- the norms and what textbooks say of them -----------------------------------------------------------


def batch_norm():
    hat = x_hat(mu[k], sigma2[k], x[i, k])
    other = x_hat(mu[k], sigma2[k], x[j, k])
    means = Sum(dy[j, k], (j, 1, m)) / m, Sum(dy[j, k] * other, (j, 1, m)) / m
    return {
        "dx": (dx[i, k], gamma[k] / sqrt(sigma2[k] + eps) * (dy[i, k] - means[0] - hat * means[1])),
        "dgamma": (dgamma[k], Sum(dy[i, k] * hat, (i, 1, m))),
        "dbeta": (dbeta[k], Sum(dy[i, k], (i, 1, m))),
    }


def layer_norm():
    hat, other = x_hat(mu[i], sigma2[i], x[i, k]), x_hat(mu[i], sigma2[i], x[i, l])
    means = Sum(gamma[l] * dy[i, l], (l, 1, n)) / n, Sum(gamma[l] * dy[i, l] * other, (l, 1, n)) / n
    return {
        "dx": (dx[i, k], (gamma[k] * dy[i, k] - means[0] - hat * means[1]) / sqrt(sigma2[i] + eps)),
        "dgamma": (dgamma[k], Sum(dy[i, k] * hat, (i, 1, m))),
        "dbeta": (dbeta[k], Sum(dy[i, k], (i, 1, m))),
    }


def rms_norm():
    r = 1 / sqrt(Sum(x[i, l] ** 2, (l, 1, n)) / n + eps)
    dot = Sum(gamma[l] * dy[i, l] * x[i, l], (l, 1, n)) / n
    return {
        "dx": (dx[i, k], r * gamma[k] * dy[i, k] - r**3 * x[i, k] * dot),
        "dgamma": (dgamma[k], Sum(dy[i, k] * x[i, k] * r, (i, 1, m))),
    }


def group_norm():
    hat = x_hat(mu[i, k], sigma2[i, k], x[i, k, c, s])
    other = x_hat(mu[i, k], sigma2[i, k], x[i, k, d, t])
    over = (d, 1, p), (t, 1, q)
    means = [Sum(gamma[k, d] * dy[i, k, d, t] * one, *over) / (p * q) for one in (Integer(1), other)]
    root = sqrt(sigma2[i, k] + eps)
    return {
        "dx": (dx[i, k, c, s], (gamma[k, c] * dy[i, k, c, s] - means[0] - hat * means[1]) / root),
        "dgamma": (dgamma[k, c], Sum(dy[i, k, c, s] * hat, (i, 1, m), (s, 1, q))),
        "dbeta": (dbeta[k, c], Sum(dy[i, k, c, s], (i, 1, m), (s, 1, q))),
    }


@cache
def batch_norm_in_four():
    """As many pages write it: the normalized values have an equation of their own."""
    hat = IndexedBase("x_hat")
    return Operator(
        "batch_norm_in_four",
        [
            Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
            Eq(sigma2[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m),
            Eq(hat[i, k], (x[i, k] - mu[k]) / sqrt(sigma2[k] + eps)),
            Eq(y[i, k], gamma[k] * hat[i, k] + beta[k]),
        ],
        outputs=[y, mu, sigma2],
    )


FORMS = {
    "batch_norm": (lambda operators: catalogue.load("batch_norm")[0], batch_norm),
    "batch_norm_in_four": (lambda operators: batch_norm_in_four(), batch_norm),
    "layer_norm": (lambda operators: operators["row_norm"], layer_norm),
    "rms_norm": (lambda operators: operators["root_mean_square_norm"], rms_norm),
    "group_norm": (lambda operators: operators["grouped_norm"], group_norm),
}
SIZES = ({"m": 3, "n": 2, "p": 1, "q": 2}, {"m": 2, "n": 3, "p": 2, "q": 1})


def rationals(operator, names, sizes, seed):
    rng = random.Random(seed)
    values = {}
    for name in names:
        shape = [sizes[extent] for extent in operator.arrays.get(name, ())]
        places = sympy.utilities.iterables.cartes(*(range(size) for size in shape))
        values[name] = {tuple(place): Rational(rng.randint(-9, 9), rng.choice((1, 2, 3))) for place in places}
    return {**values, "epsilon": {(): Rational(1, 7)}}


def textbook(operator, forms, values, evaluate, sizes):
    """The formulas evaluated on the same numbers."""
    system = Operator(
        "textbook",
        [Eq(target, value) for target, value in forms.values()],
        outputs=list(forms),
        given=[Eq(eq.lhs, eq.rhs) for eq in operator.equations if str(eq.lhs.base.label) in ("mu", "sigma2")],
    )
    return evaluate(system, values, sizes, symbolic=True)


def exactly_equal(one, other):
    return sympy.simplify(one - other) == 0


def compare(operator, gradient, forms, evaluate, sizes, extra=()):
    names = [name for name in operator.inputs if name in operator.arrays]
    values = rationals(operator, names, sizes, 3)
    values["dy"] = {place: Rational(7 * number % 11 - 5, 2) for number, place in enumerate(values["x"])}
    for name in extra:
        values[f"d{name}"] = {(place,): Rational(3 * place + 2, 5) for place in range(sizes["n"])}
    expected = textbook(operator, forms, values, evaluate, sizes)
    found = evaluate(gradient, values, sizes, symbolic=True)
    for name in forms:
        for place, one in expected[name].items():
            assert exactly_equal(found[name][place], one), (name, place)


@pytest.mark.parametrize("sizes", SIZES, ids=["wide", "tall"])
@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_that_of_the_textbook(operators, derivation, evaluate, form, sizes):
    make, forms = FORMS[form]
    operator = make(operators)
    gradient = derivation(operator).collapsed
    assert gradient.outputs == tuple(forms())
    compare(operator, gradient, forms(), evaluate, sizes)


@pytest.mark.parametrize("form", ["batch_norm", "layer_norm"])
def test_so_are_the_equations_that_it_starts_from(operators, derivation, evaluate, form):
    make, forms = FORMS[form]
    compare(make(operators), derivation(make(operators)).staged, forms(), evaluate, SIZES[0])


def test_the_comparison_is_exact(operators, evaluate):
    """A gradient that is off by one part in 10**30 is another one."""
    operator = operators["batch_norm"]
    forms = batch_norm()
    target, value = forms["dbeta"]
    forms["dbeta"] = target, value + Rational(1, 10**30)
    with pytest.raises(AssertionError, match="dbeta"):
        compare(operator, operator.gradient(), forms, evaluate, SIZES[0])


def test_cotangents_of_the_statistics(operators, evaluate):
    """dmu/m and 2(x - mu)dsigma2/m are what they add."""
    operator = operators["batch_norm"]
    gradient = operator.gradient(of=["y", "mu", "sigma2"])
    assert gradient.inputs[:3] == ("dy", "dmu", "dsigma2")
    forms = batch_norm()
    target, value = forms["dx"]
    forms["dx"] = target, value + dmu[k] / m + 2 * (x[i, k] - mu[k]) * dsigma2[k] / m
    compare(operator, gradient, forms, evaluate, SIZES[0], extra=("mu", "sigma2"))


def test_the_shipped_gradient_is_the_textbooks(evaluate):
    compare(catalogue.load("batch_norm")[0], catalogue.load("batch_norm_backward")[0], batch_norm(), evaluate, SIZES[0])


# ---- its form -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_no_sum_of_deviations_is_left(operators, derivation, form):
    """Sum(x - mu) is 0 and is not computed: no sum is there that has neither a cotangent nor squares."""
    gradient = derivation(FORMS[form][0](operators)).collapsed
    for eq in gradient.equations:
        for total in eq.rhs.atoms(Sum):
            names = {str(leaf.base.label) for leaf in total.function.atoms(sympy.Indexed)}
            assert "dy" in names or str(total.function) in ("x[i, k]**2", "x[i, h]**2", "x[i, j]**2"), total


@pytest.mark.parametrize(
    ("form", "most"),
    [("batch_norm", 2), ("batch_norm_in_four", 2), ("layer_norm", 4), ("group_norm", 4)],
)
def test_no_more_than_two_sums_for_each_reduction(operators, derivation, form, most):
    """dx needs two, which are dgamma and dbeta themselves where these go over the same index."""
    gradient = derivation(FORMS[form][0](operators)).collapsed
    sums = {total for eq in gradient.equations for total in eq.rhs.atoms(Sum)}
    assert len(sums) == most


@pytest.mark.parametrize("form", ["batch_norm", ("batch_norm_in_four")])
def test_batch_norm_reads_dgamma_and_dbeta(operators, derivation, form):
    """Both reductions are outputs already, so that dx has no sum of its own."""
    gradient = derivation(FORMS[form][0](operators)).collapsed
    (value,) = [eq.rhs for eq in gradient.equations if str(eq.lhs.base.label) == "dx"]
    assert not value.atoms(Sum)
    assert {"dgamma", "dbeta"} <= {str(leaf.base.label) for leaf in value.atoms(sympy.Indexed)}


@pytest.mark.parametrize("form", FORMS)
def test_differences_stay_whole(operators, derivation, form):
    """x - mu is never multiplied out, which would lose its digits."""
    operator = FORMS[form][0](operators)
    for eq in derivation(operator).collapsed.equations:
        for leaf in eq.rhs.atoms(sympy.Indexed):
            if str(leaf.base.label) == "mu":
                inside = [one for one in eq.rhs.atoms(sympy.Add) if leaf in (-1 * arg for arg in one.args)]
                assert inside, eq
                assert all(len(one.args) == 2 for one in inside), eq


@pytest.mark.parametrize("form", FORMS)
def test_each_step_starts_where_the_one_before_ended(operators, derivation, form):
    found = derivation(FORMS[form][0](operators))
    ends = {}
    for step in found.steps:
        assert step.before.lhs == step.after.lhs
        if step.rule != "chain rule":
            assert step.before.rhs == ends[step.before.lhs]
        ends[step.after.lhs] = step.after.rhs
    final = {eq.lhs: eq.rhs for eq in found.collapsed.equations}
    assert all(ends[target] == value for target, value in final.items() if target in ends)
    assert {str(target.base.label) for target in ends} >= {f"d{name}" for name in found.wrt}
