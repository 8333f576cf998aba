"""Derived equations put together as an Operator: with what of the forward pass they need, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sympy import Eq

from symbn.derivation.program import Assignment, Program, indices_of, name_of, reads
from symbn.equations.operator import Operator
from symbn.equations.order import in_order


def assemble(
    program: Program,
    name: str,
    equations: Sequence[Assignment],
    new_inputs: Sequence[tuple[str, str]],
    new_outputs: Sequence[tuple[str, str]],
    description: str,
) -> Operator:
    """The operator of derived equations.

    ``new_inputs`` are (cotangent, whose shape it has), ``new_outputs`` (of what, the gradient's name). What the
    forward pass saves (its statistics) becomes an input, with the equations that define it given; what it does
    not save is computed again.
    """
    forward = program.operator
    inputs_before = frozenset(forward.inputs)
    saved = {
        own
        for own in (program.renamed(one) for one in forward.statistics)
        if own in program.defined and (not program.defined[own].given or own in inputs_before)
    }
    saved |= {one.name for one in program.assignments if one.given and one.name in inputs_before}
    again: dict[str, Assignment] = {}
    read: set[str] = set()
    waiting = [one for equation in equations for one in reads(equation.value)]
    while waiting:
        one = waiting.pop()
        if one in program.defined and one not in saved and one not in again:
            again[one] = program.defined[one]
            waiting += reads(program.defined[one].value)
        read.add(one)
    recomputed = [one for one in program.assignments if one.name in again]
    ordered = in_order([*recomputed, *equations], lambda one: one.name, lambda one: reads(one.value))
    cotangents = [own for own, _ in new_inputs]
    used = [one for one in saved if one in read]
    given = [one for one in _definitions(program, used) if one.name not in again]
    arrays = [one for one in forward.inputs if one in forward.arrays and one not in saved]
    rank = max((len(forward.arrays[one]) for one in arrays), default=0)
    data = [one for one in arrays if len(forward.arrays[one]) == rank]
    statistics = [one.name for one in program.assignments if one.name in used]
    order = [*data, *statistics, *(one for one in arrays if one not in data), *forward.scalars]
    inputs: list[Any] = [*(own for own in cotangents if own in read), *(one for one in order if one in read)]
    inputs += _shapes(program, ordered, [*new_inputs, *((one, one) for one in order)], inputs)
    wide = set(forward.statistics)
    wide_new = {own for own, like in new_inputs if like in {program.renamed(one) for one in wide}}
    wide_new |= {own for one, own in new_outputs if one in wide}
    # A number among the inputs has no dtype of its own.
    likes = dict(new_inputs)
    elements = {one: program.leaf(likes.get(one, one)) if isinstance(one, str) else one for one in inputs}
    shaped = {one if isinstance(one, str) else name_of(one) for one, leaf in elements.items() if indices_of(leaf)}
    shaped |= {own for _, own in new_outputs}
    # What is not given is zero: the cotangent of a statistic or an optional output, the tangent of an optional input.
    absent = {program.renamed(one) for one in (*forward.optional, *forward.defaults)}
    zero = {own: 0.0 for own, like in new_inputs if own in wide_new or like in absent}
    return Operator(
        name,
        [one.equation for one in ordered],
        [own for _, own in new_outputs],
        inputs=inputs,
        statistics=[one for one in (*used, *wide, *wide_new) if one in shaped],
        defaults={one: value for one, value in {**forward.defaults, **zero}.items() if one in inputs},
        optional={own: one for one, own in new_outputs if one in forward.defaults and one in shaped},
        domains={one: value for one, value in forward.domains.items() if one in inputs},
        given=[Eq(one.target, one.value, evaluate=False) for one in given],
        description=description,
    )


def _definitions(program: Program, names: Sequence[str]) -> list[Assignment]:
    """The equations that say what some saved arrays hold, with those that these read."""
    wanted, waiting = set(), list(names)
    while waiting:
        one = waiting.pop()
        if one in program.defined and one not in wanted:
            wanted.add(one)
            waiting += reads(program.defined[one].value)
    return [one for one in program.assignments if one.name in wanted]


def _shapes(
    program: Program, equations: Sequence[Assignment], candidates: Sequence[tuple[str, str]], inputs: Sequence[str]
) -> list[Any]:
    """Inputs that are read for nothing but their extents, because no other input has those."""
    names = {one.name for one in equations}
    shapes = {own: program.leaf(like) for own, like in candidates}

    def extents(leaf: Any) -> set[Any]:
        return {extent for index in indices_of(leaf) if not (extent := program.extent(index)).is_Integer}

    known = set().union(*(extents(shapes[own]) for own in inputs if own in shapes))
    wanted = set().union(*(extents(one.target) for one in equations))
    for equation in equations:
        for part in equation.value.atoms():
            if part in program.extents and not part.is_Integer:
                wanted.add(part)
    result = []
    for own, like in candidates:
        missing = wanted - known
        if own not in inputs and own not in names and missing & extents(shapes[own]):
            result.append(program.array(own, like) if own != like else shapes[own])
            known |= extents(shapes[own])
    return result
