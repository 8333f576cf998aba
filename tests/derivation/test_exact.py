"""Exact arithmetic: numbers with a slope, against fractions and mpmath."""

from fractions import Fraction

import mpmath
import pytest
import sympy
from sympy import Abs, And, Derivative, Eq, Idx, IndexedBase, Max, Min, Not, Or, Piecewise, Rational, Sum, symbols
from sympy.codegen import cfunctions

from symbn.derivation.exact import PRECISION, TOLERANCE, Evaluator, Number, OutsideDomainError, close
from symbn.derivation.program import Program
from symbn.equations.operator import Operator

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, y, w = map(IndexedBase, "x y w".split())
s, r, c = symbols("s r c", real=True)
SLOPE = Fraction(3, 7)


def evaluator(*expressions, s=Fraction(2), slope=SLOPE, r=Fraction(5, 3)):
    """Evaluates expressions in s, which moves, and r, which does not."""
    operator = Operator("op", [Eq(c, sum(expressions, sympy.Symbol("s") * sympy.Symbol("r")))], outputs=[c])
    return Evaluator(Program(operator), {}, {"s": {(): Number(s, slope)}, "r": {(): Number(r)}})


def value(expr, **at):
    names = {"s": s, "r": r}
    plain = {one: sympy.Symbol(name) for name, one in names.items()}
    return evaluator(**at)(expr.subs(plain), {})


# ---- numbers --------------------------------------------------------------------------------------------


def test_sums_products_and_quotients_with_their_slopes():
    one, other = Number(Fraction(2, 3), Fraction(5)), Number(Fraction(-4), Fraction(1, 2))
    assert one + other == Number(Fraction(-10, 3), Fraction(11, 2))
    assert one * other == Number(Fraction(-8, 3), Fraction(-20) + Fraction(1, 3))
    assert other.reciprocal() == Number(Fraction(-1, 4), Fraction(-1, 32))


def test_whole_powers():
    one = Number(Fraction(-2, 3), Fraction(5))
    assert one.whole_power(3) == Number(Fraction(-8, 27), 3 * Fraction(4, 9) * 5)
    assert one.whole_power(0) == Number(Fraction(1))
    assert one.whole_power(1) == one
    assert one.whole_power(-2) == one.whole_power(2).reciprocal()
    assert Number(Fraction(0), Fraction(1)).whole_power(1) == Number(Fraction(0), Fraction(1))


def test_zero_has_no_reciprocal():
    with pytest.raises(OutsideDomainError):
        Number(Fraction(0), Fraction(1)).reciprocal()


def test_what_is_not_exact_stays_so():
    root = Number(Fraction(2), noise=2.0)
    assert (root + Number(Fraction(1))).noise == 2.0
    assert (Number(Fraction(-3)) * root).noise == 6.0
    assert root.reciprocal().noise == 0.5
    assert root.whole_power(2).noise == 8.0
    assert Number(Fraction(2)).whole_power(2).noise == 0.0


def test_noise_is_that_of_what_cancels():
    """What is left of a difference of roots is known as well as the roots, no better."""
    root = Number(Fraction(10**6), noise=1e6)
    left = root + Number(Fraction(-(10**6)) + Fraction(1, 10**30), noise=1e6)
    assert left.noise == 2e6
    assert close(left.value, Fraction(0), left.noise)


def test_numbers_that_are_close():
    tiny = Fraction(1, 10**40)
    assert not close(Fraction(1), 1 + tiny, 0.0)
    assert close(Fraction(1), 1 + tiny, 1.0)
    assert not close(Fraction(1), 1 + 2 * TOLERANCE, 1.0)
    assert close(Fraction(10**9), 10**9 + 2 * TOLERANCE, 1e9)


# ---- expressions ----------------------------------------------------------------------------------------

