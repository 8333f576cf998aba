"""Operators that are hard to prove or easy to get wrong: cancellation, roots at zero, floats, forms of one norm."""

import mpmath
import numpy as np
import pytest
from sympy import (
    Abs,
    Eq,
    Idx,
    IndexedBase,
    Max,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    atan2,
    cos,
    exp,
    log,
    sin,
    sqrt,
    symbols,
    tanh,
)
from sympy.codegen.cfunctions import hypot

import symbn
from symbn.equations.operator import Operator

m, n = symbols("m n", integer=True, positive=True)
i, j = Idx("i", (1, m)), Idx("j", (1, m))
k, h = Idx("k", (1, n)), Idx("h", (1, n))
x, y, z, w, r, s, v, mu, std, inv = map(IndexedBase, "x y z w r s v mu std inv".split())
gamma, beta, sigma2, x_hat = map(IndexedBase, ("gamma", "beta", "sigma2", "x_hat"))
eps, power = Symbol("epsilon", positive=True), Symbol("power", positive=True)
number, negative = Symbol("number"), Symbol("q", negative=True)
SIZES = {"m": 3, "n": 2}


def one(*equations, outputs=(y,), **options):
    return Operator("one", equations, outputs=outputs, **options)


MEAN = Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m)
CASES = {
    "a norm that is one number at one sample": one(
        Eq(s[k], sqrt(Sum(x[i, k] ** 2, (i, 1, m)))), Eq(y[i, k], x[i, k] / s[k])
    ),
    "the norm with a power p": one(
        Eq(s[k], Sum(Abs(x[i, k]) ** power, (i, 1, m)) ** (1 / power)), Eq(y[i, k], x[i, k] / (s[k] + eps))
    ),
    "rows that are not shortened": one(
        Eq(s[i], sqrt(Sum(x[i, k] ** 2, (k, 1, n)))), Eq(y[i, k], x[i, k] / Max(s[i], eps))
    ),
    "a root of a magnitude": one(Eq(y[i, k], sqrt(Abs(x[i, k])) + z[i, k])),
    "a cubic root of a sum": one(
        Eq(s[i], Sum(Abs(x[i, k]) ** 3, (k, 1, n)) ** Rational(1, 3)), Eq(y[i, k], x[i, k] / s[i])
    ),
    "a hypotenuse": one(Eq(y[i, k], hypot(x[i, k], z[i, k]) + Abs(x[i, k]))),
    "an angle": one(Eq(y[i, k], atan2(x[i, k], z[i, k]))),
    "a root with a sign": one(Eq(y[i, k], Piecewise((sqrt(x[i, k]), x[i, k] > 0), (-sqrt(-x[i, k]), True)))),
    "a float": one(Eq(y[i, k], 0.1 * x[i, k] ** 3 + 0.3)),
    "gelu by tanh": one(
        Eq(y[i, k], 0.5 * x[i, k] * (1 + tanh(0.7978845608028654 * (x[i, k] + 0.044715 * x[i, k] ** 3))))
    ),
    "a sum over all": one(
        Eq(number, Sum(x[i, k] ** 2, (i, 1, m), (k, 1, n))), Eq(y[i, k], x[i, k] / number), outputs=(y, number)
    ),
    "a definition with an index that its sum has not": one(
        Eq(z[i, k], x[i, k] - Sum(x[i, h], (h, 1, n)) / n),
        Eq(y[i], Sum(z[i, k] ** 3, (k, 1, n)) * Sum(x[i, k], (k, 1, n)) ** 2),
    ),
    "log-softmax": one(Eq(y[i, k], x[i, k] - log(Sum(exp(x[i, h]), (h, 1, n))))),
    "softmax by its logarithm": one(Eq(s[i], log(Sum(exp(x[i, k]), (k, 1, n)))), Eq(y[i, k], exp(x[i, k] - s[i]))),
    "a scaled sum beside the sum": one(
        Eq(v[k], exp(w[k]) * Sum(x[i, k], (i, 1, m))),
        Eq(y[i, k], x[i, k] * v[k] + z[i, k] * Sum(x[j, k], (j, 1, m))),
        outputs=(y, v),
    ),
    "a shifted sum beside the sum": one(
        Eq(s[k], z[k] + Sum(x[i, k] ** 2, (i, 1, m))),
        Eq(y[i, k], x[i, k] * w[k] * Sum(x[j, k] ** 2, (j, 1, m)) + z[k] * s[k]),
        outputs=(y, s),
    ),
    "one name with two assumptions": one(
        Eq(s[k], Sum(IndexedBase(Symbol("x", positive=True))[i, k], (i, 1, m))),
        Eq(y[i, k], Abs(x[i, k]) * s[k] + x[i, k] * z[i, k]),
    ),
    "functions within functions": one(Eq(y[i, k], sin(cos(sin(x[i, k]) + z[i, k]) * x[i, k]) + z[i, k])),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_and_second_gradients_are_right(name, evaluate, draw, along):
    """Against differences of the equations, with 50 digits; x of both signs."""
    operator = CASES[name]
    wrt = [one for one in operator.inputs if one in operator.arrays]
    inputs = draw(operator, SIZES)
    if name not in ("a cubic root of a sum", "a norm that is one number at one sample"):
        inputs["x"] = {place: -value if sum(place) % 2 else value for place, value in inputs["x"].items()}
    values = evaluate(operator, inputs, SIZES)
    cotangents = {"y": {place: mpmath.mpf(3 * number + 1) / 4 for number, place in enumerate(values["y"])}}
    directions = {one: {place: mpmath.mpf(3 + sum(place)) / 7 for place in inputs[one]} for one in wrt}
    gradient = operator.gradient(of=["y"], wrt=wrt)
    found = evaluate(gradient, {**inputs, "dy": cotangents["y"], **{n: values[n] for n in values if n != "y"}}, SIZES)
    result = mpmath.fsum(
        found[own][place] * value
        for own, one in zip(gradient.outputs, wrt, strict=True)
        for place, value in directions[one].items()
    )
    expected = along(operator, inputs, SIZES, directions, cotangents)
    assert abs(result - expected) < mpmath.mpf(10) ** -12 * (1 + abs(expected)), gradient
    assert gradient.gradient().outputs  # every step of the second order is proved as it is made


def test_huge_values_are_refused_soon():
    """exp(exp(exp(x**2))) has values that no exact arithmetic can hold."""
    assert one(Eq(y[i, k], exp(exp(exp(x[i, k] ** 2))))).gradient().outputs == ("dx",)


def test_a_number_that_is_negative():
    operator = one(Eq(y[i, k], sqrt(-negative) * x[i, k]))
    assert operator.gradient(wrt=["x", "q"]).outputs == ("dx", "dq")


FORMS = {
    "std": (
        [MEAN, Eq(std[k], sqrt(Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m + eps)),
         Eq(y[i, k], gamma[k] * (x[i, k] - mu[k]) / std[k] + beta[k])],
        [y, mu, std],
    ),
    "x_hat": (
        [MEAN, Eq(sigma2[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m),
         Eq(x_hat[i, k], (x[i, k] - mu[k]) / sqrt(sigma2[k] + eps)), Eq(y[i, k], gamma[k] * x_hat[i, k] + beta[k])],
        [y, mu, sigma2],
    ),
    "inverse": (
        [MEAN, Eq(sigma2[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m), Eq(inv[k], 1 / sqrt(sigma2[k] + eps)),
         Eq(y[i, k], gamma[k] * (x[i, k] - mu[k]) * inv[k] + beta[k])],
        [y, mu, inv],
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_way_to_write_batch_norm_collapses(form):
    """dx reads dgamma and dbeta, and forms no sum of its own; what has a name is read by it."""
    equations, outputs = FORMS[form]
    gradient = one(*equations, outputs=outputs).gradient()
    dx = next(eq.rhs for eq in gradient.equations if str(eq.lhs).startswith("dx"))
    assert not dx.atoms(Sum)
    names = {str(leaf.base.label) for leaf in dx.atoms(type(x[i]))}
    assert {"dy", "dgamma", "dbeta", "gamma"} <= names
    assert {"std": "std", "x_hat": "x_hat", "inverse": "inv"}[form] in names


def test_rms_norm_by_its_root_has_the_textbook_form():
    norm = one(
        Eq(r[i], sqrt(Sum(x[i, k] ** 2, (k, 1, n)) / n + eps)), Eq(y[i, k], gamma[k] * x[i, k] / r[i]), outputs=[y, r]
    )
    dx = next(eq.rhs for eq in norm.gradient().equations if str(eq.lhs).startswith("dx"))
    assert len(dx.atoms(Sum)) == 1
    random = np.random.default_rng(0)
    X, D, G = random.normal(size=(5, 4)), random.normal(size=(5, 4)), random.normal(size=4)
    root = np.sqrt((X**2).mean(1, keepdims=True) + 0.1)
    g = symbn.build(norm.gradient(), dtype="float64")(dy=D, x=X, r=root[:, 0], gamma=G)
    expected = (D * G - X / root**2 * (D * G * X).mean(1, keepdims=True)) / root
    np.testing.assert_allclose(g.dx, expected, rtol=1e-12, atol=1e-14)


def test_equal_sums_are_one_sum():
    """Whatever their indices are called: both factors are the same, and so are their gradients."""
    pair = one(Eq(y[k], Sum(x[i, k] ** 2, (i, 1, m)) * Sum(x[j, k] ** 2, (j, 1, m)) * w[k]))
    (dw,) = (eq.rhs for eq in pair.gradient(wrt="w").equations)
    assert len(dw.atoms(Sum)) == 1
