"""Runs a program over exact rationals: what it computes is what its equations say, or it is wrong.

Arithmetic is exact. A function that leaves the rationals (sqrt, exp, ...) is replaced by an arbitrary but
fixed function of its arguments: two programs that apply it to equal values get equal values, and two that
do not get different ones, with overwhelming probability.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from fractions import Fraction
from typing import Any

from symbn.kernel.ir import (
    Assign,
    Comment,
    Const,
    Expr,
    For,
    If,
    Int,
    Let,
    Load,
    Local,
    Op,
    Prefetch,
    Program,
    Row,
    Stmt,
    Var,
    Walk,
    Window,
)

#: an array's elements by their place on the array's loop levels
Elements = MutableMapping[tuple[int, ...], Fraction]


def stand_in(name: str, *args: Fraction) -> Fraction:
    """An arbitrary fixed positive rational in place of an irrational function's value."""
    digest = hashlib.sha256(repr((name, args)).encode()).digest()
    return Fraction(1 + int.from_bytes(digest[:4], "big"), 1 + int.from_bytes(digest[4:6], "big"))


_EXACT: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: Fraction(a) / b,
    "neg": lambda a: -a,
    "fma": lambda a, b, c: a * b + c,
    "leading": lambda a: a,
    "rounded": lambda high, low: high + low,
    "sum_error": lambda a, b, total: a + b - total,
    "difference_error": lambda a, b, difference: a - b - difference,
    "product_error": lambda a, b, product: a * b - product,
    "quotient_error": lambda a, a_low, b, b_low, quotient: (a + a_low) / (b + b_low) - quotient,
    "root_error": lambda a, a_low, root: stand_in("sqrt", a + a_low) - root,
    "idiv": lambda a, b: a // b,
    "imod": lambda a, b: a % b,
    "imin": min,
    "imax": max,
    "ile": lambda a, b: a <= b,
    "igt": lambda a, b: a > b,
    "real": Fraction,
    "inf": lambda: math.inf,
    "max": max,
    "min": min,
    "fabs": abs,
    "sign": lambda a: Fraction((a > 0) - (a < 0)),
    "floor": lambda a: Fraction(math.floor(a)),
    "ceil": lambda a: Fraction(math.ceil(a)),
    "isfinite": lambda a: True,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "not": lambda a: not a,
}


def apply(name: str, *args: Any) -> Any:
    """An operation of the IR on exact values."""
    return _EXACT[name](*args) if name in _EXACT else stand_in(name, *args)


def run(
    program: Program,
    arrays: Mapping[str, Elements],
    scalars: Mapping[str, Fraction],
    extents: Mapping[str, int],
    *,
    alternative: int = -1,
    arithmetic: Callable[..., Any] = apply,
) -> None:
    """Run a program; the elements of its outputs are put into ``arrays``.

    ``alternative`` says which alternative of each step runs; where a step has fewer, its last, which is the default and
    right for any memory. ``arithmetic`` gives the value of an operation, by its name, on values: exact ones by default.
    """
    frame: dict[str, Any] = {**scalars, **extents}
    memory: dict[str, Elements] = {**arrays, **{name: {} for name, _ in program.workspaces}}
    nests = {nest.name: nest for nest in program.nests}
    for step in program.steps:
        for name in step[min(alternative, len(step) - 1)].nests:
            _Machine(frame, memory, arithmetic).block(nests[name].body)


class _RowView(MutableMapping[tuple[int, ...], Fraction]):
    """A row of a workspace by flat position."""

    def __init__(self, source: Elements, fixed: tuple[int, ...], sizes: Sequence[int]) -> None:
        self.source, self.fixed, self.sizes = source, fixed, sizes

    def place(self, key: tuple[int, ...]) -> tuple[int, ...]:
        (flat,) = key
        inner: list[int] = []
        for size in reversed(self.sizes):
            flat, position = divmod(flat, size)
            inner.insert(0, position)
        assert flat == 0, "a position is outside of its row"
        return (*self.fixed, *inner)

    def __getitem__(self, key: tuple[int, ...]) -> Fraction:
        return self.source[self.place(key)]

    def __setitem__(self, key: tuple[int, ...], value: Fraction) -> None:
        self.source[self.place(key)] = value

    def __delitem__(self, key: tuple[int, ...]) -> None:
        del self.source[self.place(key)]

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return ((flat,) for flat in range(math.prod(self.sizes)))

    def __len__(self) -> int:
        return math.prod(self.sizes)


class _Machine:
    def __init__(self, frame: dict[str, Any], memory: dict[str, Elements], arithmetic: Callable[..., Any]) -> None:
        self.frame = frame
        self.memory = memory
        self.arithmetic = arithmetic

    def block(self, body: tuple[Stmt, ...]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, statement: Stmt) -> None:
        match statement:
            case Let(name, value):
                self.frame[name] = self.value(value)
            case Local(name, shape, initial):
                elements = itertools.product(*map(range, shape))
                self.memory[name] = {place: self.value(initial) for place in elements} if initial else {}
            case Assign(target, value):
                self.memory[target.array][self.place(target)] = self.value(value)
            case For(index, start, stop, body, step, kind):
                places = range(self.value(start), self.value(stop), step)
                # The order of a parallel loop must not matter: take the one that C will not.
                for place in reversed(places) if kind == "parallel" else places:
                    self.frame[index] = place
                    self.block(body)
            case If(condition, body):
                if self.value(condition):
                    self.block(body)
            case Walk(levels, counter, start, count, body):
                first = self.value(start)
                for position in range(self.value(count)):
                    self.frame[counter] = position
                    self.frame.update(self.unflatten(levels, first + position))
                    self.block(body)
            case Window():
                self.window(statement)
            case Row(name, array, subscripts, levels):
                fixed = tuple(self.frame[one] for one in subscripts)
                self.memory[name] = _RowView(self.memory[array], fixed, [self.frame[level.extent] for level in levels])
            case Prefetch() | Comment():
                pass

    def unflatten(self, levels: tuple[Any, ...], place: int) -> dict[str, int]:
        result = {}
        for level in reversed(levels):
            place, result[level.name] = divmod(place, self.frame[level.extent])
        assert place == 0, "a walk left its levels"
        return result

    def window(self, window: Window) -> None:
        first, count = self.value(window.start), self.value(window.count)
        assert count <= window.capacity, "a window is larger than its buffer"
        source = self.memory[window.array]
        places = []
        for position in range(count):
            at = self.unflatten(window.levels, first + position)
            places.append(tuple(at[name] if name in at else self.frame[name] for name in window.subscripts))
        view: Elements = {}
        if not window.written:
            if window.slab and not window.fresh:
                view = {(position,): self.memory[window.slab][first + position,] for position in range(count)}
            else:
                view = {(position,): source[place] for position, place in enumerate(places)}
            if window.fresh:
                slab = self.memory.setdefault(window.slab, {})
                slab.update({(first + position,): value for (position,), value in view.items()})
        self.memory[window.name] = view
        self.block(window.body)
        if window.written:
            for position, place in enumerate(places):
                source[place] = view[position,]

    def place(self, target: Load) -> tuple[int, ...]:
        return tuple(self.value(sub) for sub in target.subscripts)

    def value(self, expr: Expr) -> Any:
        match expr:
            case Const(value) | Int(value):
                return value
            case Var(name):
                return self.frame[name]
            case Load(array):
                return self.memory[array][self.place(expr)]
            case Op("select", (condition, yes, no)):
                return self.value(yes) if self.value(condition) else self.value(no)
            case Op(name, args):
                return self.arithmetic(name, *(self.value(arg) for arg in args))
