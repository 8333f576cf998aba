"""An operator's equations with one symbol for each name, ready to be differentiated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations
from typing import Any

import sympy
from sympy import Add, Expr, Float, Idx, Indexed, IndexedBase, Mul, Sum, Symbol

from symbn.derivation.expressions import (
    Assignment,
    Index,
    bound_by,
    free,
    is_leaf,
    leaves,
    name_of,
    reads,
)
from symbn.derivation.reductions import alone
from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.equations.reductions import REDUCTIONS, is_reduction

_LETTERS = "ijklmnopqrstuvwabcdefgh"


class Program:
    """Equations in order, inputs, and a supply of names that nothing else has.

    Parameters
    ----------
    operator
        Whose equations these are; those that hold between its inputs come first.
    new
        Names that are to be given away (gradients and their cotangents). An equation of the operator that
        defines one of them is renamed: only its inside knows it.
    """

    def __init__(self, operator: Operator, new: Iterable[str] = ()) -> None:
        self.operator = operator
        self._objects: dict[str, Any] = {}
        self._indices: dict[str, Index] = {}
        self._extents: dict[str, Any] = {}
        equations = operator.system
        for eq in equations:
            for part in sympy.preorder_traversal(eq):
                self._collect(part)
        known = (*self._objects, *operator.indices, *self._extents, *map(str, self._extents.values()))
        self._taken = {identifier(name) for name in (*known, *operator.indices.values(), *operator.inputs)}
        self._renamed: dict[str, str] = {}
        defined = {name_of(eq.lhs) for eq in operator.equations}
        for name in new:
            if name in defined:
                self._renamed[name] = self.fresh(f"{name}_1")
            self._taken.add(identifier(name))
        written = [Assignment(self.canonical(eq.lhs), self.canonical(eq.rhs), eq in operator.given) for eq in equations]
        self.assignments = alone(written, self)
        #: what these equations define that the operator's do not
        self.introduced = frozenset(one.name for one in self.assignments) - {one.name for one in written}
        self.defined = {one.name: one for one in self.assignments}
        #: a magnitude does not care for the sign of a difference, which the other equations choose
        even = {part.args[0] for one in self.assignments for part in one.value.atoms(sympy.Abs)}
        self._differences = {part for one in self.assignments for part in one.value.atoms(Add)} - even

    # ---- one object for each name ----------------------------------------------------------------

    def _collect(self, part: Any) -> None:
        if isinstance(part, Indexed):
            self._note(name_of(part), part.base.label)
            for index in part.indices:
                if isinstance(index, Idx) and index.upper is not None:
                    if index.lower == 1:
                        self._indices.setdefault(str(index.name), index)
                    self._extents.setdefault(str(index.name), sympy.expand(index.upper - index.lower + 1))
        elif is_reduction(part):
            for index, lower, upper in part.limits:
                self._extents.setdefault(str(index.name), sympy.expand(upper - lower + 1))
        elif isinstance(part, Symbol) and not isinstance(part, Idx):
            self._note(str(part.name), part)

    def _note(self, name: str, symbol: Symbol) -> None:
        """One symbol for a name; where there are several, one that assumes nothing, so that all of them are meant."""
        known = self._objects.setdefault(name, symbol)
        if known != symbol:
            self._objects[name] = Symbol(name)

    def canonical(self, expr: Any) -> Any:
        """The expression over this program's objects, with every reduction from 1."""
        if isinstance(expr, Indexed):
            base = IndexedBase(self._objects[name_of(expr)])
            name = self._renamed.get(name_of(expr), "")
            return (IndexedBase(name) if name else base)[tuple(self.index(str(one.name)) for one in expr.indices)]
        if is_reduction(expr):
            over = [self.index(str(one.name)) for one in bound_by(expr)]
            return reduction(expr.func, self.canonical(expr.function), over, self)
        if isinstance(expr, Symbol):
            name = str(expr.name)
            return Symbol(self._renamed[name]) if name in self._renamed else self._objects[name]
        if isinstance(expr, Float):
            return _exact(expr)
        return expr.func(*map(self.canonical, expr.args)) if expr.args else expr

    def array(self, name: str, written: str) -> Any:
        """A new array or number on the indices of one that there is already, under its own or its former name."""
        indices = tuple(self.index(index) for index in self.written(written))
        return IndexedBase(name)[indices] if indices else Symbol(name)

    def written(self, name: str) -> tuple[str, ...]:
        """The names of the indices that an array was first written with."""
        if name in self.defined:
            return tuple(str(index.name) for index in self.defined[name].indices)
        return self.operator.written.get(name, ())

    def leaf(self, name: str) -> Any:
        """An input or a definition on the indices that it was first written with."""
        if name in self.defined:
            return self.defined[name].target
        if name in self.operator.arrays:
            indices = tuple(self.index(index) for index in self.operator.written[name])
            known = self._objects.get(name)
            return IndexedBase(name if known is None else known)[indices]
        return self._objects[name]

    def inputs_of(self, expr: Any) -> list[str]:
        """The names in an expression that no equation defines, in order."""
        names = dict.fromkeys(name_of(leaf) for leaf in leaves(expr) if leaf not in self.extents)
        return [name for name in names if name not in self.defined]

    def renamed(self, name: str) -> str:
        """What this program calls a definition of the operator."""
        return self._renamed.get(name, name)

    # ---- names and indices -------------------------------------------------------------------------

    def fresh(self, name: str) -> str:
        """The name, or where something has it already the name with a number."""
        result, number = name, 1
        while identifier(result) in self._taken:
            number += 1
            result = f"{name}_{number}"
        self._taken.add(identifier(result))
        return result

    def index(self, name: str) -> Index:
        """The one object for an index: the equations' own where it knows its range."""
        if name not in self._indices:
            self._indices[name] = Idx(name, (1, self.extent(name)))
        return self._indices[name]

    def extent(self, index: Any) -> Any:
        """The extent of an index (or of an index's name) as a Symbol or an Integer."""
        name = index if isinstance(index, str) else str(index.name)
        if name not in self._extents:
            text = self.operator.indices[name]
            size = self.operator.fixed_extents.get(text)
            self._extents[name] = self._objects.get(text, Symbol(text)) if size is None else sympy.Integer(size)
        return self._extents[name]

    @property
    def extents(self) -> frozenset[Any]:
        """The symbols of the extents, which are whole positive numbers."""
        for name in self.operator.indices:
            self.extent(name)
        return frozenset(self._extents.values())

    def fresh_index(self, like: Index, avoid: Iterable[Index]) -> Index:
        """An index of the same extent that is not among those to avoid, one of the operator's own if there is one."""
        avoid = set(avoid)
        extent = self.extent(like)
        for name in [*self.operator.indices, *self._extents]:
            if self.extent(name) == extent and self.index(name) not in avoid:
                return self.index(name)
        own = str(like.name)
        start = _LETTERS.find(own) + 1 if len(own) == 1 else 0
        free_letters = [one for one in _LETTERS[start:] + _LETTERS[:start] if identifier(one) not in self._taken]
        name = free_letters[0] if free_letters else self.fresh(own)
        self._taken.add(identifier(name))
        self._extents[name] = extent
        return self.index(name)

    def rename(self, expr: Any, names: Mapping[Index, Index]) -> Any:
        """The expression with free indices renamed, all at once; bound ones give way where they would capture."""
        names = {old: new for old, new in names.items() if old != new and old in free(expr)}
        if not names:
            return expr
        if isinstance(expr, Indexed):
            return expr.base[tuple(names.get(index, index) for index in expr.indices)]
        if is_reduction(expr):
            body, over = expr.function, list(bound_by(expr))
            for place, index in enumerate(over):
                if index in names.values():
                    over[place] = self.fresh_index(index, {*free(body), *over, *names.values()})
                    body = self.rename(body, {index: over[place]})
            return reduction(expr.func, self.rename(body, names), over, self)
        return expr.func(*(self.rename(arg, names) for arg in expr.args))

    def renamings(self, indices: Iterable[Index], others: Iterable[Index]) -> Iterator[dict[Index, Index]]:
        """The ways in which some indices can stand for others that have the same extents."""
        indices = list(indices)
        for chosen in permutations(sorted(others, key=str), len(indices)):
            if all(self.extent(old) == self.extent(new) for old, new in zip(indices, chosen, strict=True)):
                yield dict(zip(indices, chosen, strict=True))

    def match(self, pattern: Any, indices: Iterable[Index], expr: Any, scope: Iterable[Index]) -> Any:
        """The renaming of indices that turns a pattern into an expression; None where there is none."""
        if reads(pattern) != reads(expr):
            return None
        wanted = self.tidy(expr, scope)
        return next(
            (
                names
                for names in self.renamings(indices, free(expr))
                if self.tidy(self.rename(pattern, names), scope) == wanted
            ),
            None,
        )

    def tidy(self, expr: Any, scope: Iterable[Index]) -> Any:
        """The expression with no reduction over an index that is in use outside, and with ``2*(x - mu)`` kept whole."""
        return self._whole(self.distinct(expr, scope))

    def distinct(self, expr: Any, scope: Iterable[Index]) -> Any:
        """The expression with each reduction over the first indices that mean nothing outside: equal ones look so."""
        scope = set(scope)
        if is_reduction(expr):
            taken, names = scope | free(expr), dict[Index, Index]()
            for index in bound_by(expr):
                names[index] = self.fresh_index(index, {*taken, *names.values()})
            body = self.distinct(self.rename(expr.function, names), taken | {*names.values()})
            return reduction(expr.func, body, names.values(), self)
        if is_leaf(expr) or not expr.has(*REDUCTIONS):
            return expr
        return expr.func(*(self.distinct(arg, scope) for arg in expr.args))

    def _whole(self, expr: Any) -> Any:
        """Differences as the equations write them, with their number and their sign as a factor in front."""
        if is_leaf(expr) or not expr.args:
            return expr
        args = [self._whole(arg) if not isinstance(arg, sympy.Tuple) else arg for arg in expr.args]
        if isinstance(expr, Mul) and len(args) > 1:
            args = [part for arg in args for part in (self.primitive(arg) if isinstance(arg, Add) else (arg,))]
        if isinstance(expr, Sum) and isinstance(args[0], Mul) and args[0].could_extract_minus_sign():
            return -Sum(-args[0], *expr.limits)
        if isinstance(expr, sympy.sign) and isinstance(args[0], Add):
            content, rest = self.primitive(args[0])
            return sympy.sign(content) * sympy.sign(rest)
        return expr.func(*args)

    def primitive(self, expr: Add) -> tuple[Any, Any]:
        """A sum of terms as a number and a sum with that number taken out, signed as in the equations."""
        content, rest = expr.primitive()
        if rest not in self._differences and (-rest in self._differences or _negative(rest)):
            content, rest = -content, -rest
        return content, rest


def _exact(number: Float) -> Any:
    """The decimal number that was written, where it is short; else the binary one that is meant by its digits."""
    text = repr(float(number))
    short = len(text.partition("e")[0].replace(".", "").strip("-0")) <= 15
    return sympy.Rational(text) if short and float(number) == number else sympy.Rational(number)


def _negative(expr: Add) -> bool:
    return all(term.could_extract_minus_sign() for term in expr.args)


def total(body: Any, over: Iterable[Index], program: Program) -> Expr:
    """The Sum of a body over some indices."""
    return reduction(Sum, body, over, program)


def reduction(kind: Any, body: Any, over: Iterable[Index], program: Program) -> Expr:
    """The reduction of a body over some indices; the body itself where there are none."""
    limits = [(index, 1, program.extent(index)) for index in over]
    return kind(body, *limits) if limits else body
