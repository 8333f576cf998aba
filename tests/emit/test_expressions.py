"""Expressions as C text: parentheses, literals, and what is refused."""

import struct
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from symbn.emit.expressions import ExpressionPrinter, literal
from symbn.errors import LoweringError
from symbn.kernel import interpreter
from symbn.kernel.ir import Const, Int, Load, Op, Var

c = ExpressionPrinter(lambda load: f"{load.array}[{', '.join(c(sub) for sub in load.subscripts)}]")
a, b, d, e = map(Var, "abde")


def add(*args):
    return Op("add", args)


def sub(*args):
    return Op("sub", args)


def mul(*args):
    return Op("mul", args)


def div(*args):
    return Op("div", args)


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (Op("inf", ()), "(double)INFINITY"),
        (Op("neg", (Op("inf", ()),)), "-((double)INFINITY)"),
        (add(add(a, b), d), "a + b + d"),
        (add(a, add(b, d)), "a + (b + d)"),
        (sub(a, sub(b, d)), "a - (b - d)"),
        (sub(sub(a, b), d), "a - b - d"),
        (mul(a, add(b, d)), "a * (b + d)"),
        (add(a, mul(b, d)), "a + b * d"),
        (div(a, mul(b, d)), "a / (b * d)"),
        (mul(div(a, b), d), "a / b * d"),
        (div(a, div(b, d)), "a / (b / d)"),
        (Op("neg", (add(a, b),)), "-(a + b)"),
        (Op("neg", (Op("neg", (a,)),)), "-(-a)"),
        (Op("neg", (Const(Fraction(-1)),)), "-(-1.0)"),
        (mul(Op("neg", (a,)), b), "-a * b"),
        (Op("sqrt", (add(a, b),)), "sqrt(a + b)"),
        (Op("max", (a, b)), "nan_max(a, b)"),
        (Op("real", (mul(a, b),)), "(double)(a * b)"),
        (Op("select", (Op("lt", (a, b)), a, b)), "(a < b ? a : b)"),
        (Op("not", (Op("lt", (a, b)),)), "!(a < b)"),
        (Op("imod", (add(a, Int(1)), b)), "(a + 1) % b"),
        (Load("x", (add(a, Int(1)),)), "x[a + 1]"),
    ],
)
def test_parentheses_where_c_needs_them_and_nowhere_else(expr, text):
    assert c(expr) == text


VALUES = {"a": 1.5, "b": -2.25, "d": 1e-3, "e": 7.0}

leaves = st.one_of(
    st.sampled_from([a, b, d, e]),
    st.fractions(min_value=-10, max_value=10, max_denominator=8).map(Const),
)
arithmetic = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda name, x, y: Op(name, (x, y)), st.sampled_from(["add", "sub", "mul", "div"]), inner, inner),
        inner.map(lambda x: Op("neg", (x,))),
    ),
    max_leaves=14,
)


def in_floats(expr):
    match expr:
        case Const(value):
            return float(value)
        case Var(name):
            return VALUES[name]
        case Op("div", (x, y)):
            return in_floats(x) / in_floats(y)
        case Op(name, args):
            return interpreter.apply(name, *(in_floats(arg) for arg in args))


@given(arithmetic)
def test_text_means_what_the_expression_means(expr):
    """In floating point: the text groups exactly as the expression does, to the last bit.

    Arithmetic of Python reads as that of C.
    """
    try:
        wanted = in_floats(expr)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            eval(c(expr), {}, VALUES)
    except OverflowError:
        pass
    else:
        assert struct.pack("d", eval(c(expr), {}, VALUES)) == struct.pack("d", wanted)


whole = st.recursive(
    st.one_of(st.sampled_from([a, b, d]), st.integers(0, 20).map(Int)),
    lambda inner: st.builds(
        lambda name, x, y: Op(name, (x, y)), st.sampled_from(["add", "sub", "mul", "idiv", "imod"]), inner, inner
    ),
    max_leaves=12,
)


@given(whole)
def test_index_arithmetic_means_what_the_expression_means(expr):
    places = {"a": 3, "b": 5, "d": 12}

    def exact(node):
        match node:
            case Int(value):
                return value
            case Var(name):
                return places[name]
            case Op(name, args):
                return interpreter.apply(name, *map(exact, args))

    text = c(expr).replace("/", "//")
    try:
        wanted = exact(expr)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            eval(text, {}, places)
    else:
        assert eval(text, {}, places) == wanted


# ---- literals ------------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e300)
@example(5e-324)
@example(-0.1)
@example(2.0**53 + 2)
def test_literals_keep_every_bit(value):
    text = literal(Fraction(value))
    assert float(text) == value
    assert any(char in text for char in ".e"), "without a point it is an int in C"


def test_literals_are_rounded_once():
    assert literal(Fraction(1, 3)) == repr(1 / 3)
    assert literal(Fraction(1, 10)) == "0.1"


@pytest.mark.parametrize("value", [Fraction(10) ** 400, -(Fraction(10) ** 400), Fraction(2) ** 1024])
def test_constants_that_no_double_holds(value):
    with pytest.raises(LoweringError, match="larger than any float64"):
        literal(value)


def test_negative_literals_bind_as_a_sign_does():
    assert c(sub(a, Const(Fraction(-2)))) == "a - -2.0"
    assert c(Op("neg", (Const(Fraction(-2)),))) == "-(-2.0)"


@pytest.mark.parametrize("expr", [Op("lgamma", (a,)), Op("extent", (a,)), Op("sum", (a, b)), Op("add", (a, b, d))])
def test_what_has_not_been_lowered_is_named(expr):
    with pytest.raises(LoweringError, match=f"{expr.name}.*not been lowered"):
        c(add(a, expr))
