"""The derivative of each function that an equation may use, with respect to each of its arguments.

Conventions where there is none: 0 for sign, floor and ceiling everywhere and for Abs at 0; at a tie of Max or Min
each of the tied arguments has an equal share, but a number has none and takes none (so max(x, 0) has 0 at 0).
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import sympy
from sympy import (
    ITE,
    Add,
    And,
    Max,
    Min,
    Mul,
    Not,
    Or,
    Piecewise,
    Pow,
    Rational,
    cos,
    cosh,
    exp,
    log,
    pi,
    sign,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
)
from sympy.codegen import cfunctions

from symbn.errors import DerivationError

_ZERO, _ONE = sympy.Integer(0), sympy.Integer(1)


def _product(expr: Any, place: int) -> Any:
    return Mul(*(arg for number, arg in enumerate(expr.args) if number != place))


def _power(expr: Any, place: int) -> Any:
    base, exponent = expr.args
    return exponent * Pow(base, exponent - 1) if place == 0 else expr * log(base)


def _extreme(expr: Any, place: int) -> Any:
    """1 where the argument is the largest (smallest), a share where it is one of several, else 0."""
    own = expr.args[place]
    others = [arg for number, arg in enumerate(expr.args) if number != place]
    rest = expr.func(*others)
    beyond, behind = (own > rest, own < rest) if isinstance(expr, Max) else (own < rest, own > rest)
    if rest.is_Number:
        return Piecewise((_ONE, beyond), (_ZERO, True))
    numbers = [arg for arg in others if arg.is_Number]
    flat = [(_ZERO, own <= arg if isinstance(expr, Max) else own >= arg) for arg in numbers]
    rivals = [arg for arg in others if not arg.is_Number]
    # Not Eq: SymPy takes an equation apart where a side is a choice.
    tied = [Piecewise((_ZERO, own < arg), (_ZERO, own > arg), (_ONE, True)) for arg in rivals]
    share = Rational(1, 2) if len(rivals) == 1 else 1 / (1 + Add(*tied))
    result = Piecewise((_ONE, beyond), *flat, (_ZERO, behind), (share, True))
    # SymPy asks a choice within a condition by ITE, which nothing after this knows.
    return result.replace(ITE, lambda asked, then, other: Or(And(asked, then), And(Not(asked), other)))


def _hypot(expr: Any, place: int) -> Any:
    return expr.args[place] / expr


def _atan2(expr: Any, place: int) -> Any:
    y, x = expr.args
    return (x if place == 0 else -y) / (x**2 + y**2)


#: SymPy class -> the derivative of ``expr`` with respect to its argument number ``place``
PARTIALS: MappingProxyType[Any, Callable[[Any, int], Any]] = MappingProxyType(
    {
        Add: lambda expr, place: _ONE,
        Mul: _product,
        Pow: _power,
        exp: lambda expr, place: expr,
        log: lambda expr, place: 1 / expr.args[0],
        sin: lambda expr, place: cos(expr.args[0]),
        cos: lambda expr, place: -sin(expr.args[0]),
        tan: lambda expr, place: 1 + tan(expr.args[0]) ** 2,
        sympy.asin: lambda expr, place: 1 / sqrt(1 - expr.args[0] ** 2),
        sympy.acos: lambda expr, place: -1 / sqrt(1 - expr.args[0] ** 2),
        sympy.atan: lambda expr, place: 1 / (1 + expr.args[0] ** 2),
        sympy.atan2: _atan2,
        sinh: lambda expr, place: cosh(expr.args[0]),
        cosh: lambda expr, place: sinh(expr.args[0]),
        tanh: lambda expr, place: 1 - tanh(expr.args[0]) ** 2,
        sympy.asinh: lambda expr, place: 1 / sqrt(1 + expr.args[0] ** 2),
        sympy.acosh: lambda expr, place: 1 / (sqrt(expr.args[0] - 1) * sqrt(expr.args[0] + 1)),
        sympy.atanh: lambda expr, place: 1 / (1 - expr.args[0] ** 2),
        sympy.erf: lambda expr, place: 2 / sqrt(pi) * exp(-(expr.args[0] ** 2)),
        sympy.erfc: lambda expr, place: -2 / sqrt(pi) * exp(-(expr.args[0] ** 2)),
        sympy.Abs: lambda expr, place: sign(expr.args[0]),
        sympy.floor: lambda expr, place: _ZERO,
        sympy.ceiling: lambda expr, place: _ZERO,
        sign: lambda expr, place: _ZERO,
        Max: _extreme,
        Min: _extreme,
        cfunctions.log1p: lambda expr, place: 1 / (1 + expr.args[0]),
        cfunctions.expm1: lambda expr, place: exp(expr.args[0]),
        cfunctions.exp2: lambda expr, place: expr * log(2),
        cfunctions.log2: lambda expr, place: 1 / (expr.args[0] * log(2)),
        cfunctions.log10: lambda expr, place: 1 / (expr.args[0] * log(10)),
        cfunctions.hypot: _hypot,
    }
)


def partial(expr: Any, place: int) -> Any:
    """The derivative of an expression with respect to one of its arguments, the others held."""
    rule = PARTIALS.get(type(expr))
    if rule is None:
        raise DerivationError(f"'{expr}': there is no derivative of {type(expr).__name__}")
    return rule(expr, place)
