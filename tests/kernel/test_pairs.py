"""Arithmetic of pairs: in numbers of few digits each result is the exact one, rounded once."""

from __future__ import annotations

import dataclasses
import math
import operator as relations
from fractions import Fraction

import mpmath
import pytest
from sympy import Abs, Eq, Idx, IndexedBase, Max, Sum, pi, symbols

from symbn.equations.operator import Operator
from symbn.equations.reductions import ReduceMax
from symbn.kernel import interpreter, ir, pairs, schedule
from symbn.kernel.ir import Const, Op, Var
from symbn.kernel.slopes import SLOPES

DIGITS = 14
LIMIT = 0.51

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, y, t, top, gamma = map(IndexedBase, "x y t top gamma".split())

USERS = {
    "l1": Operator(
        "l1",
        [
            Eq(t[k], Sum(x[i, k], (i, 1, m)) / m),
            Eq(top[k], Sum(Abs(x[i, k] - t[k]), (i, 1, m)) / m),
            Eq(y[i, k], gamma[k] * (x[i, k] - t[k]) / top[k]),
        ],
        outputs=[y, t, top],
    ),
    "largest": Operator(
        "largest",
        [
            Eq(top[k], ReduceMax(Abs(x[i, k] ** 3 / 7), (i, 1, m))),
            Eq(y[i, k], Max(x[i, k] ** 3 / 7 / top[k] - gamma[k] / 3, x[i, k] / 3)),
        ],
        outputs=[y, top],
    ),
}


def rounded(value, digits=DIGITS):
    """The nearest number of so many binary digits; ties to even."""
    if value == 0:
        return Fraction(0)
    value = Fraction(value)
    exponent = math.floor(math.log2(abs(value))) - digits + 1
    # math.log2 may be off by one next to a power of two.
    while abs(value) >= Fraction(2) ** (exponent + digits):
        exponent += 1
    while abs(value) < Fraction(2) ** (exponent + digits - 1):
        exponent -= 1
    return round(value / Fraction(2) ** exponent) * Fraction(2) ** exponent


