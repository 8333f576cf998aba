"""Equations evaluated in exact rational arithmetic, at small extents.

Every number is a Fraction. A value of a root or another irrational function is the rational number next to it
with 256 bits; all arithmetic on it is exact again, and equal arguments give equal values. Derivatives are taken
with dual numbers, which share nothing with the rules that they prove.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import mpmath
import sympy
from sympy import Derivative, Indexed, Piecewise

from symbn.derivation.expressions import Assignment, bound_by, free, indices_of, is_leaf, name_of
from symbn.derivation.program import Program
from symbn.equations import constants, functions
from symbn.equations.reductions import REDUCTIONS, is_reduction
from symbn.errors import DerivationError

PRECISION = 256
#: a value beyond 2 to this power takes no part: exact arithmetic with it would take for ever
_EXPONENT = 1000
#: where a function's value took part, two numbers are the same that differ by less than this times its magnitude
TOLERANCE = Fraction(1, 2**96)

#: stands among the branches that were taken for several terms that are the maximum
TIE = -1

Place = tuple[int, ...]
Values = dict[str, dict[Place, Any]]


class OutsideDomainError(ArithmeticError):
    """A function was asked for a value that is not real, or a number was divided by zero."""


@dataclass(frozen=True)
class Number:
    """A rational number and its derivative.

    ``noise`` and ``drift`` are the magnitudes, in value and in derivative, of what came from a function that is
    not rational, which is rounded; 0 where all is exact.
    """

    value: Fraction
    slope: Fraction = Fraction(0)
    noise: float = 0.0
    drift: float = 0.0

    def __add__(self, other: Number) -> Number:
        noise, drift = self.noise + other.noise, self.drift + other.drift
        return Number(self.value + other.value, self.slope + other.slope, noise, drift)

    def __mul__(self, other: Number) -> Number:
        slope = self.slope * other.value + self.value * other.slope
        noise = drift = 0.0
        for one, two in ((self, other), (other, self)):
            if one.noise or one.drift:
                noise += one.noise * _size(two.value)
                drift += one.drift * _size(two.value) + one.noise * _size(two.slope)
        return Number(self.value * other.value, slope, noise, drift)

    def through(self, value: Fraction, slope: Fraction, *, rounded: bool) -> Number:
        """A function of this number, from its value and its own derivative."""
        noise = drift = 0.0
        if self.noise or self.drift or rounded:
            steep = _size(slope)
            noise = steep * self.noise + (_size(value) if rounded else 0.0)
            drift = steep * (self.drift + (_size(self.slope) if rounded or self.noise else 0.0))
        return Number(value, slope * self.slope, noise, drift)

    def reciprocal(self) -> Number:
        if self.value == 0:
            raise OutsideDomainError("a division by zero")
        return self.through(1 / self.value, -1 / self.value**2, rounded=False)

    def whole_power(self, exponent: int) -> Number:
        if exponent < 0:
            return self.whole_power(-exponent).reciprocal()
        if exponent == 0:
            return Number(Fraction(1))
        return self.through(self.value**exponent, exponent * self.value ** (exponent - 1), rounded=False)


def _size(number: Fraction) -> float:
    try:
        return abs(float(number))
    except OverflowError:
        raise OutsideDomainError("a number that is too large") from None


def close(one: Fraction, other: Fraction, noise: float) -> bool:
    """Are two numbers the same: exactly, or but for the rounding of functions of that magnitude."""
    return one == other or (noise > 0 and abs(one - other) <= TOLERANCE * Fraction(noise))


_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    name: getattr(operator, name) for name in ("lt", "le", "gt", "ge", "eq", "ne")
}


class Evaluator:
    """Evaluates expressions of a program at given extents and values."""

    def __init__(self, program: Program, extents: Mapping[Any, int], values: Values) -> None:
        self.program = program
        self.extents = extents
        #: name -> place -> Number; a scalar's place is ()
        self.values = values
        #: are slopes asked for? Then a root at 0 has no value either
        self.differentiating = False
        #: (choice, number of the branch) for each branch that was taken; (maximum, TIE) where terms were equal
        self.taken: set[tuple[Any, int]] = set()
        #: reductions at the places where they have been evaluated, while the values stay as they are
        self._reduced: dict[Any, Number] = {}
        self._known: dict[tuple[tuple[Any, ...], Fraction], tuple[Fraction, Fraction]] = {}

    def size(self, index: Any) -> int:
        extent = self.program.extent(index)
        return int(extent) if extent.is_Integer else self.extents[extent]

    def places(self, leaf: Any) -> list[Place]:
        """All places of an array."""
        return list(product(*(range(self.size(index)) for index in indices_of(leaf))))

    def assign(self, equation: Assignment) -> None:
        """Compute what an equation defines."""
        self.values[equation.name] = self.all(equation.target, equation.value)
        self._reduced.clear()

    def all(self, target: Any, value: Any) -> dict[Place, Number]:
        """An expression at every place of what it is the value of."""
        return {place: self(value, dict(zip(indices_of(target), place, strict=True))) for place in self.places(target)}

    def __call__(self, expr: Any, at: Mapping[Any, int]) -> Number:
        if isinstance(expr, Indexed):
            return self._read(expr, tuple(self._at(index, at, expr) for index in expr.indices))
        if is_leaf(expr):
            if expr in self.extents:
                return Number(Fraction(self.extents[expr]))
            return self._read(expr, ())
        if expr.is_Number or expr.is_NumberSymbol:
            constant = constants.fraction(expr, digits=90)
            return Number(constant, noise=_size(constant) if expr.is_NumberSymbol else 0.0)
        if is_reduction(expr):
            key = (expr, *((index, at.get(index)) for index in free(expr)))
            if key not in self._reduced:
                self._reduced[key] = self._reduction(expr, at)
            return self._reduced[key]
        if isinstance(expr, Derivative):
            return self._derivative(expr, at)
        if isinstance(expr, Piecewise):
            for arm, (value, condition) in enumerate(expr.args):
                if self._holds(condition, at):
                    self.taken.add((expr, arm))
                    return self(value, at)
            raise OutsideDomainError("no branch of a Piecewise holds")
        if expr.is_Add or expr.is_Mul:
            result = self(expr.args[0], at)
            for arg in expr.args[1:]:
                value = self(arg, at)
                result = result + value if expr.is_Add else result * value
            return result
        if expr.is_Pow:
            return self._power(expr, at)
        return self._function(expr, [self(arg, at) for arg in expr.args])

    def _reduction(self, expr: Any, at: Mapping[Any, int]) -> Number:
        over, name = bound_by(expr), REDUCTIONS[type(expr)]
        if any((low, high) != (1, self.program.extent(index)) for index, low, high in expr.limits):
            raise DerivationError(f"'{expr}': goes over something else than all values of its indices")
        places = product(*(range(self.size(index)) for index in over))
        terms = [self(expr.function, {**at, **dict(zip(over, place, strict=True))}) for place in places]
        if name in ("max", "min"):
            result = _extreme(name, terms, terms)
            if sum(term.value == result.value for term in terms) > 1:
                self.taken.add((expr, TIE))
            return result
        result = Number(Fraction(name == "prod"))
        for term in terms:
            result = result * term if name == "prod" else result + term
        return result

    def _read(self, leaf: Any, place: Place) -> Number:
        number: Number = self.values[name_of(leaf)][place]
        return number

    def _at(self, index: Any, at: Mapping[Any, int], leaf: Any) -> int:
        if index not in at:
            raise DerivationError(f"'{leaf}': the index {index} is neither on the left side nor bound by a reduction")
        return at[index]

    def _holds(self, condition: Any, at: Mapping[Any, int]) -> bool:
        if condition in (sympy.true, sympy.false, True, False):
            return bool(condition)
        if isinstance(condition, sympy.And | sympy.Or):
            every = [self._holds(arg, at) for arg in condition.args]
            return all(every) if isinstance(condition, sympy.And) else any(every)
        if isinstance(condition, sympy.Not):
            return not self._holds(condition.args[0], at)
        relation = _RELATIONS[functions.RELATIONS[type(condition)]]
        return relation(self(condition.lhs, at).value, self(condition.rhs, at).value)

    def _derivative(self, expr: Derivative, at: Mapping[Any, int]) -> Number:
        """The derivative of an element by its own equation, with respect to one element that it reads."""
        (moved, _), equation = expr.variable_count[0], self.program.defined[name_of(expr.expr)]
        name, place = name_of(moved), tuple(at[index] for index in indices_of(moved))
        before = self.values[name][place]
        self.values[name][place] = Number(before.value, Fraction(1), before.noise)
        self._reduced, kept = {}, self._reduced
        asked, self.differentiating = self.differentiating, True
        there = dict(zip(equation.indices, (at[index] for index in indices_of(expr.expr)), strict=True))
        try:
            found = self(equation.value, there)
        finally:
            self.values[name][place], self._reduced, self.differentiating = before, kept, asked
        return Number(found.slope, noise=found.drift)

    def _power(self, expr: Any, at: Mapping[Any, int]) -> Number:
        base = self(expr.base, at)
        if expr.exp.is_Integer:
            return base.whole_power(int(expr.exp))
        exponent = self(expr.exp, at)
        if base.value < 0 or (base.value == 0 and exponent.value <= 0):
            raise OutsideDomainError(f"the power {exponent.value} of {base.value}")
        if base.value == 0:
            if self.differentiating and exponent.value <= 1:
                raise OutsideDomainError(f"the slope of the power {exponent.value} at 0")
            return Number(Fraction(0), noise=base.noise)
        if expr.exp.is_Rational:
            # A root, and whole powers of it: root**2 is the number itself but for the root's last bit.
            root = self._value(("root", int(expr.exp.q)), base.value, lambda v: mpmath.root(v, int(expr.exp.q)))
            return base.through(*root, rounded=True).whole_power(int(expr.exp.p))
        log = base.through(*self._value(("log",), base.value, mpmath.log), rounded=True)
        inner = exponent * log
        return inner.through(*self._value(("exp",), inner.value, mpmath.exp), rounded=True)

    def _function(self, expr: Any, args: list[Number]) -> Number:
        name = functions.ELEMENTWISE[type(expr)]
        if name in ("max", "min"):
            moving = [value for arg, value in zip(expr.args, args, strict=True) if not arg.is_Number]
            return _extreme(name, args, moving)
        (value, *_) = args
        if name == "fabs":
            sign = Fraction((value.value > 0) - (value.value < 0))
            return value.through(abs(value.value), sign, rounded=False)
        if name == "sign":
            return Number(Fraction((value.value > 0) - (value.value < 0)))
        if name in ("floor", "ceil"):
            return Number(Fraction(value.value // 1 if name == "floor" else -(-value.value // 1)))
        if len(args) == 2:
            return self._of_two(name, *args)
        function = _MPMATH.get(name) or getattr(mpmath, name)
        return value.through(*self._value((name,), value.value, function), rounded=True)

    def _of_two(self, name: str, one: Number, two: Number) -> Number:
        """atan2 or hypot: its slope along each argument, away from the cut of the former."""
        if one.value == two.value == 0:
            raise OutsideDomainError(f"{name} of 0 and 0")
        first, second = one.value, two.value
        if name == "hypot":
            along = [lambda v: mpmath.hypot(v, _mp(second)), lambda v: mpmath.hypot(_mp(first), v)]
        elif second != 0:
            along = [lambda v: mpmath.atan(v / _mp(second)), lambda v: mpmath.atan(_mp(first) / v)]
        else:
            along = [lambda v: -mpmath.atan(_mp(second) / v), lambda v: -mpmath.atan(v / _mp(first))]
        both = {"atan2": mpmath.atan2, "hypot": mpmath.hypot}[name]
        value, _ = self._value((name, second), first, lambda v: both(v, _mp(second)), slope=along[0])
        _, slope_one = self._value((name, "first", second), first, along[0])
        _, slope_two = self._value((name, "second", first), second, along[1])
        moved = one.through(Fraction(0), slope_one, rounded=True) + two.through(Fraction(0), slope_two, rounded=True)
        return Number(value, moved.slope, moved.noise + _size(value), moved.drift)

    def _value(
        self,
        name: tuple[Any, ...],
        at: Fraction,
        function: Callable[[Any], Any],
        slope: Callable[[Any], Any] | None = None,
    ) -> tuple[Fraction, Fraction]:
        """A function's value, and the slope of it or of another function, as rational numbers next to them."""
        known = self._known.get((name, at))
        if known is None:
            with mpmath.workprec(PRECISION):
                try:
                    found = function(_mp(at)), mpmath.diff(slope or function, _mp(at))
                except (ValueError, ZeroDivisionError, OverflowError) as error:
                    raise OutsideDomainError(f"{name[0]} of {at}") from error
                known = self._known[name, at] = _fraction(found[0], name[0]), _fraction(found[1], name[0])
        return known


