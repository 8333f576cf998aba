"""Operators to lower, and the equations' own value of them: the independent side of each comparison."""

from __future__ import annotations

import itertools
import math
import random
import runpy
from fractions import Fraction
from pathlib import Path

import pytest
import sympy
from sympy import Idx, Indexed, Product, Sum, Symbol

from symbn import ReduceMax, ReduceMin, catalogue
from symbn.equations import functions
from symbn.equations.names import identifier
from symbn.kernel import interpreter, nest

USERS = runpy.run_path(str(Path(__file__).with_name("user_operators.py")))["OPERATORS"]
OPERATORS = {**{name: catalogue.load(name)[0] for name in catalogue.names()}, **USERS}


def pytest_generate_tests(metafunc):
    """Each test that takes ``operator`` runs on every shipped operator and every user's."""
    if "operator" in metafunc.fixturenames:
        metafunc.parametrize("operator", OPERATORS.values(), ids=OPERATORS)


@pytest.fixture(autouse=True)
def few_first_terms(monkeypatch):
    """A shift is the mean of two terms: for some features near the mean of all, for others not."""
    monkeypatch.setattr(nest, "START", 2)


@pytest.fixture(scope="session")
def operators():
    return OPERATORS


@pytest.fixture(scope="session")
def evaluate():
    """The equations on the inputs that ``draw`` gives; kept, as several programs are compared with each."""
    known = {}

    def evaluate(operator, arrays, scalars, sizes):
        key = (operator.name, tuple(sorted(sizes.items())))
        if operator.name not in OPERATORS:
            return Equations(operator, arrays, scalars, sizes)
        if key not in known:
            known[key] = Equations(operator, arrays, scalars, sizes)
        return known[key]

    return evaluate


@pytest.fixture(scope="session")
def draw():
    return random_inputs


@pytest.fixture(scope="session")
def interpret():
    return run_program


# ---- the equations, evaluated as they are written -------------------------------------------------------


