"""Products, maxima and minima over indices, as SymPy expressions and as parts of equations."""

from __future__ import annotations

import copy
import pickle

import pytest
from sympy import Abs, Eq, Function, Idx, IndexedBase, Max, Piecewise, Product, Sum, Symbol, exp, sqrt, symbols

import symbn
from symbn import EquationError, Operator, ReduceMax, ReduceMin
from symbn.equations import notation
from symbn.equations.reductions import REDUCTIONS, is_reduction

m, n = symbols("m n", integer=True, positive=True)
i, j, k = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n))
x, a, y, t = map(IndexedBase, "x a y t".split())
TOP, BOTTOM = ReduceMax(x[i, k], (i, 1, m)), ReduceMin(x[i, k], (i, 1, m))


def test_they_are_public():
    assert {"ReduceMax", "ReduceMin"} <= set(symbn.__all__)
    assert [kind.__name__ for kind in REDUCTIONS] == ["Sum", "Product", "ReduceMax", "ReduceMin"]
    assert all(map(is_reduction, (TOP, BOTTOM, Sum(x[i, k], (i, 1, m)), Product(x[i, k], (i, 1, m)))))
    assert not is_reduction(Max(x[i, k], 0))


@pytest.mark.parametrize("one", [TOP, BOTTOM, ReduceMax(Abs(x[i, k]) + 1, (i, 1, m), (k, 1, n))])
def test_they_are_expressions_like_any_other(one):
    assert one.func(*one.args) == one == pickle.loads(pickle.dumps(one)) == copy.deepcopy(one)
    assert hash(one.func(*one.args)) == hash(one)
    assert one.doit() == one.expand() == one.simplify() == one
    assert (2 * one).xreplace({one: a[k]}) == 2 * a[k]


def test_their_parts():
    assert TOP != BOTTOM
    assert TOP.function == x[i, k]
    assert TOP.limits == ((i, 1, m),)
    assert {m, k} <= TOP.free_symbols
    assert i not in TOP.free_symbols
    assert (TOP + 1).atoms(ReduceMax) == {TOP}
    assert (1 / TOP).has(ReduceMax)
    assert TOP.xreplace({x[i, k]: a[i]}) == ReduceMax(a[i], (i, 1, m))
    assert TOP.subs(k, j) == ReduceMax(x[i, j], (i, 1, m))
    assert TOP.diff(a[k]).func.__name__ == "Derivative"


def test_they_are_real_where_their_terms_are():
    z = IndexedBase(Symbol("z", real=True))
    assert ReduceMax(z[i], (i, 1, m)).is_real
    assert TOP.is_real is None


def test_a_choice_among_the_terms_stays_among_them():
    """SymPy takes a choice out of a Sum, and with it the index that is bound there."""
    choice = Piecewise((x[i, k], x[i, k] > a[k]), (a[k], True))
    one = ReduceMax(choice, (i, 1, m))
    assert one.function == choice
    assert one.func(*one.args) == one == pickle.loads(pickle.dumps(one))


# ---- in equations ---------------------------------------------------------------------------------------


def test_what_goes_over_an_index_reduces_it():
    operator = Operator("o", [Eq(t[k], TOP), Eq(y[k], Product(a[j, k], (j, 1, m)) * t[k])], outputs=[y])
    assert set(operator.reduced) == {"i", "j"}
    assert operator.features == ("k",)
    assert operator.inputs == ("x", "a")
    assert pickle.loads(pickle.dumps(operator)) == operator


@pytest.mark.parametrize("kind", REDUCTIONS)
def test_what_is_refused_of_one_is_refused_of_all(kind):
    def refused(right, *words):
        with pytest.raises(EquationError) as caught:
            Operator("o", [Eq(y[i, k], right)], outputs=[y])
        for word in words:
            assert word in str(caught.value)

    refused(kind(x[i, k], (i, 1, m)), "index capture: 'i' is bound by", kind.__name__, "take a fresh index")
    refused(kind(x[j, k], (j, 2, m)), "index 'j' runs over m - 1 values")
    refused(kind(x[j, k], (j, 1, n)), "index 'j' has clashing extents")
    s = Idx("s", (1, m))
    refused(x[i, s] * kind(x[j, k], (j, 1, m)), "index 's' of x[i, s] is free", "nor bound by a reduction such as Sum")


def test_they_are_among_what_is_known():
    with pytest.raises(EquationError, match=r"known are .*Product, ReduceMax, ReduceMin, .*Sum"):
        Operator("o", [Eq(y[k], Function("f")(x[k]))], outputs=[y])


# ---- written down ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "tex", "plain"),
    [
        (TOP, r"\max_{i=1}^{m} x_{i,k}", "Max(x[i, k], i=1..m)"),
        (
            ReduceMin(x[i, k] + a[i], (i, 1, m)),
            r"\min_{i=1}^{m} \left(a_{i} + x_{i,k}\right)",
            "Min(a[i] + x[i, k], i=1..m)",
        ),
        (ReduceMax(-x[i, k], (i, 1, m)), r"\max_{i=1}^{m} \left(- x_{i,k}\right)", "Max(-x[i, k], i=1..m)"),
        (
            ReduceMax(x[i, k], (i, 1, m), (k, 1, n)),
            r"\max_{i=1}^{m} \max_{k=1}^{n} x_{i,k}",
            "Max(x[i, k], i=1..m, k=1..n)",
        ),
        (x[j, k] / TOP, r"\frac{x_{j,k}}{\max_{i=1}^{m} x_{i,k}}", "x[j, k]/Max(x[i, k], i=1..m)"),
        (a[k] * TOP, r"a_{k} \max_{i=1}^{m} x_{i,k}", "a[k]*Max(x[i, k], i=1..m)"),
        (TOP**2, r"\left(\max_{i=1}^{m} x_{i,k}\right)^{2}", "Max(x[i, k], i=1..m)**2"),
        (
            TOP * Sum(x[i, k], (i, 1, m)),
            r"\left(\max_{i=1}^{m} x_{i,k}\right) \sum_{i=1}^{m} x_{i,k}",
            "Max(x[i, k], i=1..m)*Sum(x[i, k], i=1..m)",
        ),
        (exp(x[j, k] - TOP), r"e^{x_{j,k} - \max_{i=1}^{m} x_{i,k}}", "exp(x[j, k] - Max(x[i, k], i=1..m))"),
        (sqrt(TOP), r"\sqrt{\max_{i=1}^{m} x_{i,k}}", "sqrt(Max(x[i, k], i=1..m))"),
        (
            Product(x[i, k] + 1, (i, 1, m)) ** (1 / m),
            r"\left(\prod_{i=1}^{m} \left(1 + x_{i,k}\right)\right)^{\frac{1}{m}}",
            "Product(x[i, k] + 1, i=1..m)**(1/m)",
        ),
        (
            a[k] * Piecewise((1, a[k] > x[i, k]), (0, True)),
            r"a_{k} \left[a_{k} > x_{i,k}\right]",
            "Piecewise((1, a[k] > x[i, k]), (0, True))*a[k]",
        ),
    ],
)
def test_notation(expr, tex, plain):
    assert notation.tex(expr) == tex
    assert notation.plain_text(expr) == plain


def test_a_terminal_shows_the_word_between_its_limits():
    assert notation.pretty(Eq(y[k], TOP, evaluate=False)).splitlines() == [
        "         m          ",
        "y[k] =  max  x[i, k]",
        "       i = 1        ",
    ]