def _extreme(name: str, args: list[Number], moving: list[Number]) -> Number:
    """The maximum or minimum: at a tie with a number it has no slope, else that of all tied in equal shares."""
    best = (max if name == "max" else min)(arg.value for arg in args)
    tied = [arg for arg in args if arg.value == best]
    flat = len(tied) > sum(arg.value == best for arg in moving)
    slope = Fraction(0) if flat else sum((arg.slope for arg in tied), Fraction(0)) / len(tied)
    return Number(best, slope, max(arg.noise for arg in args), max(arg.drift for arg in args))


_MPMATH: dict[str, Callable[[Any], Any]] = {
    "log1p": mpmath.log1p,
    "expm1": mpmath.expm1,
    "exp2": lambda v: mpmath.power(2, v),
    "log2": lambda v: mpmath.log(v, 2),
    "log10": mpmath.log10,
}


def _mp(value: Fraction) -> Any:
    return mpmath.mpf(value.numerator) / value.denominator


def _fraction(value: Any, name: str) -> Fraction:
    if isinstance(value, mpmath.mpc) and value.imag == 0:
        value = value.real
    if isinstance(value, mpmath.mpc) or not mpmath.isfinite(value):
        raise OutsideDomainError(f"{name} is not real there")
    sign, mantissa, exponent, _ = value._mpf_
    if abs(int(exponent)) > _EXPONENT:
        raise OutsideDomainError(f"{name} is too large or too small a number there")
    number = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -number if sign else number
