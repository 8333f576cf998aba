"""Products, maxima and minima over indices: each alone in an equation, over a name, with its derivative.

A maximum shares its gradient equally among the terms that are equal to it. Floating point must find these, so that a
term and the maximum may not be computed in two ways: terms without a name get one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import sympy
from sympy import And, Eq, IndexedBase, Piecewise, Product, Sum, Symbol

from symbn.derivation.expressions import Assignment, free, indices_of, is_leaf
from symbn.equations.operator import Operator
from symbn.equations.reductions import ReduceMax, ReduceMin, is_reduction

_ONE, _ZERO = sympy.Integer(1), sympy.Integer(0)
#: what a reduction is called that has no name
_STEMS = {Product: "P", ReduceMax: "M", ReduceMin: "M"}


class Program(Protocol):
    """What is asked of a program: its operator's indices, new names, and equal reductions that look equal."""

    operator: Operator

    def index(self, name: str) -> Any: ...

    def fresh(self, name: str) -> str: ...

    def distinct(self, expr: Any, scope: Iterable[Any]) -> Any: ...


def alone(equations: Iterable[Assignment], program: Program) -> tuple[Assignment, ...]:
    """The equations, and those besides that the derivatives of products, maxima and minima need.

    Where ``M[k] = ReduceMax(Abs(x[i, k]), (i, 1, m))`` the terms are named, ``t[i, k] = Abs(x[i, k])``, and those
    that are equal to it are counted, ``c[k] = Sum([t[i, k] = M[k]], (i, 1, m))``. A reduction that is a part of
    something is named too.
    """
    separation = _Separation(program)
    for equation in equations:
        separation.add(equation)
    return tuple(separation.result)


class _Separation:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.result: list[Assignment] = []
        #: reduction -> the name that it has
        self.known: dict[Any, Any] = {}
        self.given = False

    def add(self, equation: Assignment) -> None:
        self.given = equation.given
        if _is_opaque(equation.value):
            value = self.over_a_name(equation.value)
            self.reduction(equation.target, value)
            if set(equation.indices) == free(value):
                self.known.setdefault(self.program.distinct(value, ()), equation.target)
        else:
            self.define(equation.target, self.separated(equation.value))

    def define(self, target: Any, value: Any, slope: Any = None) -> Any:
        self.result.append(Assignment(target, value, self.given, slope))
        return target

    def array(self, stem: str, indices: Iterable[Any]) -> Any:
        """A new name on some indices."""
        name, indices = self.program.fresh(stem), tuple(indices)
        return IndexedBase(name)[indices] if indices else Symbol(name)

    def on_own_indices(self, stem: str, expr: Any) -> Any:
        """A new name for an expression, on the indices that it varies with."""
        own = map(self.program.index, self.program.operator.indices)
        return self.array(stem, (index for index in own if index in free(expr)))

    def separated(self, expr: Any) -> Any:
        """An expression with a name for each product, maximum and minimum in it."""
        if is_leaf(expr) or not expr.args:
            return expr
        if isinstance(expr, Sum):
            return expr.func(self.separated(expr.function), *expr.limits)
        if not _is_opaque(expr):
            return expr.func(*map(self.separated, expr.args))
        value = self.over_a_name(expr)
        key = self.program.distinct(value, ())
        if key not in self.known:
            self.known[key] = self.reduction(self.on_own_indices(_STEMS[type(value)], value), value)
        return self.known[key]

    def over_a_name(self, reduction: Any) -> Any:
        body = self.separated(reduction.function)
        if not is_leaf(body):
            body = self.define(self.on_own_indices("t", body), body)
        return reduction.func(body, *reduction.limits)

    def reduction(self, target: Any, value: Any) -> Any:
        """Define a reduction, with its derivative with respect to its terms and what that takes."""
        term = value.function
        if not isinstance(value, Product):
            count = self.array("c", indices_of(target))
            equal = Piecewise((_ONE, Eq(term, target)), (_ZERO, True))
            self.define(target, value, equal / count)
            self.define(count, Sum(equal, *value.limits))
            return target
        zero = Eq(term, 0)
        if zero == sympy.false:
            return self.define(target, value, target / term)
        # The product of the other terms is that of all but the zero, where there is one, and 0 where there are more.
        zeros, rest = self.array("z", indices_of(target)), self.array("q", indices_of(target))
        others = Piecewise((target / term, Eq(zeros, 0)), (rest, And(Eq(zeros, 1), zero)), (_ZERO, True))
        self.define(target, value, others)
        self.define(zeros, Sum(Piecewise((_ONE, zero), (_ZERO, True)), *value.limits))
        self.define(rest, Product(Piecewise((_ONE, zero), (term, True)), *value.limits))
        return target


def _is_opaque(expr: Any) -> bool:
    """Is it a reduction that the rules do not look into: one that is no sum?"""
    return is_reduction(expr) and not isinstance(expr, Sum)
