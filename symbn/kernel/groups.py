"""Computations -> groups: what can share one visit of the data, pass by pass.

A group has kept indices P and reduced indices Q. Each of its reductions goes over Q for every element of
P, each of its outputs lives on P and Q together or on P alone. Within a group a pass visits Q once; a
reduction must finish before the pass that reads it. What depends on P alone is computed once, between
the passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from symbn.kernel.computations import Computations, Map, Reduction, kept_array
from symbn.kernel.expressions import indices_of, loads
from symbn.kernel.ir import Const, Expr, Load, Op, Var
from symbn.kernel.naming import Names


@dataclass(frozen=True)
class Value:
    """A value on the kept indices, computed once for each of their elements."""

    name: str
    expr: Expr
    #: after which pass of the group it is known; 0 is before the first
    stage: int
    equation: int


@dataclass(frozen=True)
class Store:
    """An output element: ``array[indices] = value``, after or (on reduced indices) in pass ``stage``."""

    array: str
    indices: tuple[str, ...]
    value: Expr
    stage: int
    equation: int


@dataclass(frozen=True)
class Pass:
    """One visit of the reduced indices: what it accumulates and what it stores."""

    reductions: tuple[Reduction, ...]
    stores: tuple[Store, ...]
    #: reductions of another group, over the indices that this one keeps
    crossing: tuple[Reduction, ...] = ()
    #: does it visit the first terms alone, whose mean is near that of all?
    first: bool = False
    #: values of which one must not be 0 for the pass to be made
    needed: tuple[str, ...] = ()

    def expressions(self) -> Iterator[Expr]:
        """What is accumulated, then what is stored."""
        yield from (entry.body for entry in (*self.reductions, *self.crossing))
        yield from (store.value for store in self.stores)


@dataclass(frozen=True)
class Group:
    """Computations that share their loops."""

    kept: tuple[str, ...]
    reduced: tuple[str, ...]
    passes: tuple[Pass, ...]
    values: tuple[Value, ...]
    #: outputs on the kept indices alone
    stores: tuple[Store, ...]

    def parts(self) -> Iterator[str]:
        """The parts of the group's reductions, and its values."""
        for one in self.passes:
            for entry in one.reductions:
                yield from (entry.hi, entry.lo)
        yield from (value.name for value in self.values)

    def expressions(self) -> Iterator[Expr]:
        """Every expression of the group."""
        for one in self.passes:
            yield from one.expressions()
        yield from (value.expr for value in self.values)
        yield from (store.value for store in self.stores)

    def loads(self) -> Iterator[Load]:
        """Every element that the group reads."""
        for expr in self.expressions():
            yield from loads(expr)

    def reads(self, *others: Group) -> bool:
        """Does it read what one of some groups keeps for it?"""
        kept = {kept_array(part) for other in others for part in other.parts()}
        return any(load.array in kept for load in self.loads())


@dataclass
class _Draft:
    kept: frozenset[str]
    reduced: frozenset[str]
    reductions: list[Reduction] = field(default_factory=list)
    maps: list[Map] = field(default_factory=list)


