"""What does not vary with an index leaves the sum over it."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Add, Mul, Piecewise, Sum

from symbn.derivation.expressions import Index, bound_by, free, is_leaf
from symbn.derivation.facts import maximal_sums
from symbn.derivation.program import Program, total
from symbn.derivation.rules import words
from symbn.derivation.rules.context import Context


def constant_factor(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A factor that does not vary with an index moves out of the sum over it; sums over different indices part."""
    moved: dict[Index, None] = {}

    def leave(part: Any) -> Any:
        if isinstance(part, Sum):
            # An output's own sum keeps its divisions: of no terms it is 0, whatever they divide by.
            own = context.output and part in Mul.make_args(expr)
            return pull(part.func(leave(part.function), *part.limits), context.program, moved, dividing=not own)
        if is_leaf(part) or not part.args or not part.has(Sum) or isinstance(part, Piecewise):
            return part
        return part.func(*map(leave, part.args))

    new = leave(expr)
    if new == expr:
        return None
    return new, f"Factors that do not vary with {words.indices(tuple(moved))} move out of the sum."


def pull(one: Sum, program: Program, moved: dict[Index, None], *, dividing: bool = True) -> Any:
    """A Sum of a product as a product of sums, each over the indices that its factors vary with."""
    body, over = one.function, bound_by(one)
    if isinstance(body, Sum):
        body, over = body.function, (*over, *bound_by(body))
    groups: list[tuple[set[Index], list[Any]]] = []
    outside: list[Any] = []
    kept: list[Any] = []
    for factor in Mul.make_args(body):
        if isinstance(factor, Add):
            number, factor = program.primitive(factor)
            outside.append(number)
        indices = free(factor) & set(over)
        if not indices:
            (outside if dividing or not _divides(factor) else kept).append(factor)
            continue
        joined, factors = set(indices), [factor]
        for group in [group for group in groups if group[0] & indices]:
            groups.remove(group)
            joined |= group[0]
            factors = [*group[1], *factors]
        groups.append((joined, factors))
    idle = tuple(index for index in over if not any(index in indices for indices, _ in groups))
    outside = [factor for factor in outside if factor != 1]
    if (not outside and len(groups) + bool(idle) < 2) or (not groups and not outside):
        return total(body, over, program)
    moved.update(dict.fromkeys(over))
    if kept and groups:
        groups[0][1].extend(kept)
    else:
        outside += kept
    sums = [total(Mul(*factors), [index for index in over if index in indices], program) for indices, factors in groups]
    return Mul(*outside, *sums, total(sympy.Integer(1), idle, program))


def constant_sum(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A sum of ones counts them."""
    counted = {one: Mul(*(context.program.extent(index) for index in bound_by(one))) for one in maximal_sums(expr)}
    counted = {one: count for one, count in counted.items() if one.function == 1}
    if not counted:
        return None
    parts = [f"{words.math(one)} = {words.math(count)}".replace("$ = $", " = ") for one, count in counted.items()]
    return expr.xreplace(counted), f"A sum of ones counts them: {words.listed(parts)}."


def division_inside(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A sum of no terms is 0, but not once it is divided by a statistic that nothing defines."""
    sums = [factor for factor in Mul.make_args(expr) if isinstance(factor, Sum)]
    if len(sums) != 1 or isinstance(sums[0].function, Add):
        return None
    divisors = [factor for factor in Mul.make_args(expr) if _divides(factor)]
    if not divisors or set(bound_by(sums[0])) & set().union(*map(free, divisors)):
        return None
    rest = Mul(*(factor for factor in Mul.make_args(expr) if factor not in (*sums, *divisors)))
    inside = total(Mul(sums[0].function, *divisors), bound_by(sums[0]), context.program)
    moved = words.listed([words.math(factor) for factor in divisors])
    why = f"{moved} moves inside: then a sum over no samples is 0, whatever stands there."
    return rest * inside, why


def _divides(factor: Any) -> bool:
    """Is it a division by something that a kernel is given or computes, not by an extent?"""
    return bool(factor.is_Pow and factor.exp.could_extract_minus_sign() and free(factor) and not factor.has(Sum))