class Equations:
    """Evaluates an operator's equations over exact rationals: a reduction is a Python loop, nothing is shared.

    ``sizes`` gives a number for each extent; arrays are dicts from a tuple of places, counted from 0.
    """

    def __init__(self, operator, arrays, scalars, sizes):
        self.sizes = {**operator.fixed_extents, **sizes}
        self.arrays = {name: dict(elements) for name, elements in arrays.items()}
        self.scalars = dict(scalars)
        self.operator = operator
        for eq in operator.equations:
            self.define(eq)

    def output(self, name):
        return self.arrays[name]

    def define(self, eq):
        if not isinstance(eq.lhs, Indexed):
            value = self.value(eq.rhs, {})
            self.scalars[eq.lhs.name] = value
            self.arrays[eq.lhs.name] = {(): value}
            return
        names = [index.name for index in eq.lhs.indices]
        extents = [self.sizes[self.operator.indices[name]] for name in names]
        self.arrays[str(eq.lhs.base.label)] = {
            place: self.value(eq.rhs, dict(zip(names, place, strict=True)))
            for place in itertools.product(*map(range, extents))
        }

    def value(self, expr, at):
        if isinstance(expr, Indexed):
            return self.arrays[str(expr.base.label)][tuple(at[index.name] for index in expr.indices)]
        if isinstance(expr, Sum | Product | ReduceMax | ReduceMin):
            names = [limit[0].name for limit in expr.limits]
            counts = [int((limit[2] - limit[1] + 1).subs(self.symbols())) for limit in expr.limits]
            places = itertools.product(*map(range, counts))
            terms = [self.value(expr.function, {**at, **dict(zip(names, place, strict=True))}) for place in places]
            if isinstance(expr, ReduceMax):
                return max(terms, default=-math.inf)
            if isinstance(expr, ReduceMin):
                return min(terms, default=math.inf)
            return sum(terms, Fraction(0)) if isinstance(expr, Sum) else math.prod(terms, start=Fraction(1))
        if isinstance(expr, Symbol) and not isinstance(expr, Idx):
            return self.scalars[expr.name] if expr.name in self.scalars else Fraction(self.sizes[expr.name])
        if expr.is_Rational:
            return Fraction(int(expr.p), int(expr.q))
        if expr.is_Float:
            return Fraction(float(expr))
        if expr.is_NumberSymbol:
            digits = sympy.Rational(expr.evalf(50))
            return Fraction(int(digits.p), int(digits.q))
        if expr.is_Add:
            return sum((self.value(arg, at) for arg in expr.args), Fraction(0))
        if expr.is_Mul:
            return math.prod((self.value(arg, at) for arg in expr.args), start=Fraction(1))
        if expr.is_Pow:
            return self.power(self.value(expr.base, at), expr.exp, at)
        if isinstance(expr, sympy.Piecewise):
            return next(self.value(value, at) for value, condition in expr.args if self.holds(condition, at))
        args = [self.value(arg, at) for arg in expr.args]
        exact = {sympy.Abs: abs, sympy.Max: max, sympy.Min: min, sympy.sign: lambda a: Fraction((a > 0) - (a < 0))}
        if type(expr) in exact:
            function = exact[type(expr)]
            return function(*args) if len(args) == 1 else function(args)
        return interpreter.stand_in(functions.ELEMENTWISE[type(expr)], *args)

    def power(self, base, exponent, at):
        """Integer powers exactly, halves through a stand-in for the root, negative ones by division."""
        if exponent.is_number and exponent < 0:
            return 1 / self.power(base, -exponent, at)
        if exponent.is_Integer:
            return base ** int(exponent)
        if exponent.is_Rational and exponent.q == 2:
            return base ** (int(exponent.p) // 2) * interpreter.stand_in("sqrt", base)
        return interpreter.stand_in("pow", base, self.value(exponent, at))

    def holds(self, condition, at):
        if condition in (True, sympy.true):
            return True
        if isinstance(condition, sympy.And):
            return all(self.holds(arg, at) for arg in condition.args)
        if isinstance(condition, sympy.Or):
            return any(self.holds(arg, at) for arg in condition.args)
        if isinstance(condition, sympy.Not):
            return not self.holds(condition.args[0], at)
        left, right = self.value(condition.lhs, at), self.value(condition.rhs, at)
        compare = {"lt": "__lt__", "le": "__le__", "gt": "__gt__", "ge": "__ge__", "eq": "__eq__", "ne": "__ne__"}
        return getattr(left, compare[functions.RELATIONS[type(condition)]])(right)

    def symbols(self):
        return {
            symbol: self.sizes[symbol.name]
            for eq in self.operator.equations
            for symbol in eq.free_symbols
            if isinstance(symbol, Symbol) and symbol.name in self.sizes
        }


def random_inputs(operator, sizes, seed=0):
    """Rationals for every input: different from each other, of both signs for arrays, positive for scalars."""
    rng = random.Random(seed)
    sizes = {**operator.fixed_extents, **sizes}
    arrays = {}
    for name in operator.inputs:
        if name in operator.arrays:
            extents = [sizes[extent] for extent in operator.arrays[name]]
            arrays[name] = {
                place: Fraction(rng.randrange(-99, 100), rng.choice((1, 2, 3)))
                for place in itertools.product(*map(range, extents))
            }
    # A sum of weights is a divisor: keep those of rank 1 positive.
    for elements in arrays.values():
        if all(len(place) == 1 for place in elements):
            elements.update({place: abs(value) + 1 for place, value in elements.items()})
    scalars = {name: Fraction(rng.randrange(1, 20), 7) for name in operator.scalars}
    return arrays, scalars


# ---- the program, run by the interpreter ----------------------------------------------------------------


def run_program(operator, program, arrays, scalars, sizes, splits=None, *, alternative):
    """Run a program; returns each output keyed by index places.

    ``splits`` gives the inner part's size of an extent that has two loop levels (its size, if not given).
    """
    sizes = {**operator.fixed_extents, **sizes}
    parts = dict(program.extents)
    inner = {extent: (splits or {}).get(extent, sizes[extent]) for extent in parts}
    level_sizes = {}
    for extent, levels in parts.items():
        if len(levels) == 1:
            level_sizes[levels[0]] = sizes[extent]
        else:
            assert inner[extent] == 0 or sizes[extent] % inner[extent] == 0
            level_sizes[levels[0]] = sizes[extent] // inner[extent] if inner[extent] else 1
            level_sizes[levels[1]] = inner[extent]

    def key(name, place):
        result = []
        for index, position in zip(operator.written[name], place, strict=True):
            extent = operator.indices[index]
            result += divmod(position, inner[extent]) if len(parts[extent]) == 2 else [position]
        return tuple(result)

    memory = {
        identifier(name): {key(name, place): value for place, value in elements.items()}
        for name, elements in arrays.items()
    }
    for name in operator.outputs:
        memory[identifier(name)] = {}
    numbers = {identifier(name): value for name, value in scalars.items()}
    interpreter.run(program, memory, numbers, level_sizes, alternative=alternative)
    result = {}
    for name in operator.outputs:
        extents = [sizes[extent] for extent in operator.arrays[name]]
        places = itertools.product(*map(range, extents))
        found = memory[identifier(name)]
        result[name] = {place: found.pop(key(name, place), None) for place in places}
        assert not found, f"{name}: elements outside of the array were written: {sorted(found)}"
    return result
