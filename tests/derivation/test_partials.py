"""Each derivative in the table against differences of the function itself, and the conventions at kinks."""

import mpmath
import pytest
import sympy
from sympy import Abs, Add, Eq, Function, Idx, IndexedBase, Max, Min, Mul, Pow, Rational, Symbol, symbols
from sympy.codegen import cfunctions

from symbn.derivation.partials import PARTIALS, partial
from symbn.equations.functions import ELEMENTWISE
from symbn.equations.operator import Operator
from symbn.errors import DerivationError

u, v, w = symbols("u v w", real=True)
out = Symbol("out")
n = Symbol("n", integer=True, positive=True)
k = Idx("k", (1, n))
x, y, z, a = map(IndexedBase, "x y z a".split())

#: function -> points in its domain, on both sides of what is special about it
POINTS = {
    Add: [(-1.5, 0.25), (2, 3)],
    Mul: [(-1.5, 0.25), (0, 3), (3, 0)],
    Pow: [(0.5, 2.5), (2.25, -1.5), (1, 0.5), (3, 0)],
    sympy.exp: [-30, -1.5, 0, 2],
    sympy.log: [0.001, 0.5, 1, 20],
    sympy.sin: [-2, 0, 0.5, 3],
    sympy.cos: [-2, 0, 0.5, 3],
    sympy.tan: [-1.25, 0, 0.5, 2],
    sympy.asin: [-0.9, 0, 0.5],
    sympy.acos: [-0.9, 0, 0.5],
    sympy.atan: [-5, 0, 0.5],
    sympy.atan2: [(1, 2), (-1, 2), (1, -2), (-1, -2), (2, 0.5)],
    sympy.sinh: [-2, 0, 0.5],
    sympy.cosh: [-2, 0, 0.5],
    sympy.tanh: [-20, -0.5, 0, 3],
    sympy.asinh: [-5, -0.5, 0, 3],
    sympy.acosh: [1.125, 2, 30],
    sympy.atanh: [-0.9, 0, 0.5],
    sympy.erf: [-2, 0, 0.5],
    sympy.erfc: [-2, 0, 0.5],
    Abs: [-2, 0.5],
    sympy.floor: [-1.5, 0.5, 2.25],
    sympy.ceiling: [-1.5, 0.5, 2.25],
    sympy.sign: [-1.5, 0.5],
    Max: [(1, 2), (2, 1), (-1, -2)],
    Min: [(1, 2), (2, 1), (-1, -2)],
    cfunctions.log1p: [-0.9, 0, 3],
    cfunctions.expm1: [-3, 0, 2],
    cfunctions.exp2: [-3, 0, 2.5],
    cfunctions.log2: [0.25, 1, 9],
    cfunctions.log10: [0.25, 1, 9],
    cfunctions.hypot: [(3, 4), (-3, 4), (0.5, -2), (0, 2)],
}


def function_of(function):
    """The function itself by mpmath: written down here once more, not read off SymPy."""
    base = {
        Add: lambda s, t: s + t,
        Mul: lambda s, t: s * t,
        Pow: mpmath.power,
        Abs: abs,
        Max: max,
        Min: min,
        sympy.floor: mpmath.floor,
        sympy.ceiling: mpmath.ceil,
        cfunctions.log1p: lambda s: mpmath.log(1 + s),
        cfunctions.expm1: lambda s: mpmath.exp(s) - 1,
        cfunctions.exp2: lambda s: mpmath.mpf(2) ** s,
        cfunctions.log2: lambda s: mpmath.log(s) / mpmath.log(2),
        cfunctions.log10: lambda s: mpmath.log(s) / mpmath.log(10),
        cfunctions.hypot: lambda s, t: mpmath.sqrt(s * s + t * t),
    }
    return base[function] if function in base else getattr(mpmath, function.__name__)


CASES = [(function, point) for function, points in POINTS.items() for point in points]


def test_each_function_of_an_equation_has_a_derivative():
    assert PARTIALS.keys() == {*ELEMENTWISE, Add, Mul, Pow} == POINTS.keys()


