"""How much arithmetic equations ask for."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Add, Expr, Mul, Sum

from symbn.derivation.program import Program, bound_by, free, is_leaf
from symbn.equations.operator import Operator


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
        if isinstance(expr, Sum):
            result += _size(program, free(expr.function) | set(bound_by(expr)))
            count(expr.function)
            return
        result += _cost(expr) * _size(program, free(expr))
        for arg in expr.args:
            count(arg)

    for equation in program.assignments:
        if not equation.given:
            count(equation.value)
    return sympy.expand(result)


def _size(program: Program, indices: Any) -> Any:
    return Mul(*(program.extent(index) for index in sorted(indices, key=str)))


def _cost(expr: Any) -> int:
    if isinstance(expr, Add):
        return len(expr.args) - 1
    if isinstance(expr, Mul):
        return len([arg for arg in expr.args if arg != -1]) - 1
    if expr.is_Pow:
        # x**-1 is the division of the product that it stands in; a square root and a square are one operation.
        return 0 if expr.exp == -1 else 1 if abs(expr.exp) in (2, sympy.Rational(1, 2)) else 2
    return 1
