"""Equations as the derivation handles them: what is read, on which indices, and which of these are bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from sympy import Eq, Indexed, IndexedBase, Symbol

from symbn.equations.reductions import is_reduction

Index: TypeAlias = Any  # sympy.Idx, which SymPy does not type


@dataclass(frozen=True)
class Assignment:
    """``target = value``, an equation of the operator; ``given`` ones hold between its inputs.

    ``slope`` is, for a product, maximum or minimum over indices, its derivative with respect to its terms.
    """

    target: Any
    value: Any
    given: bool
    slope: Any = None

    @property
    def name(self) -> str:
        return name_of(self.target)

    @property
    def indices(self) -> tuple[Index, ...]:
        return indices_of(self.target)

    @property
    def equation(self) -> Eq:
        return Eq(self.target, self.value, evaluate=False)


@cache
def name_of(leaf: Any) -> str:
    """The name of an array's element or of a scalar."""
    return str(leaf.base.label) if isinstance(leaf, Indexed) else str(leaf.name)


def indices_of(leaf: Any) -> tuple[Index, ...]:
    """The indices of an array's element; a scalar has none."""
    return tuple(leaf.indices) if isinstance(leaf, Indexed) else ()


def is_leaf(expr: Any) -> bool:
    return isinstance(expr, Indexed | Symbol)


def bound_by(reduction: Any) -> tuple[Index, ...]:
    """The indices that a reduction goes over."""
    return tuple(limit[0] for limit in reduction.limits)


@cache
def free(expr: Any) -> frozenset[Index]:
    """The indices that an expression varies with."""
    if isinstance(expr, Indexed):
        return frozenset(expr.indices)
    if is_reduction(expr):
        return free(expr.function) - set(bound_by(expr))
    return frozenset().union(*(free(arg) for arg in expr.args))


def leaves(expr: Any) -> Iterator[Any]:
    """The array elements and scalars that an expression reads, in order; extents are among the scalars."""
    if is_leaf(expr):
        yield expr
    elif is_reduction(expr):
        yield from leaves(expr.function)
    else:
        for arg in expr.args:
            yield from leaves(arg)


@cache
def reads(expr: Any) -> frozenset[str]:
    """The names in an expression."""
    return frozenset(map(name_of, leaves(expr)))


def needed(names: Iterable[str], definitions: Mapping[str, Any]) -> frozenset[str]:
    """Those of some definitions (name -> value) that names depend on, step by step, these among them."""
    found: set[str] = set()
    waiting = [*names]
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in found:
            found.add(name)
            waiting += reads(definitions[name])
    return frozenset(found)


def element(name: str, *exprs: Any) -> Any:
    """An array's element on all the indices that some expressions vary with; a scalar where there are none."""
    indices = sorted(frozenset().union(*map(free, exprs)), key=str)
    return IndexedBase(name)[tuple(indices)] if indices else Symbol(name)
