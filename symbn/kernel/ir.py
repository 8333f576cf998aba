"""The loop IR: a small imperative language over scalars, arrays and loops.

Every arithmetic value is in the accumulator's type; loads convert from an array's own type and stores
convert to it, with one rounding. The same program can be printed as C (symbn.emit) or run over exact
rationals (symbn.kernel.interpreter).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Literal, TypeAlias

# ---- expressions ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Const:
    """An exact number; emission rounds it once to the accumulator's type."""

    value: Fraction


@dataclass(frozen=True)
class Int:
    """A number in index arithmetic."""

    value: int


@dataclass(frozen=True)
class Var:
    """A scalar: a loop index, an extent, a scalar argument or a local value."""

    name: str


@dataclass(frozen=True)
class Load:
    """One element of an array, a window or a local accumulator array."""

    array: str
    subscripts: tuple[Expr, ...]


@dataclass(frozen=True)
class Op:
    """An operation by name: arithmetic, comparison, select, or an elementwise function of C's <math.h>.

    In arithmetic of pairs (symbn.kernel.pairs) also ``rounded``, and what an operation rounds away: ``sum_error`` and
    its kin. ``leading`` asks that arithmetic for a pair's high part alone.
    """

    name: str
    args: tuple[Expr, ...]


Expr: TypeAlias = Const | Int | Var | Load | Op

# ---- arrays --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Level:
    """A loop level: an index, or one of the two parts (outer, inner) of an index that is reduced."""

    name: str
    extent: str


@dataclass(frozen=True)
class Array:
    """An array that the kernel is given, or a workspace of its own.

    ``axes`` are the loop levels of its subscripts; an argument has a stride for each of them, a workspace
    is dense. ``kind`` is "data" for the data's dtype, "wide" for the accumulator's.
    """

    name: str
    axes: tuple[Level, ...]
    role: Literal["input", "output", "workspace"]
    kind: Literal["data", "wide"]


# ---- statements ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Let:
    """A constant local value, of the accumulator's type or an index."""

    name: str
    value: Expr
    type: Literal["value", "index"] = "value"


@dataclass(frozen=True)
class Local:
    """A local array of the accumulator's type (a variable where ``shape`` is empty): all ``initial``, or undefined."""

    name: str
    shape: tuple[int, ...]
    initial: Expr | None


@dataclass(frozen=True)
class Assign:
    """Store a value in an element of an array, rounding once to the array's type."""

    target: Load
    value: Expr


@dataclass(frozen=True)
class For:
    """``for (index = start; index < stop; index += step)``.

    A parallel loop's iterations may run in any order on any thread; a simd loop's iterations may run
    together. Neither may change a result.
    """

    index: str
    start: Expr
    stop: Expr
    body: tuple[Stmt, ...]
    step: int = 1
    kind: Literal["serial", "parallel", "simd"] = "serial"


@dataclass(frozen=True)
class If:
    """``if (condition) { body }``."""

    condition: Expr
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Walk:
    """Visit ``count`` positions of several levels in row-major order, from flat position ``start``.

    Binds the levels' names at each visit, and ``counter`` to 0, 1, ... count - 1.
    """

    levels: tuple[Level, ...]
    counter: str
    start: Expr
    count: Expr
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Window:
    """A one-dimensional view ``name[0 .. count - 1]`` of an array along several levels, flattened.

    ``subscripts`` names the loop levels of the array's axes here; those that are not among ``levels`` are
    fixed. Where memory is not contiguous, a read window is gathered before ``body`` and a written one is
    scattered after it; it has at most ``capacity`` elements.

    ``slab`` names the thread's own memory for the elements of all levels: with ``fresh`` they are brought there,
    without they are read from there. ``next`` is the level along which the next windows lie.
    """

    name: str
    array: str
    subscripts: tuple[str, ...]
    levels: tuple[Level, ...]
    start: Expr
    count: Expr
    capacity: int
    written: bool
    body: tuple[Stmt, ...]
    slab: str = ""
    fresh: bool = False
    next: str = ""


