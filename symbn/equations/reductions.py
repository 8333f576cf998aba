"""Reductions: what an equation may form over one or more indices, by the name that later stages call it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Literal

import sympy
from sympy.concrete.expr_with_limits import ExprWithLimits


class _Extreme(ExprWithLimits):  # type: ignore[misc]
    """A maximum or minimum over indices, written as a Sum is; it stays as it is written."""

    def __new__(cls, function: Any, *limits: Any) -> _Extreme:
        # A choice among the terms stays there: SymPy's own would take it out, with the bound index in its condition.
        choices = {choice: sympy.Dummy() for choice in sympy.sympify(function).atoms(sympy.Piecewise)}
        written: Any = ExprWithLimits.__new__(cls, sympy.sympify(function).xreplace(choices), *limits)
        if not choices:
            return written  # type: ignore[no-any-return]
        body = written.function.xreplace({dummy: choice for choice, dummy in choices.items()})
        result: _Extreme = sympy.Expr.__new__(cls)
        result._args = (body, *written.limits)
        result.is_commutative = body.is_commutative
        return result

    def _eval_is_extended_real(self) -> bool | None:
        return self.function.is_extended_real  # type: ignore[no-any-return]

    def _eval_is_real(self) -> bool | None:
        return self.function.is_real  # type: ignore[no-any-return]

    def _eval_derivative(self, _: Any) -> None:
        """Left to Operator.gradient, which knows what an index is."""


class ReduceMax(_Extreme):
    """The largest of the terms: ``ReduceMax(x[i, k], (i, 1, m))``; minus infinity where there are none."""


class ReduceMin(_Extreme):
    """The smallest of the terms: ``ReduceMin(x[i, k], (i, 1, m))``; infinity where there are none."""


#: SymPy class -> what it does with the terms
REDUCTIONS: MappingProxyType[Any, Literal["sum", "prod", "max", "min"]] = MappingProxyType(
    {sympy.Sum: "sum", sympy.Product: "prod", ReduceMax: "max", ReduceMin: "min"}
)


def is_reduction(expr: Any) -> bool:
    """Does the expression bind indices: is it a Sum, Product, ReduceMax or ReduceMin?"""
    return type(expr) in REDUCTIONS
