"""Derived equations put together as an Operator: with what of the forward pass they need, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symbn.derivation.program import Assignment, Program, indices_of, name_of, needed, reads
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
    saved = _saved(program)
    again = _recomputed(program, equations, saved)
    ordered = in_order([*again, *equations], lambda one: one.name, lambda one: reads(one.value))
    read = frozenset().union(*(reads(one.value) for one in ordered))
    used = [one.name for one in program.assignments if one.name in saved & read]
    candidates = [*new_inputs, *((name, name) for name in _order(program, saved, used))]
    inputs: list[Any] = [own for own, _ in candidates if own in read]
    inputs += _shapes(program, ordered, candidates, inputs)
    names = [one if isinstance(one, str) else name_of(one) for one in inputs]
    # A number among the inputs has no dtype of its own.
    arrays = {own for own, like in candidates if own in names and indices_of(program.leaf(like))}
    renamed_wide = {program.renamed(one) for one in forward.statistics}
    wide = {*used, *forward.statistics, *(own for own, like in new_inputs if like in renamed_wide)}
    wide |= {own for one, own in new_outputs if one in forward.statistics}
    # What is not given is zero: the cotangent of a statistic or an optional output, the tangent of an optional input.
    absent = {program.renamed(one) for one in (*forward.statistics, *forward.optional, *forward.defaults)}
    defaults = {**forward.defaults, **{own: 0.0 for own, like in new_inputs if like in absent}}
    return Operator(
        name,
        [one.equation for one in ordered],
        [own for _, own in new_outputs],
        inputs=[_element(program, one, dict(candidates)) for one in inputs],
        statistics=sorted(wide & (arrays | {own for _, own in new_outputs})),
        defaults={one: value for one, value in defaults.items() if one in names},
        optional={own: one for one, own in new_outputs if one in forward.defaults and one in arrays},
        domains={one: value for one, value in forward.domains.items() if one in names},
        given=[one.equation for one in _definitions(program, used) if one not in again],
        description=description,
    )


def _element(program: Program, one: Any, like: Mapping[str, str]) -> Any:
    """An input with its indices as the forward pass has them, on whatever it is read here."""
    if not isinstance(one, str):
        return one
    return program.array(one, like[one]) if like[one] != one else program.leaf(one)


def _saved(program: Program) -> frozenset[str]:
    """What the forward pass leaves: the statistics that it returns, or takes itself because another left them."""
    forward = program.operator
    inputs = frozenset(forward.inputs)
    own = {program.renamed(one) for one in forward.statistics} & program.defined.keys()
    own = {one for one in own if one in inputs or not program.defined[one].given}
    return frozenset(own | {one.name for one in program.assignments if one.given and one.name in inputs})


def _recomputed(program: Program, equations: Sequence[Assignment], saved: frozenset[str]) -> list[Assignment]:
    """The forward equations that the new ones depend on, but for what is saved."""
    values = {one.name: one.value for one in program.assignments if one.name not in saved}
    wanted = needed((one for equation in equations for one in reads(equation.value)), values)
    return [one for one in program.assignments if one.name in wanted]


def _order(program: Program, saved: frozenset[str], used: Sequence[str]) -> list[str]:
    """The forward pass's inputs as a gradient takes them: the data, then what is saved, parameters, numbers."""
    forward = program.operator
    arrays = [one for one in forward.inputs if one in forward.arrays and one not in saved]
    rank = max((len(forward.arrays[one]) for one in arrays), default=0)
    data = [one for one in arrays if len(forward.arrays[one]) == rank]
    numbers = [one for one in forward.scalars if one not in saved]
    return [*data, *used, *(one for one in arrays if one not in data), *numbers]


def _definitions(program: Program, names: Sequence[str]) -> list[Assignment]:
    """The equations that say what some saved arrays hold, with those that these read."""
    wanted = needed(names, {one.name: one.value for one in program.assignments})
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
