"""Operators to differentiate, and an oracle that shares nothing with the derivation: mpmath on loops over elements."""

from __future__ import annotations

import itertools
import math
import random
import runpy
from functools import cache
from pathlib import Path

import mpmath
import pytest
import sympy
from sympy import Indexed, Piecewise, Product, Sum, Symbol
from sympy.codegen import cfunctions

from symbn import ReduceMax, ReduceMin, catalogue

USERS = runpy.run_path(str(Path(__file__).parent.parent / "kernel" / "user_operators.py"))["OPERATORS"]
OPERATORS = {**{name: catalogue.load(name)[0] for name in catalogue.names()}, **USERS}
DIGITS = 50

#: SymPy class -> what mpmath computes for it
FUNCTIONS = {
    **{
        getattr(sympy, name): getattr(mpmath, name)
        for name in "exp log sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh erf erfc sign".split()
    },
    sympy.Abs: abs,
    sympy.Max: max,
    sympy.Min: min,
    sympy.floor: mpmath.floor,
    sympy.ceiling: mpmath.ceil,
    cfunctions.log1p: mpmath.log1p,
    cfunctions.expm1: mpmath.expm1,
    cfunctions.exp2: lambda v: mpmath.power(2, v),
    cfunctions.log2: lambda v: mpmath.log(v, 2),
    cfunctions.log10: mpmath.log10,
    cfunctions.hypot: mpmath.hypot,
}
RELATIONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}


def pytest_generate_tests(metafunc):
    """Each test that takes ``operator`` runs on every shipped operator and every user's."""
    if "operator" in metafunc.fixturenames:
        metafunc.parametrize("operator", OPERATORS.values(), ids=OPERATORS)


@pytest.fixture(autouse=True)
def _precision():
    with mpmath.workdps(DIGITS):
        yield


@pytest.fixture(scope="session")
def operators():
    return OPERATORS


@pytest.fixture(scope="session")
def evaluate():
    return compute


@pytest.fixture(scope="session")
def draw():
    return random_inputs


@pytest.fixture(scope="session")
def along():
    return directional


@pytest.fixture(scope="session")
def derive():
    """A derivation, made once for all tests that read it."""
    return cache(lambda operator, mode: operator.jvp() if mode == "jvp" else deriving(operator).collapsed)


@pytest.fixture(scope="session")
def derivation():
    """A gradient with its steps, made once as well."""
    return deriving


@cache
def deriving(operator):
    return operator.derivation()


# ---- the equations, evaluated as they are written -------------------------------------------------------


def compute(operator, inputs, sizes, symbolic=False):
    """Name -> place -> number for all that the equations define, those between inputs as well.

    ``symbolic`` keeps roots as SymPy writes them, so that a result is exact; otherwise numbers are mpmath's.
    """
    sizes = {**operator.fixed_extents, **sizes}
    known = {name: dict(places) for name, places in inputs.items()}

    def value(expr, at):
        if isinstance(expr, Indexed):
            return known[str(expr.base.label)][tuple(at[str(index.name)] for index in expr.indices)]
        if isinstance(expr, Sum | Product | ReduceMax | ReduceMin):
            names = [str(limit[0].name) for limit in expr.limits]
            counts = [size(limit[2] - limit[1] + 1) for limit in expr.limits]
            terms = [
                value(expr.function, {**at, **dict(zip(names, place, strict=True))})
                for place in itertools.product(*map(range, counts))
            ]
            if isinstance(expr, ReduceMax | ReduceMin):
                return max(terms) if isinstance(expr, ReduceMax) else min(terms)
            one = sympy.Integer(1) if symbolic else mpmath.mpf(1)
            return math.prod(terms, start=one) if isinstance(expr, Product) else sum(terms, 0 * one)
        if isinstance(expr, Symbol):
            name = str(expr.name)
            return known[name][()] if name in known else number(sympy.Integer(sizes[name]))
        if expr.is_number and not expr.args:
            return number(expr)
        if isinstance(expr, Piecewise):
            return next(value(one, at) for one, condition in expr.args if holds(condition, at))
        args = [value(arg, at) for arg in expr.args]
        if symbolic:
            return expr.func(*args)
        if expr.is_Add:
            return sum(args, mpmath.mpf(0))
        if expr.is_Mul:
            return mpmath.fprod(args)
        if expr.is_Pow:
            return args[0] ** int(expr.exp) if expr.exp.is_Integer else real(mpmath.power(*args))
        return real(FUNCTIONS[type(expr)](*args))

    def size(expr):
        return int(expr.subs({symbol: sizes[str(symbol.name)] for symbol in expr.free_symbols}))

    def number(expr):
        if symbolic:
            return expr
        return mpmath.mpf(int(expr.p)) / int(expr.q) if expr.is_Rational else mpmath.mpf(str(sympy.N(expr, 60)))

    def holds(condition, at):
        if condition in (True, sympy.true, False, sympy.false):
            return bool(condition)
        if isinstance(condition, sympy.And):
            return all(holds(arg, at) for arg in condition.args)
        if isinstance(condition, sympy.Or):
            return any(holds(arg, at) for arg in condition.args)
        if isinstance(condition, sympy.Not):
            return not holds(condition.args[0], at)
        left, right = value(condition.lhs, at), value(condition.rhs, at)
        return bool(getattr(left, f"__{RELATIONS[condition.rel_op]}__")(right))

    for eq in operator.system:
        name = str(eq.lhs.base.label) if isinstance(eq.lhs, Indexed) else str(eq.lhs.name)
        if name in known:
            # A caller may give what follows from other inputs.
            continue
        indices = [str(index.name) for index in eq.lhs.indices] if isinstance(eq.lhs, Indexed) else []
        counts = [sizes[operator.indices[index]] for index in indices]
        known[name] = {
            place: value(eq.rhs, dict(zip(indices, place, strict=True)))
            for place in itertools.product(*map(range, counts))
        }
    return known


def real(number):
    if isinstance(number, mpmath.mpc):
        raise ArithmeticError(f"{number} is not real")
    return number


def places_of(operator, name, sizes):
    sizes = {**operator.fixed_extents, **sizes}
    return list(itertools.product(*(range(sizes[extent]) for extent in operator.arrays.get(name, ()))))


def random_inputs(operator, sizes, seed=0):
    """Numbers for what does not follow from anything: of both signs, or positive where that is not real."""
    for low in (-14, 2):
        rng = random.Random(seed)

        def some(low=low, rng=rng):
            return mpmath.mpf(rng.randrange(low * 997, 14 * 997)) / 9973

        given = {str(eq.lhs.base.label if isinstance(eq.lhs, Indexed) else eq.lhs.name) for eq in operator.given}
        inputs = {}
        for name in operator.inputs:
            if name not in given:
                inputs[name] = {place: some() for place in places_of(operator, name, sizes)}
        for name in operator.scalars:
            inputs[name] = {(): abs(some()) + mpmath.mpf(1) / 7}
        try:
            compute(operator, inputs, sizes)
        except (ArithmeticError, ValueError):
            continue
        return inputs
    raise AssertionError(f"{operator.name}: no inputs found")


def directional(operator, inputs, sizes, directions, weights, order=1):
    """The derivative of <outputs, weights> along a direction in the inputs, by differences with 50 digits."""

    def moved(step):
        now = dict(inputs)
        for name, direction in directions.items():
            now[name] = {place: one + step * direction[place] for place, one in inputs[name].items()}
        values = compute(operator, now, sizes)
        return mpmath.fsum(one * values[name][place] for name, ones in weights.items() for place, one in ones.items())

    return mpmath.diff(moved, 0, order)
