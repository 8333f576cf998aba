"""Terms that have something in common: a factor, or the conditions that they choose by."""

from __future__ import annotations

from functools import reduce
from typing import Any

import sympy
from sympy import Add, Mul, Piecewise

from symbn.derivation.rules import words
from symbn.derivation.rules.context import Context


def common_factor(expr: Any, context: Context) -> tuple[Any, str] | None:
    """What all terms share, and the extents that any divides by, go in front."""
    terms = Add.make_args(expr)
    if len(terms) < 2:
        return None
    powers = [_powers(term, context) for term in terms]
    front: dict[Any, Any] = {}
    for base in dict.fromkeys(base for one in powers for base in one):
        exponents = [one.get(base, sympy.Integer(0)) for one in powers]
        if base in context.program.extents and min(exponents) < 0:
            front[base] = max(one for one in exponents if one < 0)
        elif all(exponent > 0 for exponent in exponents):
            front[base] = min(exponents)
        elif all(exponent < 0 for exponent in exponents):
            front[base] = max(exponents)
    if not front:
        return None
    numbers = [term.as_coeff_Mul()[0] for term in terms]
    number = reduce(sympy.gcd, numbers) if all(one.is_Rational for one in numbers) else sympy.Integer(1)
    common = Mul(number, *(base**exponent for base, exponent in front.items()))
    inside = []
    for term, one in zip(terms, powers, strict=True):
        left = {
            base: one.get(base, 0) - front.get(base, 0) for base in (*one, *(base for base in front if base not in one))
        }
        marked = [factor for factor in Mul.make_args(term) if context.marked(factor)]
        inside.append(
            Mul(term.as_coeff_Mul()[0] / number, *marked, *(base**exponent for base, exponent in left.items()))
        )
    return Mul(common, Add(*inside)), f"{words.math(common)} is common to all terms."


def _powers(term: Any, context: Context) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for factor in Mul.make_args(term):
        if not context.marked(factor) and not factor.is_Number:
            base, exponent = factor.as_base_exp()
            if not exponent.is_Rational:
                base, exponent = factor, sympy.Integer(1)
            result[base] = result.get(base, sympy.Integer(0)) + exponent
    return result


def same_branches(expr: Any, context: Context) -> tuple[Any, str] | None:
    """Terms that choose by the same conditions are one choice."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for term in Add.make_args(expr):
        if isinstance(term, Piecewise):
            groups.setdefault(tuple(condition for _, condition in term.args), []).append(term)
    merged = {term for terms in groups.values() if len(terms) > 1 for term in terms}
    if not merged:
        return None
    rest = [term for term in Add.make_args(expr) if term not in merged]
    for conditions, terms in groups.items():
        if len(terms) > 1:
            values = [Add(*(term.args[place][0] for term in terms)) for place in range(len(conditions))]
            rest.append(Piecewise(*zip(values, conditions, strict=True)))
    return Add(*rest), "Terms that choose by the same conditions are one choice."
