"""What makes a list of equations an operator, and the message where it does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, TypeAlias

import sympy
from sympy import Eq, Expr, Idx, Indexed, IndexedBase, Symbol
from sympy.functions.elementary.piecewise import ExprCondPair

from symbn.equations import functions
from symbn.equations.names import identifier
from symbn.equations.reductions import REDUCTIONS, is_reduction
from symbn.errors import EquationError

#: How a caller names an array or a scalar: the SymPy object or its name.
Name: TypeAlias = Any  # str | Symbol | IndexedBase, which SymPy does not type


@dataclass
class Findings:
    """What a scan of the equations found, each mapping in order of first appearance."""

    indices: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, tuple[str, ...]] = field(default_factory=dict)
    written: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fixed_extents: dict[str, int] = field(default_factory=dict)
    scalars: list[str] = field(default_factory=list)
    symbols: dict[str, Symbol] = field(default_factory=dict)
    defined: list[str] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    #: input -> its place in the default order
    places: dict[str, tuple[Any, ...]] = field(default_factory=dict)


def name_of(thing: Any, argument: str) -> str:
    """The name in a str, Symbol or IndexedBase."""
    if isinstance(thing, str):
        return thing
    if isinstance(thing, IndexedBase):
        return str(thing.label)
    if isinstance(thing, Symbol):
        return str(thing.name)
    raise EquationError(f"{argument}: {thing!r} is a {type(thing).__name__}; give an IndexedBase, a Symbol or a name")


class _Scan:
    """One pass over the equations, in order; every complaint names the equation."""

    def __init__(self) -> None:
        self.found = Findings()
        self.label = ""
        self.equation_number = 0
        self.later: set[str] = set()

    def fail(self, message: str) -> EquationError:
        return EquationError(f"equation {self.label}: {message}", self.equation_number)

    # ---- indices and extents -------------------------------------------------------------------

    def index(self, index: Any) -> str:
        if not isinstance(index, Idx | Symbol):
            raise self.fail(
                f"'{index}' is not a plain index; write an index alone (a shifted or numeric index cannot be "
                "generated; what lies there can be an input of its own)"
            )
        name = str(index.name)
        if isinstance(index, Idx) and index.lower is not None and index.upper is not None:
            self.range(name, index.lower, index.upper)
        elif name not in self.found.indices:
            self.found.indices[name] = ""
        return name

    def range(self, name: str, lower: Expr, upper: Expr) -> None:
        extent = sympy.expand(upper - lower + 1)
        if isinstance(extent, Symbol):
            text = str(extent.name)
        elif extent.is_Integer and int(extent) > 0:
            text = str(int(extent))
            self.found.fixed_extents[text] = int(extent)
        else:
            raise self.fail(
                f"index '{name}' runs over {extent} values; its extent must be a symbol, as in (i, 1, m), or a number; "
                "to leave terms out multiply them by a mask, an input of zeros and ones"
            )
        if lower not in (0, 1):
            raise self.fail(f"index '{name}' starts at {lower}; start at 1 (or at 0)")
        known = self.found.indices.get(name, "")
        if known and known != text:
            raise self.fail(f"index '{name}' has clashing extents: {known} before, {text} here; use another index")
        self.found.indices[name] = text

    # ---- expressions -----------------------------------------------------------------------------

    def expression(self, expr: Any, bound: frozenset[str], depth: int) -> None:
        if isinstance(expr, Indexed):
            self.indexed(expr, bound, depth)
        elif isinstance(expr, IndexedBase):
            raise self.fail(f"'{expr.label}' is an array but stands without its indices")
        elif is_reduction(expr):
            self.reduction(expr, bound, depth)
        elif isinstance(expr, Idx) or (isinstance(expr, Symbol) and expr.name in bound):
            raise self.fail(
                f"index '{expr}' is used as a number; only extents and scalars can be; give its values as an input"
            )
        elif isinstance(expr, Symbol):
            self.scalar(expr, depth)
        elif isinstance(expr, ExprCondPair) or expr in (sympy.true, sympy.false):
            for arg in expr.args:
                self.expression(arg, bound, depth + 1)
        elif expr.is_Number or expr.is_NumberSymbol:
            if not expr.is_finite or not expr.is_real:
                raise self.fail(
                    f"'{expr}' is not a finite real number; take a large one, or an input, which may be infinite"
                )
        elif (
            expr.is_Add
            or expr.is_Mul
            or expr.is_Pow
            or isinstance(expr, sympy.Piecewise)
            or type(expr) in functions.ELEMENTWISE
            or type(expr) in functions.RELATIONS
            or isinstance(expr, sympy.And | sympy.Or | sympy.Not)
        ):
            for arg in expr.args:
                self.expression(arg, bound, depth + 1)
        else:
            kind = type(expr).__name__
            raise self.fail(f"unknown function or node '{kind}' in '{expr}'; known are {functions.names()}")

    def indexed(self, expr: Indexed, bound: frozenset[str], depth: int) -> None:
        name = str(expr.base.label)
        indices = tuple(self.index(index) for index in expr.indices)
        for index in indices:
            if index not in bound:
                raise self.fail(
                    f"index '{index}' of {expr} is free: "
                    "it is neither on the left side nor bound by a reduction such as Sum"
                )
        if len(set(indices)) < len(indices):
            raise self.fail(f"{expr} repeats an index; a diagonal cannot be generated, but can be an input")
        self.use(name, depth)
        self.axes(name, indices, expr)

    def axes(self, name: str, indices: tuple[str, ...], expr: Any) -> None:
        extents = tuple(self.found.indices[index] for index in indices)
        shape = expr.base.shape
        if shape is not None and tuple(str(extent) for extent in shape) != extents:
            raise self.fail(f"{expr} has clashing extents: declared with shape {shape}, indexed over {extents}")
        known = self.found.arrays.get(name)
        if known is None:
            if name in self.found.symbols:
                raise self.fail(f"'{name}' is an array here, but a scalar before; rename one")
            self.found.arrays[name] = extents
            self.found.written[name] = indices
        elif len(known) != len(extents):
            raise self.fail(f"'{name}' has {len(extents)} indices here, but {len(known)} before")
        else:
            for axis, (before, here) in enumerate(zip(known, extents, strict=True), 1):
                if before and here and before != here:
                    raise self.fail(f"axis {axis} of '{name}' has clashing extents: {before} before, {here} here")

    def reduction(self, expr: Any, bound: frozenset[str], depth: int) -> None:
        inner = bound
        for limit in expr.limits:
            if len(limit) != 3:
                raise self.fail(f"'{expr}' has no limits; write {type(expr).__name__}(..., (i, 1, m))")
            index, lower, upper = limit
            name = self.index(index)
            if name in inner:
                raise self.fail(
                    f"index capture: '{name}' is bound by {expr}, but it is already in use outside; take a fresh index"
                )
            self.range(name, lower, upper)
            inner = inner | {name}
        self.expression(expr.function, inner, depth + 1)

    def scalar(self, symbol: Symbol, depth: int) -> None:
        name = str(symbol.name)
        if name in self.found.indices.values():
            return
        if self.found.arrays.get(name):
            raise self.fail(f"'{name}' is an array but stands without its indices")
        self.use(name, depth)
        if name in self.found.defined:
            return
        self.found.symbols.setdefault(name, symbol)

    def use(self, name: str, depth: int) -> None:
        if name in self.later:
            raise self.fail(f"'{name}' is used before its definition (each equation reads only earlier ones)")
        self.found.read.add(name)
        if name not in self.found.defined:
            self.found.places.setdefault(name, (self.equation_number, -depth, name))
            number, deep, _ = self.found.places[name]
            if number == self.equation_number:
                self.found.places[name] = (number, min(deep, -depth), name)

    # ---- equations -------------------------------------------------------------------------------

    def left_side(self, lhs: Any) -> str:
        if isinstance(lhs, Indexed):
            return str(lhs.base.label)
        if isinstance(lhs, Symbol) and not isinstance(lhs, Idx):
            return str(lhs.name)
        raise self.fail(f"the left side '{lhs}' defines nothing; write v[i, k] or a Symbol")

    def equation(self, eq: Eq) -> None:
        name = self.left_side(eq.lhs)
        if name in self.found.defined:
            raise self.fail(f"'{name}' is defined a second time; give it another name")
        bound: frozenset[str] = frozenset()
        if isinstance(eq.lhs, Indexed):
            bound = frozenset(self.index(index) for index in eq.lhs.indices)
            if len(bound) < len(eq.lhs.indices):
                raise self.fail(f"the left side {eq.lhs} repeats an index")
        if name in self.found.indices:
            raise self.fail(f"'{name}' is defined, but it is the name of an index")
        self.expression(eq.rhs, bound, 0)
        self.later.discard(name)
        self.found.defined.append(name)
        if isinstance(eq.lhs, Indexed):
            self.axes(name, tuple(self.index(index) for index in eq.lhs.indices), eq.lhs)
        else:
            self.found.arrays[name] = self.found.written[name] = ()


def scan(equations: tuple[Eq, ...], declared: Iterable[Indexed] = ()) -> Findings:
    """Validate the equations, and arrays whose indices are declared; return what they are about."""
    if not equations:
        raise EquationError("equations: the list is empty")
    scan = _Scan()
    for number, eq in enumerate(equations, 1):
        scan.label, scan.equation_number = f"({number})", number
        if not isinstance(eq, Eq):
            hint = " (SymPy evaluates Eq(a, a) to true)" if eq in (True, sympy.true, False, sympy.false) else ""
            raise scan.fail(f"{eq!r} is not a sympy.Eq{hint}")
        scan.label = f"({number}) {eq.lhs} = {eq.rhs}"
        scan.later.add(scan.left_side(eq.lhs))
        # Ranges first: an index may be declared by the reduction of a later equation.
        for part in eq.atoms(Idx):
            if part.lower is not None and part.upper is not None:
                scan.range(str(part.name), part.lower, part.upper)
        for part in eq.atoms(*REDUCTIONS):
            for limit in part.limits:
                if len(limit) == 3 and isinstance(limit[0], Idx | Symbol):
                    scan.range(str(limit[0].name), limit[1], limit[2])
    for leaf in declared:
        scan.label, scan.equation_number = f"inputs: {leaf}", 0
        scan.axes(str(leaf.base.label), tuple(scan.index(index) for index in leaf.indices), leaf)
    for number, eq in enumerate(equations, 1):
        scan.label, scan.equation_number = f"({number}) {eq.lhs} = {eq.rhs}", number
        scan.equation(eq)
    found = scan.found
    _order_indices(found)
    _name_extents(found)
    found.scalars = [name for name in found.symbols if name not in found.indices.values()]
    for name in found.scalars:
        if name in found.indices:
            raise EquationError(f"'{name}' is both an index and a scalar; rename one")
    _check_identifiers(found)
    _check_extents(found)
    return found


def _check_extents(found: Findings) -> None:
    """Each extent is read off an axis of an input."""
    known = {extent for name, axes in found.arrays.items() if name not in found.defined for extent in axes}
    for index, extent in found.indices.items():
        if extent not in known and extent not in found.fixed_extents:
            raise EquationError(f"index '{index}': its extent {extent} is not that of an axis of any input")


def _order_indices(found: Findings) -> None:
    """Put the indices in the order in which they are written on the arrays, those with most indices first."""
    written = sorted(found.written.values(), key=len, reverse=True)
    order = dict.fromkeys(index for indices in written for index in indices)
    found.indices = {index: found.indices[index] for index in [*order, *sorted(set(found.indices) - set(order))]}


def _name_extents(found: Findings) -> None:
    """Give a name to the extent of an index whose range is not written."""
    for index, extent in found.indices.items():
        if not extent:
            found.indices[index] = f"{index}_extent"
    for name, indices in found.written.items():
        found.arrays[name] = tuple(
            extent or found.indices[index] for index, extent in zip(indices, found.arrays[name], strict=True)
        )


def _check_identifiers(found: Findings) -> None:
    taken: dict[str, str] = {}
    extents = [extent for extent in dict.fromkeys(found.indices.values()) if extent not in found.fixed_extents]
    for name in [*found.arrays, *found.scalars, *found.indices, *extents]:
        other = taken.setdefault(identifier(name), name)
        if other != name:
            raise EquationError(f"'{other}' and '{name}' become the same C identifier '{identifier(name)}'; rename one")
        if name in found.arrays and (name in found.indices or name in extents):
            raise EquationError(f"'{name}' is both an array and an index or extent; rename one")
    for extent in extents:
        if extent in found.indices:
            raise EquationError(f"'{extent}' is both an index and an extent; rename one")


def outputs(given: Iterable[Name], found: Findings) -> tuple[str, ...]:
    if isinstance(given, str | Symbol | IndexedBase):
        given = [given]
    if not isinstance(given, Iterable):
        raise EquationError(f"outputs: {given!r} is not a list of arrays or names")
    names = tuple(name_of(thing, "outputs") for thing in given)
    if not names:
        raise EquationError("outputs: the list is empty")
    for name in names:
        if name not in found.defined:
            raise EquationError(
                f"outputs: '{name}' is not defined by any equation; defined are {', '.join(found.defined)}"
            )
    if len(set(names)) < len(names):
        raise EquationError(f"outputs: {', '.join(names)} names an output twice")
    return names


def inputs(given: Iterable[Name] | None, found: Findings) -> tuple[str, ...]:
    known = [name for name in found.arrays if name not in found.defined] + found.scalars
    if given is None:

        def order(name: str) -> tuple[Any, ...]:
            return (name in found.scalars, -len(found.arrays.get(name, ())), *found.places[name])

        return tuple(sorted(known, key=order))
    names = tuple(name_of(one.base if isinstance(one, Indexed) else one, "inputs") for one in given)
    if sorted(names) != sorted(known):
        raise EquationError(f"inputs: {', '.join(names)} was given, but the equations read {', '.join(known)}")
    return names


def statistics(given: Iterable[Name] | None, found: Findings, outputs: tuple[str, ...]) -> frozenset[str]:
    if given is None:
        return frozenset(name for name in outputs if name in found.read)
    names = frozenset(name_of(thing, "statistics") for thing in given)
    for name in sorted(names):
        if name not in found.arrays or (name in found.defined and name not in outputs):
            raise EquationError(f"statistics: '{name}' is not an array input or an output")
    return names


def defaults(given: Mapping[Any, float] | None, found: Findings) -> dict[str, float]:
    named = {name_of(key, "defaults"): value for key, value in (given or {}).items()}
    for name in named:
        if name in found.defined or name not in (*found.arrays, *found.scalars):
            raise EquationError(f"defaults: '{name}' is not an input")
    try:
        return {name: float(value) for name, value in named.items()}
    except (TypeError, ValueError):
        bad = ", ".join(f"{value!r} for '{name}'" for name, value in named.items() if not isinstance(value, Real))
        raise EquationError(f"defaults: {bad} is not a number") from None


def optional(given: Mapping[Any, Name] | None, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> dict[str, str]:
    named = {name_of(key, "optional"): name_of(value, "optional") for key, value in (given or {}).items()}
    for output, name in named.items():
        if output not in outputs or name not in inputs:
            raise EquationError(f"optional: '{output}' must be an output and '{name}' an input")
    return named


def domains(given: Mapping[Any, sympy.Set] | None, found: Findings) -> dict[str, sympy.Set]:
    named = {name_of(key, "domains"): value for key, value in (given or {}).items()}
    for name, value in named.items():
        if name not in found.scalars:
            raise EquationError(f"domains: '{name}' is not a scalar input")
        if not isinstance(value, sympy.Set):
            raise EquationError(f"domains: {value!r} for '{name}' is not a sympy.Set such as Interval(0, 1)")
    for name in found.scalars:
        symbol = found.symbols[name]
        if name in named:
            continue
        if symbol.is_positive:
            named[name] = sympy.Interval.open(0, sympy.oo)
        elif symbol.is_nonnegative:
            named[name] = sympy.Interval(0, sympy.oo)
    return named