FUNCTIONS = {
    sympy.exp(s): mpmath.exp,
    sympy.log(s): mpmath.log,
    sympy.sin(s): mpmath.sin,
    sympy.cos(s): mpmath.cos,
    sympy.tan(s): mpmath.tan,
    sympy.asin(s / 4): lambda v: mpmath.asin(v / 4),
    sympy.acos(s / 4): lambda v: mpmath.acos(v / 4),
    sympy.atan(s): mpmath.atan,
    sympy.sinh(s): mpmath.sinh,
    sympy.cosh(s): mpmath.cosh,
    sympy.tanh(s): mpmath.tanh,
    sympy.asinh(s): mpmath.asinh,
    sympy.acosh(s): mpmath.acosh,
    sympy.atanh(s / 4): lambda v: mpmath.atanh(v / 4),
    sympy.erf(s): mpmath.erf,
    sympy.erfc(s): mpmath.erfc,
    cfunctions.log1p(s): lambda v: mpmath.log(1 + v),
    cfunctions.expm1(s): lambda v: mpmath.exp(v) - 1,
    cfunctions.exp2(s): lambda v: mpmath.mpf(2) ** v,
    cfunctions.log2(s): lambda v: mpmath.log(v) / mpmath.log(2),
    cfunctions.log10(s): lambda v: mpmath.log(v) / mpmath.log(10),
    sympy.sqrt(s): mpmath.sqrt,
    s ** Rational(-3, 2): lambda v: 1 / (v * mpmath.sqrt(v)),
    s ** Rational(2, 3): lambda v: mpmath.cbrt(v) ** 2,
    s**r: lambda v: mpmath.power(v, mpmath.mpf(5) / 3),
    r**s: lambda v: mpmath.power(mpmath.mpf(5) / 3, v),
    s**s: lambda v: mpmath.power(v, v),
    sympy.atan2(s, r): lambda v: mpmath.atan(v / (mpmath.mpf(5) / 3)),
    sympy.atan2(r, -s): lambda v: mpmath.atan2(mpmath.mpf(5) / 3, -v),
    cfunctions.hypot(r, s): lambda v: mpmath.sqrt(v * v + mpmath.mpf(25) / 9),
    sympy.exp(s) * s / (1 + sympy.log(s)): lambda v: mpmath.exp(v) * v / (1 + mpmath.log(v)),
}


@pytest.mark.parametrize("expr", FUNCTIONS, ids=str)
def test_functions_and_their_slopes(expr):
    found = value(expr)
    with mpmath.workdps(60):
        expected = FUNCTIONS[expr](mpmath.mpf(2))
        slope = mpmath.diff(FUNCTIONS[expr], mpmath.mpf(2)) * 3 / 7
        for one, other in ((found.value, expected), (found.slope, slope)):
            assert abs(mpmath.mpf(one.numerator) / one.denominator - other) < mpmath.mpf(10) ** -35 * (1 + abs(other))
    assert found.noise > 0


def test_rational_expressions_are_exact():
    found = value((s**3 - r / s + Rational(1, 3)) / (s + r) ** 2)
    at = Fraction(2)
    rest = Fraction(5, 3)
    top, bottom = at**3 - rest / at + Fraction(1, 3), (at + rest) ** 2
    slope = ((3 * at**2 + rest / at**2) * bottom - top * 2 * (at + rest)) / bottom**2 * SLOPE
    assert found == Number(top / bottom, slope)
    assert found.noise == 0


def test_a_root_squared_is_the_number_again():
    """Equal expressions give equal values, but for the root's last bit."""
    found = value(sympy.Mul(sympy.sqrt(s + 1), sympy.sqrt(s + 1), evaluate=False))
    assert abs(found.value - 3) < Fraction(1, 2 ** (PRECISION - 8))
    assert value(sympy.sqrt(s)).value == value(sympy.sqrt(s)).value


def test_decimal_numbers_and_constants():
    assert value(sympy.Float("0.5") * s).value == 1
    found = value(sympy.pi * s).value
    assert abs(found - Fraction(str(sympy.N(2 * sympy.pi, 80)))) < Fraction(1, 10**60)


@pytest.mark.parametrize(
    ("expr", "at"),
    [
        (1 / (s - 2), {}),
        (sympy.sqrt(-s), {}),
        (sympy.log(s - 2), {}),
        (sympy.log(-s), {}),
        (sympy.acosh(s / 4), {}),
        (sympy.asin(s), {}),
        (sympy.atanh(s), {}),
        ((s - 2) ** Rational(-1, 2), {}),
        ((-s) ** r, {}),
        (sympy.log(s), {"s": Fraction(0)}),
    ],
    ids=str,
)
def test_outside_of_a_domain(expr, at):
    with pytest.raises(OutsideDomainError):
        value(expr, **at)


