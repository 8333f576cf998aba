"""Derivatives of products, maxima and minima: their forms, ties and zeros in exact fractions, and their bits."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from sympy import Abs, Eq, Idx, IndexedBase, Piecewise, Product, Sum, Symbol, exp, log, symbols

from symbn import DerivationError, Operator, ReduceMax, ReduceMin
from symbn.derivation import reductions
from symbn.derivation.exact import Evaluator, Number
from symbn.derivation.program import Program

m, n = symbols("m n", integer=True, positive=True)
i, j, k, h = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n)), Idx("h", (1, n))
x, y, w, e, mu, top, s = map(IndexedBase, "x y w e mu top s".split())
TOP = ReduceMax(x[i, k], (i, 1, m))


def equations(operator):
    return repr(operator).splitlines()[1:]


def column(right, left=None, *more, outputs=(y,)):
    """An operator of one output, from what stands at the right."""
    return Operator("o", [*more, Eq(y[k] if left is None else left, right)], outputs=outputs)


# ---- what is derived ------------------------------------------------------------------------------------


def test_a_maximum_shares_its_gradient_among_the_terms_that_are_equal_to_it():
    assert equations(column(TOP).gradient()) == [
        "  (1) y[k] = Max(x[i, k], i=1..m)",
        "  (2) c[k] = Sum(Piecewise((1, Eq(y[k], x[i, k])), (0, True)), i=1..m)",
        "  (3) dx[i, k] = Piecewise((1, Eq(y[k], x[i, k])), (0, True))*dy[k]/c[k]",
    ]


def test_terms_without_a_name_get_one():
    operator = column(x[i, k] / ReduceMax(Abs(x[j, k]), (j, 1, m)), y[i, k])
    lines = equations(operator.gradient())
    assert lines[:3] == [
        "  (1) t[j, k] = Abs(x[j, k])",
        "  (2) M[k] = Max(t[j, k], j=1..m)",
        "  (3) c[k] = Sum(Piecewise((1, Eq(M[k], t[j, k])), (0, True)), j=1..m)",
    ]
    assert lines[4:] == ["  (5) dx[j, k] = sign(x[j, k])*t_bar[j, k] + dy[j, k]/M[k]"]


def test_the_gradient_of_a_product_divides_by_no_zero():
    assert equations(column(Product(x[i, k], (i, 1, m))).gradient()) == [
        "  (1) y[k] = Product(x[i, k], i=1..m)",
        "  (2) z[k] = Sum(Piecewise((1, Eq(x[i, k], 0)), (0, True)), i=1..m)",
        "  (3) q[k] = Product(Piecewise((1, Eq(x[i, k], 0)), (x[i, k], True)), i=1..m)",
        "  (4) dx[i, k] = "
        "Piecewise((y[k]/x[i, k], Eq(z[k], 0)), (q[k], Eq(z[k], 1) & Eq(x[i, k], 0)), (0, True))*dy[k]",
    ]


def test_positive_factors_are_never_zero():
    p = IndexedBase(Symbol("p", positive=True))
    assert equations(column(Product(p[i, k], (i, 1, m))).gradient()) == [
        "  (1) y[k] = Product(p[i, k], i=1..m)",
        "  (2) dp[i, k] = dy[k]*y[k]/p[i, k]",
    ]


@pytest.mark.parametrize("named", [True, False])
def test_the_maximum_that_a_softmax_subtracts_has_no_gradient(named):
    if named:
        first = [Eq(top[k], TOP), Eq(e[i, k], exp(x[i, k] - top[k])), Eq(s[k], Sum(e[i, k], (i, 1, m)))]
        operator = Operator("softmax", [*first, Eq(y[i, k], e[i, k] / s[k])], outputs=[y])
        assert equations(operator.gradient())[-1] == (
            "  (4) dx[i, k] = (dy[i, k] - Sum(dy[j, k]*e[j, k], j=1..m)/s[k])*e[i, k]/s[k]"
        )
    else:
        shifted = x[i, k] - ReduceMax(x[j, k], (j, 1, m))
        others = x[j, k] - ReduceMax(x[Idx("l", (1, m)), k], (Idx("l", (1, m)), 1, m))
        operator = column(exp(shifted) / Sum(exp(others), (j, 1, m)), y[i, k])
    for derived in (operator.gradient(), operator.jvp()):
        assert not any(eq.has(Piecewise) for eq in derived.equations)
        assert sum(eq.has(ReduceMax) for eq in derived.equations) == 1


def test_nor_has_that_of_a_log_of_a_sum_of_exponentials():
    operator = column(TOP + log(Sum(exp(x[j, k] - ReduceMax(x[i, k], (i, 1, m))), (j, 1, m))))
    assert not any(eq.has(Piecewise) for eq in operator.gradient().equations)


def test_equal_reductions_have_one_name():
    operator = column(TOP * ReduceMax(x[j, k], (j, 1, m)) + ReduceMin(x[i, k], (i, 1, m)))
    assert [one.name for one in Program(operator).assignments] == ["M", "c", "M_2", "c_2", "y"]


def test_a_reduction_that_has_a_name_keeps_it():
    operator = column(TOP + w[k], y[k], Eq(top[k], TOP))
    assert [one.name for one in Program(operator).assignments] == ["top", "c", "y"]


def test_what_is_compared_is_computed_again_and_what_is_not_is_saved():
    """A maximum that was saved may have other bits than one of the terms that are at hand."""
    deviation = Operator(
        "deviation",
        [
            Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
            Eq(top[k], ReduceMax(Abs(x[i, k] - mu[k]), (i, 1, m))),
            Eq(y[i, k], (x[i, k] - mu[k]) / top[k]),
        ],
        outputs=[y, mu, top],
    )
    assert deviation.gradient().inputs == ("dy", "x", "mu")
    assert deviation.gradient().gradient(wrt=["x"]).inputs.count("top") == 0
    softmax = Operator(
        "softmax",
        [Eq(top[k], TOP), Eq(e[i, k], exp(x[i, k] - top[k])), Eq(y[i, k], e[i, k] / Sum(e[j, k], (j, 1, m)))],
        outputs=[y, top],
    )
    assert softmax.gradient().inputs == ("dy", "x", "top")
    assert "top" not in softmax.gradient(["y", "top"]).inputs


def test_a_choice_in_a_sum_is_not_put_into_another():
    """SymPy would take its condition out of the inner sum, whose index means nothing there."""
    operator = column(Sum(x[i, k] * ReduceMax(x[i, h], (h, 1, n)), (i, 1, m)))
    assert equations(operator.jvp())[2:] == [
        "  (3) M_dot[i] = Sum(Piecewise((dx[i, k]/c[i], Eq(M[i], x[i, k])), (0, True)), k=1..n)",
        "  (4) dy[k] = Sum(M[i]*dx[i, k], i=1..m) + Sum(M_dot[i]*x[i, k], i=1..m)",
    ]


# ---- ties and zeros, in fractions -----------------------------------------------------------------------


def gradient_of(operator, values):
    """dx of a column, for dy = 1, by the derived equations in exact arithmetic."""
    derived = operator.gradient()
    program = Program(derived)
    sample = Evaluator(program, {m: len(values), n: 1}, {})
    sample.values = {
        "x": {(place, 0): Number(Fraction(value)) for place, value in enumerate(values)},
        "dy": {(0,): Number(Fraction(1))},
    }
    for equation in program.assignments:
        sample.assign(equation)
    return [sample.values["dx"][place, 0].value for place in range(len(values))]


@pytest.mark.parametrize("values", [(3, 1, 2), (2, 5, 5), (-1, -1, -1), (7,), (0, 0, -1, 0)])
def test_ties_share(values):
    for kind, best in ((ReduceMax, max), (ReduceMin, min)):
        share = Fraction(1, values.count(best(values)))
        wanted = [share if value == best(values) else 0 for value in values]
        assert gradient_of(column(kind(x[i, k], (i, 1, m))), values) == wanted


@pytest.mark.parametrize("values", [(3, -1, 2), (2, 0, 5), (0, 0, 4), (0, 0, 0), (0,), (7,)])
def test_each_factor_has_the_product_of_the_others(values):
    wanted = [math.prod(values[:place] + values[place + 1 :]) for place in range(len(values))]
    assert gradient_of(column(Product(x[i, k], (i, 1, m))), values) == wanted


# ---- what is wrong is not proved ------------------------------------------------------------------------


def slopes(change):
    """Derivatives of reductions that are wrong in one way."""

    def define(self, target, value, slope=None):
        return right(self, target, value, slope if slope is None else change(slope))

    right = reductions._Separation.define
    return define


ARMS = {"of what is divided": 0, "of the one zero": 1, "of several zeros": 2}


@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
def test_a_wrong_branch_of_a_products_derivative_is_found(monkeypatch, arm):
    def change(slope):
        return Piecewise(
            *((value + int(place == arm), condition) for place, (value, condition) in enumerate(slope.args))
        )

    monkeypatch.setattr(reductions._Separation, "define", slopes(change))
    with pytest.raises(DerivationError):
        column(Product(x[i, k], (i, 1, m))).gradient()


@pytest.mark.parametrize("kind", [ReduceMax, ReduceMin])
def test_ties_that_do_not_share_are_found(monkeypatch, kind):
    def change(slope):
        return next(part for part in slope.args if isinstance(part, Piecewise))

    monkeypatch.setattr(reductions._Separation, "define", slopes(change))
    with pytest.raises(DerivationError):
        column(kind(x[i, k], (i, 1, m))).gradient()
