"""The elementwise functions that an equation may use, by the name that every later stage calls them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import sympy
from sympy.codegen import cfunctions

from symbn.equations.reductions import REDUCTIONS

#: SymPy class -> the function's name in C's <math.h>, which later stages use as its name.
ELEMENTWISE: MappingProxyType[Any, str] = MappingProxyType(
    {
        sympy.exp: "exp",
        sympy.log: "log",
        sympy.sin: "sin",
        sympy.cos: "cos",
        sympy.tan: "tan",
        sympy.asin: "asin",
        sympy.acos: "acos",
        sympy.atan: "atan",
        sympy.atan2: "atan2",
        sympy.sinh: "sinh",
        sympy.cosh: "cosh",
        sympy.tanh: "tanh",
        sympy.asinh: "asinh",
        sympy.acosh: "acosh",
        sympy.atanh: "atanh",
        sympy.erf: "erf",
        sympy.erfc: "erfc",
        sympy.Abs: "fabs",
        sympy.floor: "floor",
        sympy.ceiling: "ceil",
        sympy.sign: "sign",
        sympy.Max: "max",
        sympy.Min: "min",
        cfunctions.log1p: "log1p",
        cfunctions.expm1: "expm1",
        cfunctions.exp2: "exp2",
        cfunctions.log2: "log2",
        cfunctions.log10: "log10",
        cfunctions.hypot: "hypot",
    }
)

#: Relations that may stand as conditions of a Piecewise.
RELATIONS: MappingProxyType[Any, str] = MappingProxyType(
    {
        sympy.StrictLessThan: "lt",
        sympy.LessThan: "le",
        sympy.StrictGreaterThan: "gt",
        sympy.GreaterThan: "ge",
        sympy.Equality: "eq",
        sympy.Unequality: "ne",
    }
)


def names() -> str:
    """The functions and reductions as a list for a message."""
    known = {cls.__name__ for cls in (*ELEMENTWISE, *REDUCTIONS)} | {"sqrt", "Piecewise"}
    return ", ".join(sorted(known, key=str.lower))
