"""How much arithmetic equations ask for."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Add, Expr, Mul

from symbn.derivation.expressions import bound_by, free, is_leaf, needed
from symbn.derivation.program import Program
from symbn.equations.operator import Operator
from symbn.equations.reductions import is_reduction


def operations(operator: Operator) -> Expr:
    """The arithmetic operations of an operator as a polynomial in its extents.

    Each operation is counted once for each element of the indices that it varies with, equal ones once.
    """
    program = Program(operator)
    seen: set[Any] = set()
    result: Any = sympy.Integer(0)

    def count(expr: Any) -> None:
        nonlocal result
        if expr in seen or is_leaf(expr) or not expr.args:
            return
        seen.add(expr)
        if is_reduction(expr):
            result += _size(program, free(expr.function) | set(bound_by(expr)))
            count(expr.function)
            return
        if isinstance(expr, Add | Mul):
            result += _chain(program, [arg for arg in expr.args if arg != -1])
        else:
            result += _cost(expr) * _size(program, free(expr))
        for arg in expr.args:
            count(arg)

    definitions = {one.name: one.value for one in program.assignments}
    wanted = needed(map(program.renamed, operator.outputs), definitions)
    for equation in program.assignments:
        if not equation.given and equation.name in wanted:
            # With the same indices in reductions that are the same, so that they are seen to be.
            count(program.distinct(equation.value, ()))
    return sympy.expand(result)


def _size(program: Program, indices: Any) -> Any:
    return Mul(*(program.extent(index) for index in sorted(indices, key=str)))


def _chain(program: Program, args: list[Any]) -> Any:
    """A sum or product of several: what varies with fewer indices is combined first, and less often."""
    sets = sorted((free(arg) for arg in args), key=lambda one: (len(one), sorted(map(str, one))))
    result: Any = sympy.Integer(0)
    for place, one in enumerate(sets[1:], 1):
        result += _size(program, one if sets[place - 1] == one else frozenset().union(*sets[: place + 1]))
    return result


def _cost(expr: Any) -> int:
    # x**-1 is the division of the product that it stands in; a square root and a square are one operation.
    if expr.is_Pow:
        return 0 if expr.exp == -1 else 1 if abs(expr.exp) in (2, sympy.Rational(1, 2)) else 2
    return 1
