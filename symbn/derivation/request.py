"""What a derivative is asked of and with respect to, and what its new arrays are called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sympy
from sympy import Indexed

from symbn.derivation.expressions import name_of, reads
from symbn.derivation.program import Program
from symbn.equations import validation
from symbn.equations.operator import Operator
from symbn.errors import DerivationError, EquationError


def outputs(operator: Operator, of: Iterable[Any] | None) -> list[str]:
    """The outputs that are asked for; by default those that are no statistics."""
    if of is None:
        plain = [name for name in operator.outputs if name not in operator.statistics]
        return plain or list(operator.outputs)
    names = _listed(of, "of")
    for name in names:
        if name not in operator.outputs:
            raise DerivationError(
                f"of: {name!r} is not an output of {operator.name}; it has {', '.join(operator.outputs)}"
            )
    return names


def inputs(operator: Operator, wrt: Iterable[Any] | None) -> list[str]:
    """The inputs that are asked for; by default the arrays that are no statistics and follow from no others."""
    saved = {name_of(eq.lhs) for eq in operator.given}
    if wrt is None:
        free = [name for name in operator.inputs if name in operator.arrays and name not in saved]
        names = [name for name in free if name not in operator.statistics] or free
        if not names:
            raise DerivationError(f"wrt: {operator.name} has no array input; name what to differentiate by, wrt=[...]")
        return names
    names = _listed(wrt, "wrt")
    for name in names:
        if name in saved:
            raise DerivationError(f"wrt: {name!r} follows from other inputs of {operator.name}; name those")
        if name not in operator.inputs:
            raise DerivationError(
                f"wrt: {name!r} is not an input of {operator.name}; it has {', '.join(operator.inputs)}"
            )
    return names


def _listed(given: Any, argument: str) -> list[str]:
    if isinstance(given, str | sympy.Symbol | sympy.IndexedBase | Indexed):
        given = [given]
    try:
        names = [validation.name_of(one.base if isinstance(one, Indexed) else one, argument) for one in given]
    except EquationError as error:
        raise DerivationError(str(error)) from None
    except TypeError:
        raise DerivationError(f"{argument}: {given!r} is not a list of names") from None
    if not names:
        raise DerivationError(f"{argument}: the list is empty")
    return list(dict.fromkeys(names))


def taken(operator: Operator) -> set[str]:
    """The names that a gradient's own inputs and outputs may not have: those of its other inputs, and of loops."""
    return {*operator.inputs, *operator.statistics, *operator.indices, *operator.indices.values()}


def names(names: list[str], taken: set[str]) -> dict[str, str]:
    """The name of the gradient for each of some names: d and the name; with a number where an input has that."""
    result = {}
    for name in names:
        own, number = f"d{name}", 1
        while own in taken:
            number += 1
            own = f"d{name}_{number}"
        taken.add(own)
        result[name] = own
    return result


def _dependent(program: Program, inputs: frozenset[str]) -> frozenset[str]:
    """What varies with some inputs."""
    found = set(inputs)
    for equation in program.assignments:
        if reads(equation.value) & found:
            found.add(equation.name)
    return frozenset(found)


def _influencing(program: Program, outputs: frozenset[str]) -> frozenset[str]:
    """What some outputs vary with."""
    found = set(outputs)
    for equation in reversed(program.assignments):
        if equation.name in found:
            found |= reads(equation.value)
    return frozenset(found)


def active(program: Program, inputs: Iterable[str], outputs: Iterable[str]) -> frozenset[str]:
    """The names through which some inputs act on some outputs, these among them."""
    return _dependent(program, frozenset(inputs)) & _influencing(program, frozenset(outputs))


def about(what: str, operator: Operator) -> str:
    """What a derived operator is, with the forward operator's first line and source."""
    title, _, rest = operator.description.partition("\n")
    source = rest.partition("Source:")[2].strip()
    about = f"The {what} of {operator.name}, derived from its equations.\n"
    about += f"\n{title.rstrip('.')}.\n" if title else ""
    return about + (f"\nSource of the equations: {source}\n" if source else "")
