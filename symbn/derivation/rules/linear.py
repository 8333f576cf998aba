"""A gradient is linear in its cotangents: what was found is put in, products and sums are multiplied out."""

from __future__ import annotations

from typing import Any

from sympy import Add, Mul, Piecewise, Sum

from symbn.derivation.expressions import bound_by, indices_of, is_leaf, name_of
from symbn.derivation.program import total
from symbn.derivation.rules import words
from symbn.derivation.rules.context import Context


def substitution(expr: Any, context: Context) -> tuple[Any, str] | None:
    """What was found for a gradient on the way stands in its place, but not inside a choice."""
    names: list[str] = []

    def put(part: Any) -> Any:
        if is_leaf(part):
            name = name_of(part)
            if name not in context.found:
                return part
            target, value = context.found[name]
            names.append(words.math(target))
            places = dict(zip(indices_of(target), indices_of(part), strict=True))
            return context.program.rename(value, places)
        if isinstance(part, Piecewise) or not part.args or not context.marked(part):
            return part
        if isinstance(part, Sum):
            scope = bound_by(part)
            return total(context.program.distinct(put(part.function), scope), scope, context.program)
        return part.func(*map(put, part.args))

    new = put(expr)
    if not names:
        return None
    return new, f"What was found for {words.listed(names)} is put in."


def linearity(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A product with a sum of terms, and a sum of it, are sums of terms."""
    terms = _terms(expr, context)
    if len(terms) == len(Add.make_args(expr)):
        return None
    return Add(*terms), "A product with a sum of terms is multiplied out, and each term is summed by itself."


def _terms(expr: Any, context: Context) -> list[Any]:
    if not context.marked(expr):
        return [expr]
    if isinstance(expr, Add):
        return [term for arg in expr.args for term in _terms(arg, context)]
    if isinstance(expr, Mul):
        (holder,) = [arg for arg in expr.args if context.marked(arg)]
        rest = Mul(*(arg for arg in expr.args if arg is not holder))
        return [rest * term for term in _terms(holder, context)]
    if isinstance(expr, Sum):
        return [total(term, bound_by(expr), context.program) for term in _terms(expr.function, context)]
    return [expr]
