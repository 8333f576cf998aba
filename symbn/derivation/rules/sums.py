"""Sums that the equations, or another output, know already."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Add, Sum

from symbn.derivation.expressions import bound_by, free, is_leaf, leaves, name_of, reads
from symbn.derivation.facts import maximal_sums
from symbn.derivation.program import total
from symbn.derivation.rules import words
from symbn.derivation.rules.constants import pull
from symbn.derivation.rules.context import Context
from symbn.equations import notation


def vanishing_sum(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A sum without a cotangent that the definitions make zero, such as that of deviations from a mean."""
    for one in _unmarked_sums(expr, context):
        if context.facts.evaluate(one) == 0:
            return expr.xreplace({one: sympy.Integer(0)}), _why_zero(one, context)
    return None


def _why_zero(one: Sum, context: Context) -> str:
    """Why a sum vanishes, spelled out term by term."""
    over, terms = bound_by(one), Add.make_args(one.function)
    sums = [total(term, over, context.program) for term in terms]
    values = [context.facts.evaluate(term) for term in sums]
    means = [-term for term in terms if is_leaf(-term) and not free(term) & set(over)]
    what = f"This sum is zero, by the definition of {words.listed(_sources(one, context))}"
    if len(terms) == 2 and means:
        what = f"The deviations from {words.math(means[0])} sum to zero, by its definition"
    what += ", so that the term with this factor is gone"
    if len(terms) < 2 or any(value is None for value in values):
        return f"{what}: {words.math(one)} is 0."
    steps = [words.signed([pull(part, context.program, {}) for part in sums]), words.signed(values)]
    return f"{what}: ${' = '.join([notation.tex(one), *steps, '0'])}$."


def _sources(one: Sum, context: Context) -> list[str]:
    names = [name for name in context.program.defined if name in reads(one)]
    return [words.math(context.program.leaf(name)) for name in names] or ["its terms"]


def known_sum(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A sum without a cotangent that some definition knows: the sum of x is m times its mean."""
    for one in _unmarked_sums(expr, context):
        value = context.facts.evaluate(one)
        if value is not None and value != one:
            found = context.facts.find(one)
            why = (
                f"by the definition of {words.math(context.program.leaf(found[1]))}" if found else "by the definitions"
            )
            return expr.xreplace({one: value}), f"{words.math(one)} is known, {why}: it is {words.math(value)}."
    return None


def _unmarked_sums(expr: Any, context: Context) -> list[Sum]:
    if not context.marked(expr):
        return maximal_sums(expr)
    if is_leaf(expr):
        return []
    args = [expr.function] if isinstance(expr, Sum) else expr.args
    return list(dict.fromkeys(one for arg in args for one in _unmarked_sums(arg, context)))


def shared_reduction(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A sum that an output holds already is read from there."""
    for one in maximal_sums(expr):
        found = context.shared.find(one)
        if found is not None:
            holders = [words.math(leaf) for leaf in leaves(found[0]) if name_of(leaf) == found[1]]
            already = words.listed(holders or [found[1]])
            why = f"{words.math(one)} has been summed for {already} already: it equals {words.math(found[0])}."
            return expr.xreplace({one: found[0]}), why
    return None
