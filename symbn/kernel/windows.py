"""Windows along some levels, flattened: what a loop over positions reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from symbn.kernel.expressions import loads
from symbn.kernel.ir import Comment, Expr, For, Int, Level, Load, Op, Prefetch, Stmt, Var, Window, add
from symbn.kernel.naming import Names
from symbn.kernel.nest import assign
from symbn.kernel.sharing import share

#: how many elements before they are read, elements are asked for where results go past the cache
_AHEAD = Int(512)


class Windows:
    """Positions ``start`` to ``start + count - 1`` along the levels, at most ``capacity`` of them.

    ``held`` are elements that local arrays have, position by position. Where results go past the cache, elements so far
    ``ahead`` are asked for.
    """

    def __init__(
        self,
        along: tuple[Level, ...],
        start: str,
        count: str,
        capacity: int,
        names: Names,
        held: Mapping[Load, str] | None = None,
        ahead: Expr = _AHEAD,
    ) -> None:
        self.along, self.start, self.count, self.capacity, self.names = along, start, count, capacity, names
        self.held = held or {}
        self.ahead = ahead
        #: element -> the window that has it at each position
        self.read: dict[Load, str] = {}

    def look(self, exprs: Iterable[Expr], levels: Iterable[Level]) -> None:
        """Open a window on each element of the expressions that varies with some levels."""
        varying = {level.name for level in levels}
        for load in (load for expr in exprs for load in loads(expr)):
            if load not in self.read and varying.intersection(_places(load)):
                self.read[load] = self.names.stem(f"{load.array}_row")

    def at(self, position: Expr, expr: Expr, beside: Expr | None = None) -> Expr:
        """The expression at one position; what is held is taken from ``beside``, if that is another."""
        if isinstance(expr, Load):
            if expr in self.held:
                return Load(self.held[expr], (beside or position,))
            return Load(self.read[expr], (position,)) if expr in self.read else expr
        if isinstance(expr, Op):
            return Op(expr.name, tuple(self.at(position, arg, beside) for arg in expr.args))
        return expr

    def hints(self, position: Expr, ahead: Expr) -> list[Stmt]:
        """What is read some elements after a position is asked for."""
        return [Prefetch(Load(view, (add(position, ahead),))) for view in self.read.values()]

    def around(self, body: Sequence[Stmt], slab: Callable[[Load], dict[str, Any]] = lambda load: {}) -> list[Stmt]:
        """The body, within the windows that it reads."""
        for load, name in reversed(self.read.items()):
            body = [replace(self.window(name, load, body), **slab(load))]
        return list(body)

    def store(self, place: str, label: str, targets: Sequence[Load], values: Sequence[Expr]) -> list[Stmt]:
        """The loop that writes elements, position by position, within the windows that it writes."""
        rows = [self.names.stem(f"{target.array}_row") for target in targets]
        lets, shared = share([self.at(Var(place), value) for value in values], self.names.branch())
        assigns = assign([Load(row, (Var(place),)) for row in rows], shared, self.names.branch())
        inner = (*self.hints(Var(place), self.ahead), Comment(label), *lets, *assigns)
        body: list[Stmt] = [For(place, Int(0), Var(self.count), inner, kind="simd")]
        for row, target in zip(rows, targets, strict=True):
            body = [self.window(row, target, body, written=True)]
        return body

    def window(self, name: str, element: Load, body: Sequence[Stmt], *, written: bool = False) -> Window:
        """The array of an element along the levels, its other subscripts fixed."""
        span = Var(self.start), Var(self.count)
        return Window(name, element.array, _places(element), self.along, *span, self.capacity, written, tuple(body))


def _places(load: Load) -> tuple[str, ...]:
    """The levels of an element's subscripts."""
    return tuple(sub.name for sub in load.subscripts if isinstance(sub, Var))
