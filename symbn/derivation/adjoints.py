"""Reverse mode: from the gradients of what an equation defines to the gradients of what it reads.

Where ``v[I] = f(u[J], ...)``, u receives the gradient of v times the derivative of f, summed over the indices that
v has and u has not, and over those of each reduction around u that u does not carry. Indices that both carry are the
same element: the sum over them and its Kronecker deltas cancel, which is why none is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import sympy
from sympy import Add, Derivative, Eq, Mul, Piecewise, Sum

from symbn.derivation.expressions import Assignment, Index, bound_by, indices_of, is_leaf, name_of, reads
from symbn.derivation.partials import partial
from symbn.derivation.program import Program, total


@dataclass(frozen=True)
class Occurrence:
    """A place in an equation where something is read, and the derivative along the way there."""

    leaf: Any
    #: the indices of the reductions around it
    bound: tuple[Index, ...]
    #: derivative = outside * guard(inside): what is outside the conditions on the way, and what is inside them
    outside: Any
    inside: Any
    guards: tuple[Callable[[Any], Any], ...]

    def times(self, cotangent: Any) -> Any:
        """The cotangent of the equation, brought here; a branch that is not taken contributes 0, never a NaN."""
        if not self.guards:
            return self.outside * cotangent
        value = self.inside * cotangent
        for guard in reversed(self.guards):
            value = guard(value)
        return self.outside * value


def occurrences(equation: Assignment, active: frozenset[str]) -> list[Occurrence]:
    """Where an equation's right side reads the active names, with the derivative at each place."""
    value, way = equation.value, Occurrence(None, (), sympy.Integer(1), sympy.Integer(1), ())
    if equation.slope is not None:
        value, way = value.function, replace(way, bound=bound_by(value), outside=equation.slope)
    return list(_walk(value, active, way))


def _walk(expr: Any, active: frozenset[str], way: Occurrence) -> Iterator[Occurrence]:
    if is_leaf(expr):
        if name_of(expr) in active:
            yield replace(way, leaf=expr)
    elif isinstance(expr, Sum):
        yield from _walk(expr.function, active, replace(way, bound=(*way.bound, *bound_by(expr))))
    elif isinstance(expr, Piecewise):
        for place, (value, _) in enumerate(expr.args):
            yield from _walk(value, active, replace(way, guards=(*way.guards, _branch(expr, place))))
    elif not (expr.is_Relational or expr.is_Boolean):
        for place, arg in enumerate(expr.args):
            if not reads(arg) & active or (slope := partial(expr, place)) == 0:
                continue
            if isinstance(slope, Piecewise):
                yield from _walk(arg, active, replace(way, guards=(*way.guards, _choice(slope))))
            else:
                key = "inside" if way.guards else "outside"
                yield from _walk(arg, active, replace(way, **{key: getattr(way, key) * slope}))


def _branch(expr: Piecewise, place: int) -> Callable[[Any], Any]:
    """Zero wherever the conditions choose another branch."""

    def guard(value: Any) -> Any:
        arms = [(value if number == place else 0, condition) for number, (_, condition) in enumerate(expr.args)]
        return Piecewise(*arms)

    return guard


def _choice(slope: Piecewise) -> Callable[[Any], Any]:
    """A value times a derivative that is a choice; where that is 0 there is none."""

    def guard(value: Any) -> Any:
        return Piecewise(*((arm if arm == 0 else arm * value, condition) for arm, condition in slope.args))

    return guard


def contribution(found: Occurrence, equation: Assignment, cotangent: Any, target: Any, program: Program) -> Any:
    """What one place in an equation adds to the gradient of ``target``, an element of what is read there."""
    value = found.times(cotangent)
    scope = (*equation.indices, *found.bound)
    names = dict(zip(indices_of(found.leaf), indices_of(target), strict=True))
    rest = [index for index in scope if index not in names]
    over = []
    for index in rest:
        avoid = {*names.values(), *(other for other in scope if other not in names and other != index)}
        names[index] = program.fresh_index(index, avoid) if index in avoid else index
        over.append(names[index])
    return program.distinct(total(program.rename(value, names), over, program), indices_of(target))


def slope(equation: Assignment, found: list[Occurrence], target: Any, program: Program) -> Eq | None:
    """The derivative of an equation with respect to ``target``, written out; None where its reads differ in indices."""
    if _shared(equation, [one.leaf for one in found]) is None:
        return None
    left, _ = _left(equation, found, target, program)
    terms = []
    for one in found:
        names = dict(zip(equation.indices, indices_of(left), strict=True))
        names |= dict(zip(indices_of(one.leaf), indices_of(target), strict=True))
        over = [index for index in one.bound if index not in indices_of(one.leaf)]
        terms.append(program.rename(total(one.times(sympy.Integer(1)), over, program), names))
    value = program.tidy(Add(*terms), {*indices_of(left), *indices_of(target)})
    return Eq(Derivative(left, target, evaluate=False), value, evaluate=False)


def chain(equation: Assignment, found: list[Occurrence], cotangent: Any, target: Any, program: Program) -> Any:
    """The chain rule before a derivative is taken: the cotangent times a Derivative, over the indices left."""
    left, over = _left(equation, found, target, program)
    names = dict(zip(equation.indices, indices_of(left), strict=True))
    return total(Mul(program.rename(cotangent, names), Derivative(left, target, evaluate=False)), over, program)


def _left(equation: Assignment, found: list[Occurrence], target: Any, program: Program) -> tuple[Any, list[Index]]:
    """What an equation defines, on the indices that it shares with ``target``, and those that it has besides."""
    shared = _shared(equation, [one.leaf for one in found])
    own = indices_of(target)
    names: dict[Index, Index] = {}
    over = []
    for index in equation.indices:
        if shared is not None and index in shared:
            names[index] = own[shared[index]]
        else:
            avoid = {*own, *names.values(), *(other for other in equation.indices if other != index)}
            names[index] = program.fresh_index(index, avoid) if index in avoid else index
            over.append(names[index])
    return program.rename(equation.target, names), over


def _shared(equation: Assignment, leaves: list[Any]) -> dict[Index, int] | None:
    """The indices that an equation shares with what it reads -> at which place; None where its reads differ."""
    patterns = {
        tuple((index, place) for place, index in enumerate(indices_of(leaf)) if index in equation.indices)
        for leaf in leaves
    }
    return dict(patterns.pop()) if len(patterns) == 1 else None
