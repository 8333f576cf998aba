"""What the equations say about sums: ``mu = Sum(x)/m`` is also ``Sum(x) = m*mu``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Add, Mul, Sum

from symbn.derivation.expressions import Assignment, Index, bound_by, free, indices_of, is_leaf, leaves, name_of, reads
from symbn.derivation.program import Program, total
from symbn.equations.reductions import REDUCTIONS


@dataclass(frozen=True)
class Fact:
    """``Sum(body, over) = value``, for every value of the free indices."""

    body: Any
    over: tuple[Index, ...]
    value: Any
    #: the name that the fact is known from
    source: str


class Facts:
    """The sums that are known because something is defined by them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.facts: list[Fact] = []
        #: facts about the single terms of sums whose bodies are products of sums
        self.expanded: list[Fact] = []

    def learn(self, equation: Assignment) -> None:
        """Solve an equation for each Sum in it that has an inverse which is safe to write."""
        for one in maximal_sums(equation.value):
            solved = _solve(equation, one, self.program)
            if solved is not None:
                self._know(Fact(one.function, bound_by(one), solved, equation.name))

    def _know(self, fact: Fact) -> None:
        """Keep a fact, and what it says without constant factors and with elementwise definitions put in."""
        self.facts.append(fact)
        self._expand(fact)
        for body in self._unfolded(fact.body):
            factor, rest = separate(body, fact.over)
            inverse = safe_inverse(factor, self.program)
            if inverse is not None and rest != fact.body:
                self._know(Fact(rest, fact.over, fact.value * inverse, fact.source))

    def _expand(self, fact: Fact) -> None:
        terms = Add.make_args(_multiplied(fact.body))
        if len(terms) < 2:
            return
        unknown, known = [], sympy.Integer(0)
        for term in terms:
            value = self._term(term, fact.over)
            if value is None:
                unknown.append(term)
            else:
                known += value
        if len(unknown) == 1:
            factor, body = separate(unknown[0], fact.over)
            inverse = safe_inverse(factor, self.program)
            if inverse is not None:
                self.expanded.append(Fact(body, fact.over, sympy.expand((fact.value - known) * inverse), fact.source))

    def find(self, one: Sum, *, expanded: bool = False) -> tuple[Any, str] | None:
        """The value of a Sum that some definition knows, and the name of what it defines."""
        for fact in [*self.facts, *(self.expanded if expanded else [])]:
            names = self._match(fact, one)
            if names is not None:
                return self.program.rename(fact.value, names), fact.source
        return None

    def evaluate(self, one: Sum) -> Any | None:
        """A Sum written without sums, where the definitions allow it."""
        found = self.find(one)
        if found is not None:
            return found[0]
        over = bound_by(one)
        for body in self._unfolded(one.function):
            values = [self._term(term, over) for term in Add.make_args(_multiplied(body))]
            if all(value is not None for value in values):
                return sympy.expand(Add(*values)) if len(values) > 1 else values[0]
        return None

    def _unfolded(self, body: Any) -> Iterator[Any]:
        """A body, and the body with elementwise definitions in place of their names."""
        yield body
        names = {}
        for leaf in leaves(body):
            equation = self.program.defined.get(name_of(leaf))
            if equation is not None and not equation.value.has(*REDUCTIONS):
                places = dict(zip(equation.indices, indices_of(leaf), strict=True))
                names[leaf] = self.program.rename(equation.value, places)
        if names:
            yield body.xreplace(names)

    def _term(self, term: Any, over: tuple[Index, ...]) -> Any | None:
        """The sum of a product: its constant factors times a sum that is known."""
        factor, body = separate(term, over)
        inside = [index for index in over if index in free(body)]
        for index in over:
            if index not in inside:
                factor *= self.program.extent(index)
        if not inside:
            return factor * body
        found = self.find(total(body, inside, self.program), expanded=True)
        return None if found is None else factor * found[0]

    def _match(self, fact: Fact, one: Sum) -> dict[Index, Index] | None:
        """The renaming of indices that makes a fact speak of this Sum."""
        over, outside = bound_by(one), free(fact.body) - set(fact.over)
        if (len(over), len(outside)) != (len(fact.over), len(free(one))) or reads(fact.body) != reads(one.function):
            return None
        for kept in self.program.renamings(sorted(outside, key=str), free(one)):
            for bound in self.program.renamings(fact.over, over):
                if self.program.rename(fact.body, {**kept, **bound}) == one.function:
                    return kept
        return None


def maximal_sums(expr: Any) -> list[Sum]:
    """The sums in an expression that are within no other, each once, in order."""
    if isinstance(expr, Sum):
        return [expr]
    return list(dict.fromkeys(one for arg in expr.args for one in maximal_sums(arg))) if not is_leaf(expr) else []


def separate(term: Any, over: tuple[Index, ...]) -> tuple[Any, Any]:
    """A product as what does not vary with some indices, and what does."""
    factors = Mul.make_args(term)
    inside = [factor for factor in factors if free(factor) & set(over)]
    return Mul(*(factor for factor in factors if factor not in inside)), Mul(*inside)


def safe_inverse(factor: Any, program: Program) -> Any | None:
    """1/factor where that divides by nothing which could be 0, and makes nothing larger than it was."""
    for base, exponent in factor.as_powers_dict().items():
        if not exponent.is_Rational:
            return None
        if exponent.is_negative or base in program.extents or base.is_positive or (base.is_Number and base != 0):
            continue
        # A name for a reciprocal is no more zero than a reciprocal is.
        equation = program.defined.get(name_of(base)) if is_leaf(base) else None
        if equation is None or not equation.value.is_Pow or not equation.value.exp.is_negative:
            return None
    return 1 / factor


def _solve(equation: Assignment, one: Sum, program: Program) -> Any | None:
    """What an equation that is a multiple of a Sum says about it. A difference is not solved: it would cancel."""
    factors = list(Mul.make_args(equation.value))
    if factors.count(one) != 1:
        return None
    factors.remove(one)
    factor = Mul(*factors)
    inverse = safe_inverse(factor, program)
    if inverse is None or factor.has(one) or not set(equation.indices) <= free(one):
        return None
    return equation.target * inverse


def _multiplied(expr: Any) -> Any:
    """The expression with products and whole powers of sums written out."""
    off = dict.fromkeys(("power_exp", "power_base", "log", "basic", "func", "trig", "complex"), False)
    return sympy.expand(expr, deep=False, **off)
