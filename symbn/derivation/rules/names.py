"""What has a name in the equations is written by it."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Mul, Piecewise, Sum

from symbn.derivation.expressions import free, is_leaf
from symbn.derivation.rules import words
from symbn.derivation.rules.context import Context


def named_value(expr: Any, context: Context) -> tuple[Any, str] | None:
    """The right side of an equation, or a power of it, is written by its name: ``(s + eps)**(-3/2)`` as ``inv**3``."""
    program = context.program
    for equation in program.assignments:
        if (
            not context.is_read(equation.name)
            or equation.value.is_Mul
            or equation.value.is_Add
            or is_leaf(equation.value)
        ):
            continue
        base, power = equation.value.as_base_exp() if equation.value.is_Pow else (equation.value, sympy.Integer(1))
        for part in _parts(expr):
            own, exponent = part.as_base_exp() if equation.value.is_Pow else (part, sympy.Integer(1))
            if type(own) is not type(base) or not (exponent / power).is_Integer:
                continue
            names = program.match(base, equation.indices, own, free(expr))
            if names is not None:
                name = program.rename(equation.target, names)
                why = f"{words.math(part)} is written by its name: it is {words.math(name ** (exponent / power))}."
                return expr.xreplace({part: name ** (exponent / power)}), why
    return None


def named_product(expr: Any, context: Context) -> tuple[Any, str] | None:
    """Factors that make up the right side of an equation are written by its name: ``(x - mu)*r`` as ``x_hat``."""
    program = context.program
    for equation in program.assignments:
        if not context.is_read(equation.name) or not equation.value.is_Mul or equation.value.has(Sum):
            continue
        wanted = equation.value.as_powers_dict()
        for part in _parts(expr):
            for names in program.renamings(equation.indices, free(part)) if part.is_Mul else ():
                there = part.as_powers_dict()
                factors = {program.rename(base, names): exponent for base, exponent in wanted.items()}
                if all(_holds(there.get(base, 0), exponent) for base, exponent in factors.items()):
                    name = program.rename(equation.target, names)
                    left = Mul(*(base ** (e - factors.get(base, 0)) for base, e in there.items()))
                    why = f"{words.math(program.rename(equation.value, names))} is {words.math(name)}."
                    return expr.xreplace({part: left * name}), why
    return None


def _holds(there: Any, wanted: Any) -> bool:
    """Is a power in a product as large as the one that is wanted, and of its sign?"""
    return bool(there * wanted > 0 and abs(there) >= abs(wanted))


def _parts(expr: Any) -> list[Any]:
    """The parts of an expression, the largest first, but not those of a choice."""
    if is_leaf(expr) or not expr.args or isinstance(expr, Piecewise):
        return []
    args = [expr.function] if isinstance(expr, Sum) else expr.args
    return list(dict.fromkeys([expr, *(part for arg in args for part in _parts(arg))]))