def arrange(computations: Computations, names: Names) -> tuple[Group, ...]:
    """Put the computations into groups, in an order in which each reads only earlier ones."""
    order = [index for index, _ in computations.indices]
    drafts: list[_Draft] = []
    #: part of a reduction -> its group; and the subscripts that it is computed with
    place: dict[str, int] = {}
    own: dict[str, tuple[Var, ...]] = {}

    def after(expr: Expr) -> int:
        """The first group in which all that the expression reads is known.

        What a group computes for each element of its kept indices it knows there; at another element's
        place it is known only when the group has finished.
        """
        reads = [load for load in loads(expr) if load.array in place]
        return max((place[load.array] + (load.subscripts != own[load.array]) for load in reads), default=0)

    for reduction in computations.reductions:
        kept, reduced = frozenset(reduction.kept), frozenset(reduction.over)
        first = after(reduction.body)
        fitting = [j for j, draft in enumerate(drafts) if j >= first and (draft.kept, draft.reduced) == (kept, reduced)]
        if not fitting:
            drafts.append(_Draft(kept, reduced))
            fitting = [len(drafts) - 1]
        drafts[fitting[0]].reductions.append(reduction)
        place[reduction.hi] = place[reduction.lo] = fitting[0]
        own[reduction.hi] = own[reduction.lo] = tuple(Var(index) for index in reduction.kept)
    for entry in computations.maps:
        first, indices = after(entry.value), frozenset(entry.indices)
        once = _varying_less(entry)
        fitting = [
            j
            for j, draft in enumerate(drafts)
            if j >= first and (indices == draft.kept or (indices == draft.kept | draft.reduced and once <= draft.kept))
        ]
        if not fitting:
            kept = once or _hoistable(entry, order)
            drafts.append(_Draft(kept, indices - kept))
            fitting = [len(drafts) - 1]
        drafts[fitting[-1]].maps.append(entry)
    result = []
    for number, draft in enumerate(drafts):
        foreign = frozenset(part for part, group in place.items() if group != number)
        result.append(_finish(draft, order, foreign, names))
    return tuple(result)


def _varying_less(entry: Map) -> frozenset[str]:
    """The indices of all that an output reads which varies with fewer indices; none where these are all of them."""
    indices = frozenset(entry.indices)
    own = [indices_of(load) for load in loads(entry.value)]
    union = frozenset().union(*(one for one in own if one < indices))
    return union if union < indices else frozenset()


def _hoistable(entry: Map, order: list[str]) -> frozenset[str]:
    """The kept indices of an output that no reduction shares: where most of its work can be done once."""
    indices = frozenset(entry.indices)

    def partial(expr: Expr) -> list[frozenset[str]]:
        found = [indices_of(expr)] if isinstance(expr, Load | Op) else []
        if isinstance(expr, Op):
            for arg in expr.args:
                found.extend(partial(arg))
        return [one for one in found if one and one < indices]

    candidates = partial(entry.value)
    if candidates:
        return max(candidates, key=lambda one: (len(one), [index in one for index in order]))
    if len(indices) < 2:
        return indices
    return indices - {entry.indices[-1]}


def _finish(draft: _Draft, order: list[str], foreign: frozenset[str], names: Names) -> Group:
    kept = tuple(index for index in order if index in draft.kept)
    reduced = tuple(index for index in order if index in draft.reduced)
    hoist = Hoist(draft.kept, foreign, names)
    by_pass: dict[int, list[Reduction]] = {}
    for reduction in draft.reductions:
        body = hoist(reduction.body, reduction.equation)
        number = 1 + hoist.stage(body)
        by_pass.setdefault(number, []).append(replace(reduction, over=reduced, body=body))
        hoist.known_after(reduction, number)
    full = draft.kept | draft.reduced
    inner: list[Store] = []
    outer: list[Store] = []
    for entry in draft.maps:
        value = hoist(entry.value, entry.equation)
        on_reduced = bool(reduced) and frozenset(entry.indices) == full
        stage = hoist.stage(value) + on_reduced
        (inner if on_reduced else outer).append(Store(entry.name, entry.indices, value, stage, entry.equation))
    # All in one last pass: an output may be an input's own memory, which is still whole before it.
    count = max([*by_pass, *(store.stage for store in inner)], default=0)
    passes = tuple(
        Pass(tuple(by_pass.get(number, ())), tuple(inner) if number == count else ()) for number in range(1, count + 1)
    )
    return Group(kept, reduced, passes, tuple(hoist.values), tuple(outer))