@pytest.mark.parametrize(("function", "point"), CASES, ids=[f"{one.__name__}-{at}" for one, at in CASES])
def test_a_derivative_is_the_slope_of_its_function(evaluate, function, point):
    point = tuple(Rational(one) for one in (point if isinstance(point, tuple) else (point,)))
    arguments = (u, v)[: len(point)]
    expr = function(*arguments)
    own = function_of(function)
    at = [mpmath.mpf(int(one.p)) / int(one.q) for one in point]
    for place in range(len(point)):
        orders = tuple(int(place == other) for other in range(len(point)))
        expected = mpmath.diff(own, tuple(at), orders)
        slope = Operator("slope", [Eq(out, partial(expr, place))], outputs=[out])
        values = {str(argument): {(): one} for argument, one in zip(arguments, at, strict=True)}
        found = evaluate(slope, values, {})["out"][()]
        assert abs(found - expected) <= mpmath.mpf(10) ** -18 * (1 + abs(expected)), (found, expected)


def test_products_and_sums_of_three():
    at = {u: Rational(3), v: Rational(-2), w: Rational(5)}
    expr = u * v * w
    assert [partial(expr, place).subs(at) for place in range(3)] == [
        (expr / argument).subs(at) for argument in expr.args
    ]
    assert [partial(u + v + w, place) for place in range(3)] == [1, 1, 1]


def test_the_power_of_a_constant_exponent():
    """No 0**(-1) and no logarithm where the exponent does not move."""
    assert partial(u**2, 0).subs(u, 0) == 0
    assert partial(u**1, 0) == 1 if (u**1).args else True
    assert partial(sympy.sqrt(u), 0) == 1 / (2 * sympy.sqrt(u))


# ---- kinks ----------------------------------------------------------------------------------------------


def test_the_slope_of_a_magnitude_at_0():
    assert partial(Abs(u), 0).subs(u, 0) == 0


def slopes(expr, **at):
    values = {symbol: Rational(at[symbol.name]) for symbol in expr.free_symbols}
    return {str(arg): partial(expr, place).subs(values) for place, arg in enumerate(expr.args)}


@pytest.mark.parametrize("function", [Max, Min])
def test_tied_arguments_share(function):
    assert slopes(function(u, v), u=2, v=2) == {"u": Rational(1, 2), "v": Rational(1, 2)}
    assert set(slopes(function(u, v, w), u=2, v=2, w=2).values()) == {Rational(1, 3)}


def test_only_the_tied_arguments_share():
    assert slopes(Max(u, v, w), u=2, v=2, w=1) == {"u": Rational(1, 2), "v": Rational(1, 2), "w": 0}
    assert slopes(Min(u, v, w), u=2, v=2, w=3) == {"u": Rational(1, 2), "v": Rational(1, 2), "w": 0}


@pytest.mark.parametrize("function", [Max, Min])
def test_a_number_takes_no_share_and_leaves_none(function):
    assert slopes(function(u, 0), u=0)["u"] == 0
    tied = slopes(function(u, v, 0), u=0, v=0)
    assert (tied["u"], tied["v"]) == (0, 0)


def test_a_tie_of_two_below_a_number_counts_for_nothing():
    assert slopes(Max(u, v, 5), u=2, v=2)["u"] == 0
    assert slopes(Max(u, v, 1), u=2, v=2)["u"] == Rational(1, 2)


def test_the_conventions_hold_in_a_gradient(evaluate):
    """The whole of an operator at its kinks."""
    operator = Operator("kinks", [Eq(y[k], Max(x[k], z[k]) + Abs(a[k]) * 3 + Min(a[k], 0))], outputs=[y])
    at = {"x": {(0,): mpmath.mpf(2)}, "z": {(0,): mpmath.mpf(2)}, "a": {(0,): mpmath.mpf(0)}}
    found = evaluate(operator.gradient(), {**at, "dy": {(0,): mpmath.mpf(8)}}, {"n": 1})
    assert [found[name][0,] for name in ("dx", "dz", "da")] == [4, 4, 0]
    tangents = {name: {(0,): mpmath.mpf(1)} for name in ("dx", "dz", "da")}
    moved = {**tangents, "dz": {(0,): mpmath.mpf(3)}}
    assert evaluate(operator.jvp(), {**at, **moved}, {"n": 1})["dy"][0,] == 2


def test_a_function_that_is_not_in_the_table():
    with pytest.raises(DerivationError, match=r"'f\(u\)': there is no derivative of f"):
        partial(Function("f")(u), 0)
