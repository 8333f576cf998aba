"""A Markdown page as an operator: its formulas in order, without those that say again what others say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sympy import Indexed, Symbol
from sympy.concrete.expr_with_limits import ExprWithLimits

from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.equations.order import in_order
from symbn.equations.validation import Name
from symbn.errors import EquationError, PageError
from symbn.parse import formulas, source
from symbn.parse.comparison import Comparison, Incomparable
from symbn.parse.expressions import Definition
from symbn.parse.formulas import Formula
from symbn.parse.source import Source


@dataclass(frozen=True)
class Page:
    """A page's formulas, each with what became of it, and the operator that they define."""

    path: Path
    formulas: tuple[Formula, ...]
    operator: Operator


def read(
    path: str | Path,
    *,
    name: str | None = None,
    outputs: Iterable[Name] | None = None,
    names: Mapping[str, str] | None = None,
) -> Page:
    """The operator that a page's displayed formulas define; arguments and errors as of ``Operator.from_markdown``."""
    text = source.load(path)
    found = formulas.read(text, names)
    if not found:
        raise PageError(
            f"{text.path}: no displayed formula; they stand in $$ .. $$, \\[ .. \\] or a ```math block, "
            "and what stands between single $ is not read"
        )
    told = _first_told(found)
    chosen = _ordered([one for one in told if one.definition is not None], text)
    if not chosen:
        reasons = "\n".join(f"  line {one.line}: {one.reason}" for one in found)
        raise PageError(f"{text.path}: none of its formulas defines anything\n{reasons}")
    definitions = [one.definition for one in chosen if one.definition is not None]
    try:
        operator = Operator(
            identifier(text.path.stem) if name is None else name,
            [one.equation for one in definitions],
            _outputs(told, definitions) if outputs is None else outputs,
            defaults=_defaults(found, definitions, text),
            description=f"The equations of {text.path.name}.",
        )
    except EquationError as error:
        if not error.number:
            raise PageError(f"{text.path}: {error}") from None
        raise PageError(_complaint(text, chosen[error.number - 1], str(error))) from None
    _agree(found, told, operator, text)
    return Page(text.path, told, operator)


def _complaint(text: Source, formula: Formula, message: str) -> str:
    return text.complaint(formula.line, formula.column, message)


def _first_told(found: tuple[Formula, ...]) -> tuple[Formula, ...]:
    """The formulas with the first definition of each name alone, and without values of numbers."""
    first: dict[str, Formula] = {}
    told = []
    for one in found:
        if one.definition is None:
            told.append(one)
        elif _is_value(one.definition):
            value = one.definition.values[0]
            told.append(replace(one, definition=None, reason=f"it is the default of '{one.definition.name}': {value}"))
        elif one.definition.name in first:
            line = first[one.definition.name].line
            told.append(replace(one, definition=None, reason=f"'{one.definition.name}' is defined at line {line}"))
        else:
            first[one.definition.name] = one
            told.append(one)
    return tuple(told)


def _is_value(definition: Definition) -> bool:
    """Is this but a number, such as epsilon = 10^{-5} or gamma_k = 1?"""
    return bool(definition.values[0].is_number)


def _defaults(found: Iterable[Formula], definitions: list[Definition], text: Source) -> dict[str, float]:
    """The numbers that a page gives to what its equations read."""
    read = frozenset[str]().union(*map(_reads, definitions))
    result: dict[str, float] = {}
    for one in found:
        if one.definition is not None and _is_value(one.definition) and one.definition.name in read:
            name, value = one.definition.name, float(one.definition.values[0])
            if result.setdefault(name, value) != value:
                raise PageError(_complaint(text, one, f"'{name}' is {result[name]} elsewhere on the page"))
    return result


def _reads(definition: Definition) -> frozenset[str]:
    return frozenset(str(symbol.name) for symbol in definition.values[0].atoms(Symbol))


def _ordered(chosen: list[Formula], text: Source) -> list[Formula]:
    def defines(formula: Formula) -> str:
        return "" if formula.definition is None else formula.definition.name

    def reads(formula: Formula) -> frozenset[str]:
        return frozenset() if formula.definition is None else _reads(formula.definition)

    try:
        return in_order(chosen, defines, reads)
    except ValueError as error:
        raise PageError(f"{text.path}: no order of its definitions is possible: {error}") from None


def _outputs(told: Iterable[Formula], definitions: list[Definition]) -> list[str]:
    """What no other equation reads, then the statistics: reductions with fewer indices than the data."""
    read = frozenset[str]().union(*(_reads(one) - {one.name} for one in definitions))
    leaves = {leaf for one in definitions for leaf in one.values[0].atoms(Indexed)}
    most = max((len(leaf.indices) for leaf in leaves), default=0)
    in_page = [one.definition for one in told if one.definition is not None]
    ends = [one.name for one in in_page if one.name not in read]
    return ends + [one.name for one in in_page if one.name in read and _is_statistic(one, most)]


def _is_statistic(definition: Definition, most: int) -> bool:
    indices: tuple[Any, ...] = definition.left.indices if isinstance(definition.left, Indexed) else ()
    return len(indices) < most and bool(definition.values[0].has(ExprWithLimits))


def _agree(found: tuple[Formula, ...], told: tuple[Formula, ...], operator: Operator, text: Source) -> None:
    """Everything that is said twice is said alike, up to algebra."""
    first = {one.definition.name: one for one in told if one.definition is not None}
    comparison: Comparison | None = None
    for one in found:
        definition = one.definition
        if definition is None or definition.name not in first:
            continue
        original = first[definition.name]
        others = definition.values[1:] if one in told else definition.values
        for value in others:
            comparison = comparison or Comparison(operator)
            try:
                difference = comparison.difference(definition.left, value)
            except Incomparable as error:
                raise PageError(
                    _complaint(text, one, f"'{definition.name}' is defined at line {original.line} too, and {error}")
                ) from None
            if difference is not None:
                raise PageError(
                    _complaint(text, one, f"this contradicts line {original.line}: '{definition.name}' {difference}")
                )