class Hoist:
    """Replaces what depends on the kept indices alone by a value that is computed once."""

    def __init__(self, kept: frozenset[str], foreign: frozenset[str], names: Names) -> None:
        self.kept = kept
        #: parts of the reductions of other groups, read from where those groups keep them
        self.foreign = foreign
        self.stem = names.stem
        self.values: list[Value] = []
        self.names: dict[Expr, str] = {}
        #: value or part of a reduction of this group -> after which pass it is known
        self.stages: dict[str, int] = {}

    @classmethod
    def of(cls, group: Group, names: Names) -> Hoist:
        """One that knows what a group computes already."""
        result = cls(frozenset(group.kept), frozenset(), names)
        for value in group.values:
            result.values.append(value)
            result.names[value.expr] = value.name
            result.stages[value.name] = value.stage
        for number, one in enumerate(group.passes, 1):
            for reduction in one.reductions:
                result.known_after(reduction, number)
        return result

    def known_after(self, reduction: Reduction, number: int) -> None:
        self.stages[reduction.hi] = self.stages[reduction.lo] = number

    def stage(self, expr: Expr) -> int:
        """After which pass everything that the expression reads is known."""
        if isinstance(expr, Var):
            return self.stages.get(expr.name, 0)
        if isinstance(expr, Load):
            return self.stages.get(expr.array, 0)
        if isinstance(expr, Op):
            return max((self.stage(arg) for arg in expr.args), default=0)
        return 0

    def __call__(self, expr: Expr, equation: int) -> Expr:
        if isinstance(expr, Const | Var) or (isinstance(expr, Op) and not expr.args):
            return expr
        if indices_of(expr) <= self.kept:
            if isinstance(expr, Load) and expr.array in self.stages:
                return Var(expr.array)
            return Var(self.value(expr, equation))
        if isinstance(expr, Op):
            return Op(expr.name, tuple(self(arg, equation) for arg in expr.args))
        return self.inner(expr)

    def value(self, expr: Expr, equation: int) -> str:
        expr = self.inner(expr)
        if isinstance(expr, Var):
            return expr.name
        if expr not in self.names:
            name = self.stem(f"{expr.array}_here" if isinstance(expr, Load) else f"eq{equation}_part")
            self.names[expr] = name
            self.stages[name] = self.stage(expr)
            self.values.append(Value(name, expr, self.stages[name], equation))
        return self.names[expr]

    def inner(self, expr: Expr) -> Expr:
        """The expression over values already known, so that equal parts are computed once."""
        if isinstance(expr, Load):
            if expr.array in self.foreign:
                return Load(kept_array(expr.array), expr.subscripts)
            return Var(expr.array) if expr.array in self.stages else expr
        if isinstance(expr, Op):
            expr = Op(expr.name, tuple(self.inner(arg) for arg in expr.args))
            return Var(self.names[expr]) if expr in self.names else expr
        return expr


def crossed(rows: Group, columns: Group, names: Names) -> Group | None:
    """``rows`` with the reductions of ``columns``, which keeps what the former reduces and reduces what it keeps.

    None where they do not lie so, or where one reads what the other computes: they need a visit of the data each.
    """
    if (set(rows.kept), set(rows.reduced)) != (set(columns.reduced), set(columns.kept)):
        return None
    if len(columns.passes) != 1 or columns.passes[0].stores or not (rows.passes and rows.passes[0].reductions):
        return None
    if rows.reads(rows, columns) or columns.reads(rows, columns):
        return None
    hoist = Hoist.of(rows, names)
    whole = {value.name: value.expr for value in columns.values}
    crossing = tuple(
        replace(one, body=hoist(_written_out(one.body, whole), one.equation)) for one in columns.passes[0].reductions
    )
    whole_visit = next(number for number, one in enumerate(rows.passes) if not one.first)
    passes = tuple(
        replace(one, crossing=crossing) if number == whole_visit else one for number, one in enumerate(rows.passes)
    )
    return replace(rows, passes=passes, values=tuple(hoist.values))


def _written_out(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    """The expression with values in the place of their names."""
    if isinstance(expr, Var) and expr.name in values:
        return _written_out(values[expr.name], values)
    if isinstance(expr, Op):
        return Op(expr.name, tuple(_written_out(arg, values) for arg in expr.args))
    return expr
