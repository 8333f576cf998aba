"""The low part of a mean taken out of what is done for each element, where a value on the kept indices can take it up.

    a (x - hi - lo) + b   is   a (x - hi) + (b - a lo),

where a, b and the mean's two parts are on the kept indices, and b - a lo is computed once. The high part stays where it
is, subtracted from the sample before anything else: that costs no digits. The low one is so small that it may come
later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from symbn.kernel.groups import Group, Hoist, Store
from symbn.kernel.ir import Const, Expr, Op, Var
from symbn.kernel.naming import Names

#: a part of a sum, and whether it is subtracted
Term: TypeAlias = tuple[bool, Expr]


def low_parts_moved(group: Group, names: Names) -> Group:
    """The group with low parts taken out of its outputs on the reduced indices."""
    hoist = Hoist.of(group, names)
    low = frozenset(entry.lo for one in group.passes for entry in one.reductions if entry.mean)

    def moved(store: Store) -> Store:
        return replace(store, value=_moved(store.value, low, lambda expr: Var(hoist.value(expr, store.equation))))

    passes = tuple(replace(one, stores=tuple(map(moved, one.stores))) for one in group.passes)
    return replace(group, passes=passes, values=tuple(sorted(hoist.values, key=lambda value: value.stage)))


def _moved(expr: Expr, low: frozenset[str], once: Callable[[Expr], Expr]) -> Expr:
    """The expression with low parts in the first addend on the kept indices; ``once`` names what is computed once."""
    if not isinstance(expr, Op):
        return expr
    terms = list(_terms(Op(expr.name, tuple(_moved(arg, low, once) for arg in expr.args))))
    into = next((place for place, (_, term) in enumerate(terms) if _is_fixed(term)), None)
    for place, (minus, term) in enumerate(terms):
        left, taken = _without(term, low)
        if into is not None and taken:
            terms[place] = minus, left
            opposite, fixed = terms[into]
            terms[into] = (
                opposite,
                once(_sum([(False, fixed), *((sign ^ minus ^ opposite, part) for sign, part in taken)])),
            )
    return _sum(terms)


def _without(term: Expr, low: frozenset[str]) -> tuple[Expr, list[Term]]:
    """A product with a factor on the kept indices, without low parts, and these times the factor."""
    match term:
        case Op("mul", (factor, value)) if _is_fixed(factor):
            first, *rest = _terms(value)
            parts = [one for one in rest if isinstance(one[1], Var) and one[1].name in low]
            left = _sum([first, *(one for one in rest if one not in parts)])
            return Op("mul", (factor, left)), [(sign, Op("mul", (factor, part))) for sign, part in parts]
    return term, []


def _is_fixed(expr: Expr) -> bool:
    """Is it on the kept indices? What is has a name, or is a number."""
    return isinstance(expr, Var | Const)


def _terms(expr: Expr) -> Iterator[Term]:
    """What a sum adds up, from left to right."""
    match expr:
        case Op("add" | "sub" as name, (first, second)):
            yield from _terms(first)
            yield name == "sub", second
        case _:
            yield False, expr


def _sum(terms: Iterable[Term]) -> Expr:
    (_, result), *rest = terms
    for minus, term in rest:
        result = Op("sub" if minus else "add", (result, term))
    return result
