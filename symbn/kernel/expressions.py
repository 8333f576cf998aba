"""Expressions over the equations' indices: what they read, what they vary with, products taken apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TypeAlias

from symbn.kernel.ir import Const, Expr, Load, Op, Var

#: a part of a product, and whether it divides
Factor: TypeAlias = tuple[Expr, bool]


def indices_of(expr: Expr) -> frozenset[str]:
    """The indices that an expression varies with."""
    if isinstance(expr, Load):
        return frozenset(sub.name for sub in expr.subscripts if isinstance(sub, Var))
    if isinstance(expr, Op):
        return frozenset().union(*(indices_of(arg) for arg in expr.args))
    return frozenset()


def loads(expr: Expr) -> Iterator[Load]:
    """The elements that an expression reads."""
    if isinstance(expr, Load):
        yield expr
    elif isinstance(expr, Op):
        for arg in expr.args:
            yield from loads(arg)


def substitute(expr: Expr, names: dict[str, str]) -> Expr:
    """The expression with its indices renamed."""
    if isinstance(expr, Load):
        subs = tuple(Var(names.get(sub.name, sub.name)) if isinstance(sub, Var) else sub for sub in expr.subscripts)
        return Load(expr.array, subs)
    if isinstance(expr, Op):
        return Op(expr.name, tuple(substitute(arg, names) for arg in expr.args))
    return expr


def separate(body: Expr, bound: Sequence[str]) -> tuple[list[Factor], list[Factor], list[str]]:
    """A product as its factors that vary with only some of several indices, the others, and these some."""
    factors = list(_factors(body, False))
    varying = [indices_of(factor) & set(bound) for factor, _ in factors]
    some = set().union(*(one for one in varying if len(one) < len(bound)))
    if not some or len(some) == len(bound):
        return [], factors, []
    outside = [factor for factor, own in zip(factors, varying, strict=True) if own <= some]
    inside = [factor for factor, own in zip(factors, varying, strict=True) if not own <= some]
    return outside, inside, [index for index in bound if index in some]


def _factors(expr: Expr, inverse: bool) -> Iterator[Factor]:
    """The factors of a product of expressions, and whether it is divided by them."""
    match expr:
        case Op("mul", args):
            for arg in args:
                yield from _factors(arg, inverse)
        case Op("div", (over, under)):
            yield from _factors(over, inverse)
            yield from _factors(under, not inverse)
        case Op("neg", (arg,)):
            yield Const(Fraction(-1)), False
            yield from _factors(arg, inverse)
        case _ if expr != Const(Fraction(1)):
            yield expr, inverse


def product(factors: Sequence[Factor]) -> Expr:
    """The product of some factors, divided by others; parts with fewer indices first, so that they can be hoisted."""
    result: Expr | None = None
    for indices in sorted({indices_of(value) for value, _ in factors}, key=lambda one: (len(one), sorted(one))):
        for divides in (False, True):
            values = [value for value, inverse in factors if indices_of(value) == indices and inverse == divides]
            if values and divides:
                result = Op("div", (Const(Fraction(1)) if result is None else result, chain("mul", values)))
            elif values:
                result = chain("mul", values if result is None else [result, *values])
    return Const(Fraction(1)) if result is None else result


def chain(name: str, args: Sequence[Expr]) -> Expr:
    result = args[0]
    for arg in args[1:]:
        result = Op(name, (result, arg))
    return result
