"""Indices -> loop levels: an index that is reduced has an outer and an inner part, any other has one.

With two parts an index can stand for axes on both sides of another: on (N, C, H, W) the samples are N
(outer) and H, W together (inner), around the feature C.
"""

from __future__ import annotations

from collections.abc import Iterable

from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.kernel.ir import Expr, Let, Level, Load, Op, Stmt, Var, prod
from symbn.kernel.naming import Names


class Levels:
    """The loop levels of an operator's indices."""

    def __init__(self, operator: Operator, reduced: Iterable[str], names: Names) -> None:
        split = {operator.indices[index] for index in reduced}
        #: extent -> the extents of its levels
        self.of_extent: dict[str, tuple[str, ...]] = {}
        #: index -> its levels, outermost first
        self.of_index: dict[str, tuple[Level, ...]] = {}
        for index, extent in operator.indices.items():
            name, size = identifier(index), identifier(extent)
            if extent not in self.of_extent:
                parts = (names.fresh(f"{size}0"), names.fresh(f"{size}1")) if extent in split else (size,)
                self.of_extent[extent] = parts
            own = (names.fresh(f"{name}0"), names.fresh(f"{name}1")) if extent in split else (name,)
            self.of_index[index] = tuple(map(Level, own, self.of_extent[extent]))

    def of(self, indices: Iterable[str]) -> tuple[Level, ...]:
        """The levels of several indices, in order."""
        return tuple(level for index in indices for level in self.of_index[index])

    def subscripts(self, indices: Iterable[str]) -> tuple[Expr, ...]:
        """The levels of several indices as subscripts."""
        return tuple(Var(level.name) for level in self.of(indices))

    def expand(self, expr: Expr) -> Expr:
        """The expression with each index written as its levels, and each extent as a number."""
        if isinstance(expr, Load):
            return Load(expr.array, self.subscripts(sub.name for sub in expr.subscripts if isinstance(sub, Var)))
        if isinstance(expr, Op) and expr.name == "extent":
            (extent,) = expr.args
            assert isinstance(extent, Var)
            return Op("real", (prod(Var(name) for name in self.of_extent[extent.name]),))
        if isinstance(expr, Op):
            return Op(expr.name, tuple(self.expand(arg) for arg in expr.args))
        return expr


def size(levels: Iterable[Level]) -> Expr:
    """The number of positions on several levels."""
    return prod(Var(level.extent) for level in levels)


def unflatten(place: Expr, levels: tuple[Level, ...]) -> list[Stmt]:
    """Bind several levels from one flat position, row-major."""
    result: list[Stmt] = []
    for number, level in enumerate(levels):
        below = levels[number + 1 :]
        value = Op("idiv", (place, size(below))) if below else place
        result.append(Let(level.name, Op("imod", (value, Var(level.extent))) if number else value, "index"))
    return result
