"""What symbn writes it reads back: the equations of each shipped operator, and any expression."""

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Abs, Idx, IndexedBase, Max, Piecewise, Sum, Symbol

from symbn import catalogue
from symbn.equations import notation
from symbn.equations.operator import Operator
from symbn.parse import formulas, page, verify
from symbn.parse.source import Source


@pytest.mark.parametrize("name", catalogue.names())
def test_a_shipped_operator_is_read_back(name, tmp_path):
    """Its own equations as a page: the same names, the same order, the same values."""
    operator, _ = catalogue.load(name)
    path = tmp_path / f"{name}.md"
    path.write_text("```math\n" + operator.latex() + "\n```\n", encoding="utf-8")
    read = page.read(path, outputs=operator.outputs).operator
    assert [str(eq.lhs) for eq in read.equations] == [str(eq.lhs) for eq in operator.equations]
    assert read.outputs == operator.outputs
    verdicts = verify.verify(path, operator)
    assert [one.outcome for one in verdicts] == ["agrees"] * len(operator.equations)


@pytest.mark.parametrize("name", catalogue.names())
def test_each_equation_of_a_shipped_operator_is_read_back_as_it_is(name, tmp_path):
    operator, _ = catalogue.load(name)
    text = "\n\n".join(f"$$ {notation.latex(eq)} $$" for eq in operator.equations)
    read = formulas.read(Source(tmp_path / "page.md", text), squared=["sigma"])
    for one, eq in zip(read, operator.equations, strict=True):
        assert plain(one.definition.equation.rhs) == plain(eq.rhs)


def plain(expr):
    """An expression without what its symbols assume and its indices range over."""
    if isinstance(expr, sympy.Indexed):
        return Symbol(f"{expr.base.label}{[str(index.name) for index in expr.indices]}")
    if isinstance(expr, Idx | Symbol):
        return Symbol(str(expr.name))
    if isinstance(expr, Sum):
        limits = [f"{index.name}{upper}" for index, _, upper in expr.limits]
        return sympy.Function("total")(plain(expr.function), *map(Symbol, limits))
    return expr.func(*map(plain, expr.args)) if expr.args else expr


def same(one, other):
    """Are two expressions the same, in another order or with a number multiplied out at most?"""
    if one == other:
        return True
    letters = sorted(one.free_symbols | other.free_symbols, key=str)
    for start in (2, 3, 5):
        at = {letter: sympy.Rational(start + 3 * number, 7 - number % 3) for number, letter in enumerate(letters)}
        if abs(sympy.N((one - other).subs(at), 30)) > 1e-20 * abs(sympy.N(one.subs(at), 30)):
            return False
    return one.free_symbols == other.free_symbols


m = Symbol("m", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k")
arrays = [IndexedBase(name) for name in ("x", "sigma2", "x_hat", "dy", "inv_std", "gamma", "mu_bar", "dx_2")]
leaves = st.one_of(
    st.sampled_from([one[i, k] for one in arrays[:4]] + [one[k] for one in arrays[4:]]),
    st.sampled_from([Symbol("momentum"), Symbol("a"), m]),
    st.integers(-3, 7).map(sympy.Integer),
    st.fractions(-2, 2, max_denominator=7).map(lambda one: sympy.Rational(one.numerator, one.denominator)),
)


def combined(inner):
    return st.one_of(
        st.tuples(inner, inner).map(lambda two: two[0] + two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] - two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] * two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] / (2 + two[1] ** 2)),
        inner.map(lambda one: (one + 1) ** 3),
        inner.map(lambda one: sympy.sqrt(1 + one**2)),
        inner.map(lambda one: sympy.exp(one + Symbol("a"))),
        inner.map(lambda one: sympy.tanh(one + Symbol("a"))),
        inner.map(lambda one: sympy.log(2 + Abs(one + Symbol("a")))),
        inner.map(lambda one: Max(one, Symbol("a"), 1)),
        inner.map(lambda one: Piecewise((one + 1, Symbol("a") > 0), (Symbol("a"), True))),
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(expr=st.recursive(leaves, combined, max_leaves=8))
def test_any_expression_is_read_back(expr, tmp_path_factory):
    text = f"$$ v_{{i,k}} = {notation.tex(expr)} $$\n\n$$ s_k = \\sum_{{i=1}}^{{m}} x_{{i,k}} $$"
    read = formulas.read(Source(tmp_path_factory.getbasetemp() / "page.md", text), squared=["sigma"])
    assert same(plain(read[0].definition.values[0]), plain(expr))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(expr=st.recursive(leaves, combined, max_leaves=4))
def test_any_sum_is_read_back(expr, tmp_path_factory):
    total = Sum(expr * arrays[0][i, k], (i, 1, m)) / m
    text = f"$$ v_k = {notation.tex(total)} $$"
    read = formulas.read(Source(tmp_path_factory.getbasetemp() / "page.md", text), squared=["sigma"])
    assert plain(read[0].definition.values[0]) == plain(total)


def test_an_operator_and_its_gradient_are_read_back(tmp_path):
    """A page with the forward equations, as symbn writes them, has the gradient that symbn derives."""
    operator, _ = catalogue.load("batch_norm")
    path = tmp_path / "again.md"
    path.write_text(f"$$\n{operator.latex()}\n$$\n", encoding="utf-8")
    read = Operator.from_markdown(path)
    assert plain_all(read.gradient()) == plain_all(operator.gradient())


def plain_all(operator):
    return [(str(eq.lhs), plain(eq.rhs)) for eq in operator.equations]
