"""The low part of a mean taken out of what is done for each element, where a value on the kept indices can take it up.

    a (x - hi - lo) + b   is   a (x - hi) + (b - a lo),

where a, b and the mean's two parts are on the kept indices, and b - a lo is computed once. The high part stays where it
is, subtracted from the sample before anything else: that costs no digits. The low one is so small that it may come
later.
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


def low_parts_moved(group: Group, names: Names) -> Group:
    """The group with low parts taken out of its outputs on the reduced indices."""
    moving = _Moving(group, names)
    passes = tuple(replace(one, stores=tuple(map(moving.store, one.stores))) for one in group.passes)
    values = sorted([*group.values, *moving.values.values()], key=lambda value: value.stage)
    return replace(group, passes=passes, values=tuple(values))


class _Moving:
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
        return replace(store, value=self.moved(store.value))

    def moved(self, expr: Expr) -> Expr:
        if not isinstance(expr, Op):
            return expr
        expr = Op(expr.name, tuple(map(self.moved, expr.args)))
        terms = list(_terms(expr))
        into = next((place for place, (_, term) in enumerate(terms) if _is_fixed(term)), None)
        if into is None:
            return expr
        for place, (minus, term) in enumerate(terms):
            match term:
                case Op("mul", (factor, value)) if _is_fixed(factor):
                    first, *rest = _terms(value)
                    low = [(sign, part) for sign, part in rest if isinstance(part, Var) and part.name in self.low]
                    if low:
                        left = _sum([first, *(part for part in rest if part not in low)])
                        terms[place] = minus, Op("mul", (factor, left))
                        opposite, fixed = terms[into]
                        taken = [(sign ^ minus ^ opposite, Op("mul", (factor, part))) for sign, part in low]
                        terms[into] = opposite, self.once(_sum([(False, fixed), *taken]))
        return _sum(terms)

    def once(self, expr: Expr) -> Expr:
        """The value of an expression over values on the kept indices."""
        if expr not in self.values:
            name = self.names.stem(f"eq{self.equation}_part")
            self.stages[name] = max((self.stages.get(part.name, 0) for part in _variables(expr)), default=0)
            self.values[expr] = Value(name, expr, self.stages[name], self.equation)
        return Var(self.values[expr].name)


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


def _variables(expr: Expr) -> Iterator[Var]:
    if isinstance(expr, Var):
        yield expr
    elif isinstance(expr, Op):
        for arg in expr.args:
            yield from _variables(arg)