@dataclass(frozen=True)
class Row:
    """``name[0 ..]``: a workspace's elements along its innermost levels, flattened, to be read and written in place.

    ``subscripts`` names the places on its other axes.
    """

    name: str
    array: str
    subscripts: tuple[str, ...]
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Prefetch:
    """A hint: the cache line of an element, which need not be inside of its array, is read soon.

    In a loop that writes windows it is for those of their lines that go past the cache, once for each.
    """

    element: Load

    def at(self, index: str, place: Expr) -> Prefetch:
        """The same hint, at another place of an index."""
        return Prefetch(Load(self.element.array, tuple(_at(sub, index, place) for sub in self.element.subscripts)))


@dataclass(frozen=True)
class Comment:
    """A line for the reader."""

    text: str


Stmt: TypeAlias = Let | Local | Assign | For | If | Walk | Window | Row | Prefetch | Comment

# ---- programs ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Nest:
    """A loop nest: one function of the generated C.

    ``unit`` lists the (array, level) pairs along which the nest takes memory to be contiguous.
    """

    name: str
    unit: tuple[tuple[str, str], ...]
    body: tuple[Stmt, ...]

    def is_parallel(self) -> bool:
        """Does the nest consist of parallel loops alone, so that threads can go through it together?"""
        return all(isinstance(one, For) and one.kind == "parallel" for one in self.body)


@dataclass(frozen=True)
class Alternative:
    """Nests that do a step's work one after the other, and when they are the ones that run.

    They are where the ``unit`` arrays of each allow it, the (array, level) pair ``avoid`` has not stride 1, no thread
    is left without one of as many ``tasks``, and as many elements of the data as a task ``keeps`` stay in cache.
    """

    nests: tuple[str, ...]
    avoid: tuple[str, str] | None = None
    tasks: Expr | None = None
    keeps: Expr | None = None


@dataclass(frozen=True)
class Program:
    """A kernel: its arguments, its workspaces, the loop nests, and the order in which they run."""

    arrays: tuple[Array, ...]
    scalars: tuple[str, ...]
    #: each extent of the equations, and the extents of its loop levels
    extents: tuple[tuple[str, tuple[str, ...]], ...]
    #: workspace name -> its number of elements
    workspaces: tuple[tuple[str, Expr], ...]
    nests: tuple[Nest, ...]
    #: the steps in order, each with its alternatives in order of preference; the last is right for any memory
    steps: tuple[tuple[Alternative, ...], ...]
    #: (input, output) pairs that may be the same memory
    aliases: tuple[tuple[str, str], ...]

    def level_extents(self) -> tuple[str, ...]:
        """The extents of all loop levels."""
        return tuple(part for _, parts in self.extents for part in parts)

    def nest(self, name: str) -> Nest:
        """The nest of that name."""
        return next(nest for nest in self.nests if nest.name == name)

    def array(self, name: str) -> Array:
        """The array of that name."""
        return next(array for array in self.arrays if array.name == name)


# ---- helpers for building and reading ------------------------------------------------------------


def add(a: Expr, b: Expr) -> Expr:
    if isinstance(a, Int) and isinstance(b, Int):
        return Int(a.value + b.value)
    if b == Int(0):
        return a
    return b if a == Int(0) else Op("add", (a, b))


def sub(a: Expr, b: Expr) -> Expr:
    return Op("sub", (a, b))


def mul(a: Expr, b: Expr) -> Expr:
    if b == Int(1):
        return a
    return b if a == Int(1) else Op("mul", (a, b))


def prod(factors: Iterable[Expr]) -> Expr:
    result: Expr = Int(1)
    for factor in factors:
        result = mul(result, factor)
    return result


def _at(expr: Expr, index: str, place: Expr) -> Expr:
    if isinstance(expr, Op):
        return Op(expr.name, tuple(_at(arg, index, place) for arg in expr.args))
    return place if expr == Var(index) else expr


def walk(node: Expr | Stmt | tuple[Stmt, ...]) -> Iterator[Expr | Stmt]:
    """The node and everything inside it."""
    if isinstance(node, tuple):
        for part in node:
            yield from walk(part)
        return
    yield node
    for entry in fields(node):
        value = getattr(node, entry.name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, tuple):
                yield from (inner for piece in part if _is_node(piece) for inner in walk(piece))
            elif _is_node(part):
                yield from walk(part)


def _is_node(value: object) -> bool:
    return isinstance(value, Expr | Stmt)