def test_no_branch_holds():
    with pytest.raises(OutsideDomainError, match="no branch"):
        value(Piecewise((s, s < 1)))


# ---- kinks and branches ---------------------------------------------------------------------------------


def slope(expr, **at):
    return value(expr, slope=Fraction(1), **at).slope


def test_kinks():
    assert [slope(Abs(s), s=Fraction(one)) for one in (-2, 0, 3)] == [-1, 0, 1]
    assert [slope(Max(s, r), s=Fraction(one)) for one in (1, 2)] == [0, 1]
    assert [slope(Min(s, r), s=Fraction(one)) for one in (1, 2)] == [1, 0]
    assert slope(Max(s, r), s=Fraction(5, 3)) == Fraction(1, 2)
    assert slope(Min(s, r), s=Fraction(5, 3)) == Fraction(1, 2)
    assert slope(Max(s, 2), s=Fraction(2)) == 0
    assert slope(Min(s, r, 2), s=Fraction(2), r=Fraction(2)) == 0
    assert [slope(one) for one in (sympy.sign(s), sympy.floor(s), sympy.ceiling(s))] == [0, 0, 0]


def test_whole_parts():
    at = Fraction(-7, 2)
    assert [value(one, s=at).value for one in (sympy.floor(s), sympy.ceiling(s), sympy.sign(s), Abs(s))] == [
        -4,
        -3,
        -1,
        Fraction(7, 2),
    ]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (s < 2, False),
        (s <= 2, True),
        (s > r, True),
        (s >= 3, False),
        (sympy.Eq(s, 2), True),
        (sympy.Ne(s, r), True),
        (And(s > 1, r > 2), False),
        (Or(s > 5, r < 2), True),
        (Not(And(s > 1, r < 2)), False),
    ],
    ids=str,
)
def test_conditions(condition, holds):
    assert value(Piecewise((s**2, condition), (r, True))).value == (4 if holds else Fraction(5, 3))


def test_a_branch_that_is_not_taken_is_not_evaluated():
    assert value(Piecewise((s, s > 1), (1 / (s - 2), True))).slope == SLOPE


# ---- arrays ---------------------------------------------------------------------------------------------


def arrays():
    operator = Operator(
        "op", [Eq(y[k], Sum(x[i, k] ** 2 * w[k], (i, 1, m)) / m), Eq(c, Sum(y[k], (k, 1, n)) + n)], outputs=[y, c]
    )
    program = Program(operator)
    extents = {one: {"m": 2, "n": 3}[str(one)] for one in program.extents}
    values = {
        "x": {(a, b): Number(Fraction(3 * a - b, 2)) for a in range(2) for b in range(3)},
        "w": {(b,): Number(Fraction(b + 1)) for b in range(3)},
    }
    found = Evaluator(program, extents, values)
    for equation in program.assignments:
        found.assign(equation)
    return program, found


def test_sums_over_elements():
    program, found = arrays()
    expected = [sum(Fraction(3 * a - b, 2) ** 2 * (b + 1) for a in range(2)) / 2 for b in range(3)]
    assert [found.values["y"][b,].value for b in range(3)] == expected
    assert found.values["c"][()].value == sum(expected) + 3
    assert found.places(program.leaf("x")) == [(a, b) for a in range(2) for b in range(3)]


def test_a_derivative_is_that_of_the_equation():
    """One element moves; the others, and what else depends on it, stay."""
    program, found = arrays()
    target, leaf = program.leaf("y"), program.leaf("x")
    at = dict(zip((*leaf.indices,), (1, 2), strict=True))
    before = {name: dict(places) for name, places in found.values.items()}
    assert found(Derivative(target, leaf, evaluate=False), at).value == 2 * Fraction(1, 2) * 3 / 2
    assert found.values == before


def test_a_derivative_by_an_element_that_is_not_read():
    program, found = arrays()
    target, leaf = program.leaf("y"), program.leaf("x")
    other = program.fresh_index(leaf.indices[1], leaf.indices)
    moved = program.rename(leaf, {leaf.indices[1]: other})
    at = {leaf.indices[0]: 1, leaf.indices[1]: 2, other: 0}
    assert found(Derivative(target, moved, evaluate=False), at).value == 0
