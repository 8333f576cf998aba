"""Factors on the kept indices multiplied out of outputs, so that less is left to do for each element.

    a (b u - c v - d)   is   (a b) u - (a c) v - a d,
    a (x - hi - lo) + b   is   a (x - hi) + (b - a lo),

where a, b, c, d and the mean's two parts are on the kept indices: what is in parentheses on the right is computed once.
The high part stays where it is, subtracted from the sample before anything else: that costs no digits. The low one is
so small that it may come later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from symbn.kernel.groups import Group, Store, Value
from symbn.kernel.ir import Const, Expr, Op, Var
from symbn.kernel.naming import Names

#: a part of a sum, and whether it is subtracted
Term: TypeAlias = tuple[bool, Expr]


def distributed(group: Group, names: Names) -> Group:
    """The group with such factors multiplied out of its outputs on the reduced indices."""
    rewriting = _Distribution(group, names)
    passes = tuple(replace(one, stores=tuple(map(rewriting.store, one.stores))) for one in group.passes)
    values = sorted([*group.values, *rewriting.values.values()], key=lambda value: value.stage)
    return replace(group, passes=passes, values=tuple(values))


class _Distribution:
    def __init__(self, group: Group, names: Names) -> None:
        self.names = names
        self.low = {entry.lo for one in group.passes for entry in one.reductions if entry.mean}
        #: value or part of a reduction -> after which pass it is known
        self.stages = {value.name: value.stage for value in group.values}
        for number, one in enumerate(group.passes, 1):
            self.stages.update((part, number) for entry in one.reductions for part in (entry.hi, entry.lo))
        #: what is computed once -> the value that it is
        self.values: dict[Expr, Value] = {}
        self.equation = 0

    def store(self, store: Store) -> Store:
        self.equation = store.equation
        return replace(store, value=self.rewritten(store.value))

    def rewritten(self, expr: Expr) -> Expr:
        if not isinstance(expr, Op):
            return expr
        expr = Op(expr.name, tuple(map(self.rewritten, expr.args)))
        if expr.name in ("add", "sub"):
            return _sum(self.without_low(list(_terms(expr))))
        match expr:
            case Op("mul", (factor, Op("add" | "sub") as inner)) if _is_fixed(factor):
                terms = list(_terms(inner))
                if all(_is_fixed(term) or _scaled(term) for _, term in terms):
                    return _sum([(minus, self.times(factor, term)) for minus, term in terms])
        return expr

    def times(self, factor: Expr, term: Expr) -> Expr:
        """A term times a factor, which what the term has of its own takes up."""
        if _is_fixed(term):
            return self.once(Op("mul", (factor, term)))
        own, value = term.args  # type: ignore[union-attr]
        return Op("mul", (self.once(Op("mul", (factor, own))), value))

    def without_low(self, terms: list[Term]) -> list[Term]:
        """The low part of a mean taken out of a product and into a term on the kept indices, if there is one."""
        for place, (minus, term) in enumerate(terms):
            fixed = [number for number, (_, other) in enumerate(terms) if _is_fixed(other)]
            if not fixed or not _scaled(term):
                continue
            factor, value = term.args  # type: ignore[union-attr]
            parts = list(_terms(value))
            low = [(sign, part) for sign, part in parts[1:] if self.is_low(part)]
            if low:
                rest = _sum([part for part in parts if part not in low])
                terms[place] = minus, Op("mul", (factor, rest))
                opposite, into = terms[fixed[0]]
                moved = [(sign ^ minus ^ opposite, Op("mul", (factor, part))) for sign, part in low]
                terms[fixed[0]] = opposite, self.once(_sum([(False, into), *moved]))
        return terms

    def is_low(self, expr: Expr) -> bool:
        return isinstance(expr, Var) and expr.name in self.low

    def once(self, expr: Expr) -> Expr:
        """The value of an expression over values on the kept indices."""
        if expr not in self.values:
            name = self.names.stem(f"eq{self.equation}_part")
            stage = max((self.stages.get(part.name, 0) for part in _variables(expr)), default=0)
            self.stages[name] = stage
            self.values[expr] = Value(name, expr, stage, self.equation)
        return Var(self.values[expr].name)


def _is_fixed(expr: Expr) -> bool:
    """Is it on the kept indices? What is has a name, or is a number."""
    return isinstance(expr, Var | Const)


def _scaled(term: Expr) -> bool:
    """Is it something times a factor on the kept indices?"""
    return isinstance(term, Op) and term.name == "mul" and _is_fixed(term.args[0])


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


def _variables(expr: Expr) -> Iterator[Var]:
    if isinstance(expr, Var):
        yield expr
    elif isinstance(expr, Op):
        for arg in expr.args:
            yield from _variables(arg)
