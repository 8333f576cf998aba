"""Forward mode: the tangent of what an equation defines from the tangents of what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy
from sympy import Add, Indexed, IndexedBase, Mul, Piecewise, Sum, Symbol

from symbn.derivation.expressions import Assignment, bound_by, is_leaf, name_of, reads
from symbn.derivation.partials import partial
from symbn.derivation.program import Program, total


def tangent(equation: Assignment, names: Mapping[str, str], program: Program) -> Any:
    """The differential of an equation's right side; ``names`` has the tangent's name for each name that moves."""
    value = equation.value
    if equation.slope is None:
        return _tangent(value, names, program)
    return total(Mul(equation.slope, _tangent(value.function, names, program)), bound_by(value), program)


def _tangent(expr: Any, names: Mapping[str, str], program: Program) -> Any:
    if not reads(expr) & names.keys():
        return sympy.Integer(0)
    if is_leaf(expr):
        name = names[name_of(expr)]
        return IndexedBase(name)[expr.indices] if isinstance(expr, Indexed) else Symbol(name)
    if isinstance(expr, Sum):
        return total(_tangent(expr.function, names, program), bound_by(expr), program)
    if isinstance(expr, Piecewise):
        return Piecewise(*((_tangent(value, names, program), condition) for value, condition in expr.args))
    terms = []
    for place, arg in enumerate(expr.args):
        if reads(arg) & names.keys():
            moved = _tangent(arg, names, program)
            terms.append(Mul(partial(expr, place), moved) if moved != 0 else moved)
    return Add(*terms)