def root(value):
    """The root to 200 digits."""
    scale = 10**200
    return Fraction(math.isqrt(value.numerator * scale * scale // value.denominator), scale)


INEXACT = {"add", "sub", "mul", "div", "rounded", "sum_error", "difference_error", "product_error", "quotient_error"}


def short(name, *args):
    """An operation of the IR on numbers of few digits, rounded as IEEE 754 does."""
    if name == "sqrt":
        return rounded(root(args[0]))
    if name == "root_error":
        high, low, before = args
        return rounded(root(high + low) - before)
    exact = interpreter.apply(name, *args)
    return rounded(exact) if name in INEXACT and isinstance(exact, Fraction) else exact


@pytest.fixture
def worst(evaluate, interpret, draw, monkeypatch):
    """The largest error of any output, in last places of that output's largest element."""

    def worst(operator, program, *, alternative):
        sizes = dict.fromkeys({*operator.indices.values()} - operator.fixed_extents.keys(), 3) | {"m": 37}
        arrays, scalars = draw(operator, sizes)
        # Data at some distance from 0, so that centring it is hard; a variance is positive.
        shift = dict.fromkeys(operator.statistics, 5) | {"x": 60}
        arrays = {
            name: {place: rounded(value / 70 + shift.get(name, 0)) for place, value in elements.items()}
            for name, elements in arrays.items()
        }
        scalars = {name: rounded(value) for name, value in scalars.items()}
        # Under another name, since the exact results of that one are known for other data.
        copy = Operator(f"{operator.name}_short", operator.equations, outputs=operator.outputs)
        with monkeypatch.context() as patch:
            patch.setattr(interpreter, "stand_in", lambda name, value: root(value))
            wanted = evaluate(copy, arrays, scalars, sizes)
            run = interpreter.run
            patch.setattr(interpreter, "run", lambda *args, **options: run(*args, **options, arithmetic=short))
            got = interpret(operator, program, arrays, scalars, sizes, alternative=alternative)
        result = 0.0
        for name in operator.outputs:
            exact = wanted.output(name)
            place = Fraction(2) ** (math.frexp(max(map(abs, exact.values())))[1] - DIGITS)
            result = max(result, *(float(abs(got[name][at] - value) / place) for at, value in exact.items()))
        return result

    return worst


NAMES = ["batch_norm", "batch_norm_backward", "layer_norm", "layer_norm_backward", "rms_norm", "group_norm"]


@pytest.mark.parametrize("alternative", [0, 1])
@pytest.mark.parametrize("name", [*NAMES, "batch_norm_add_relu_backward", "running_stats", *USERS])
def test_each_result_is_rounded_once(operators, worst, name, alternative):
    operator = (USERS | operators)[name]
    assert worst(operator, schedule.lower(operator, compensated=True), alternative=alternative) <= LIMIT


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm_backward"])
def test_plain_arithmetic_is_told_from_that_of_pairs(operators, worst, name):
    program = schedule.lower(operators[name], compensated=False)
    assert worst(operators[name], program, alternative=0) > 0.75


def without(program, change):
    """The program with some operations replaced."""

    def rewrite(node):
        if isinstance(node, tuple):
            return tuple(map(rewrite, node))
        if not dataclasses.is_dataclass(node):
            return node
        values = {field.name: rewrite(getattr(node, field.name)) for field in dataclasses.fields(node)}
        return change(dataclasses.replace(node, **values))

    return dataclasses.replace(program, nests=rewrite(program.nests))


ERRORS = ["sum_error", "difference_error", "product_error", "quotient_error", "root_error", "rounded"]


@pytest.mark.parametrize("operation", ERRORS)
def test_an_error_that_is_dropped_is_noticed(operators, worst, operation):
    def change(node):
        if isinstance(node, Op) and node.name == operation:
            return node.args[0] if operation == "rounded" else Const(Fraction(0))
        return node

    operator = operators["layer_norm_backward"]
    mutant = without(schedule.lower(operator, compensated=True), change)
    assert worst(operator, mutant, alternative=0) > 0.75


# ---- what the pass knows ---------------------------------------------------------------------------------


def program_of(*equations, outputs):
    return schedule.lower(Operator("op", equations, outputs=outputs), compensated=True)


def nodes(program):
    return [node for nest in program.nests for node in ir.walk(nest.body)]


def test_what_is_exact_gets_no_low_part():
    """A maximum of magnitudes is one of the data: nothing is rounded on the way, and no operation is added."""
    plain = Operator("op", [Eq(top[k], ReduceMax(Abs(x[i, k]), (i, 1, m)))], outputs=[top])
    both = [schedule.lower(plain, compensated=compensated) for compensated in (False, True)]
    names = [[node.name for node in nodes(program) if isinstance(node, Op)] for program in both]
    assert sorted(names[0]) == sorted(names[1])


def test_data_is_read_as_one_number():
    found = nodes(program_of(Eq(y[i, k], x[i, k] * gamma[k]), outputs=[y]))
    assert [node.name for node in found if isinstance(node, Op) if node.name != "idiv"].count("product_error") == 2
    assert not [node for node in found if isinstance(node, ir.Load) and node.array.endswith("_low")]


def test_workspaces_of_sums_have_companions(operators):
    program = schedule.lower(operators["layer_norm_backward"], compensated=True)
    names = [name for name, _ in program.workspaces]
    exact = {"all_mu_here", "all_eq3_part2"}  # the mean as given, and the number of features
    assert exact < set(names)
    plain = {name for name in names if not name.endswith("_low")}
    assert {f"{name}_low" for name in plain - exact} == set(names) - plain
    assert {array.name for array in program.arrays if array.role == "workspace"} == set(names)


def test_a_constant_that_no_double_holds_is_a_pair():
    program = program_of(Eq(y[i, k], x[i, k] * pi), outputs=[y])
    found = {node.value for node in nodes(program) if isinstance(node, Const)}
    high = Fraction(math.pi)
    assert high in found
    assert any(0 < abs(value) < high / 2**52 for value in found)


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "eq", "ne"])
def test_low_parts_decide_where_the_high_ones_are_equal(name):
    compare = getattr(relations, name)
    tiny = Fraction(1, 100)
    for high in (Fraction(1), Fraction(2)):
        for a_low in (-tiny, Fraction(0), tiny):
            for b_low in (-tiny, Fraction(0), tiny):
                a, b = pairs.Pair(Const(Fraction(1)), Const(a_low)), pairs.Pair(Const(high), Const(b_low))
                assert truth(pairs.compare(name, a, b)) == compare(1 + a_low, high + b_low)


def truth(expr):
    """The value of an expression of numbers."""
    return expr.value if isinstance(expr, Const) else interpreter.apply(expr.name, *map(truth, expr.args))


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_are_derivatives(name):
    """Against differences of the function, in 40 digits."""
    function = {"log2": lambda a: mpmath.log(a, 2), "exp2": lambda a: 2**a, "pow": mpmath.power, "asin": mpmath.asin}
    function = function.get(name) or getattr(mpmath, name)
    arguments = [Fraction(3, 2) if name == "acosh" else Fraction(2, 5), Fraction(7, 4)]
    arguments = arguments[: 2 if name in ("pow", "hypot", "atan2") else 1]
    variables = [Var(letter) for letter in "ab"[: len(arguments)]]
    slopes = SLOPES[name](*variables, Var("value"))
    with mpmath.workdps(40):
        at = [mpmath.mpf(one.numerator) / one.denominator for one in arguments]
        known = dict(zip("ab", at, strict=False)) | {"value": function(*at)}
        for place, slope in enumerate(slopes):
            order = tuple(int(number == place) for number in range(len(at)))
            expected = mpmath.diff(function, tuple(at), order)
            assert abs(number_of(slope, known) / expected - 1) < 1e-14


def number_of(expr, known):
    """An expression's value in mpmath."""
    match expr:
        case Const(value):
            return mpmath.mpf(value.numerator) / value.denominator
        case Var(name):
            return known[name]
        case Op(name, args):
            values = [number_of(arg, known) for arg in args]
            simple = {
                "add": mpmath.fadd,
                "sub": mpmath.fsub,
                "mul": mpmath.fmul,
                "div": mpmath.fdiv,
                "neg": mpmath.fneg,
            }
            return (simple.get(name) or getattr(mpmath, name))(*values)
    raise TypeError(expr)
