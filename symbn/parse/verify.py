"""A page's formulas against an operator: which say what it computes, and which do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

from symbn.equations.operator import Operator
from symbn.errors import PageError
from symbn.parse import formulas, source
from symbn.parse.comparison import Comparison, Incomparable
from symbn.parse.formulas import Formula

AGREES, DIFFERS, SKIPPED = "agrees", "differs", "skipped"
_MOST_INDICES = 4


@dataclass(frozen=True)
class Verdict:
    """What became of a formula: agrees, differs or skipped; where it does not agree, why."""

    formula: Formula
    outcome: str
    reason: str = ""


def verify(path: str | Path, operator: Operator, names: Mapping[str, str] | None = None) -> tuple[Verdict, ...]:
    """Compare each formula of a page that defines what an operator computes with the operator.

    Parameters
    ----------
    path
        The Markdown page.
    operator
    names
        LaTeX of a name -> what the operator calls it, where that is not what the LaTeX says.

    Raises
    ------
    PageError
        If a formula cannot be read, or none of them defines anything that the operator computes.
    """
    text = source.load(path)
    squared = {name[:-1] for name in operator.arrays if name.endswith("2") and name[:-1] not in operator.arrays}
    found = formulas.read(text, names, squared - {""})
    # A page may write the indices of all its arrays in another order: x[k, i] for x[i, k].
    indices = tuple(operator.indices)
    orders = permutations(indices) if len(indices) <= _MOST_INDICES else iter([indices])
    as_written: tuple[Verdict, ...] | None = None
    for order in orders:
        verdicts = _verdicts(found, operator, order)
        as_written = as_written or verdicts
        if not any(one.outcome == DIFFERS for one in verdicts):
            as_written = verdicts
            break
    assert as_written is not None
    if all(one.outcome == SKIPPED for one in as_written):
        reasons = "\n".join(f"  line {one.formula.line}: {one.reason}" for one in as_written)
        raise PageError(
            f"{text.path}: none of its formulas can be compared with {operator.name}, which computes "
            f"{', '.join(operator.outputs)}; where the page has other names, say so, as in --name '\\nu_k=sigma2'"
            + (f"\n{reasons}" if reasons else "")
        )
    return as_written


def _verdicts(found: tuple[Formula, ...], operator: Operator, order: tuple[str, ...]) -> tuple[Verdict, ...]:
    definitions = {one.definition.name: one.definition for one in reversed(found) if one.definition is not None}
    lines = {one.definition.name: one.line for one in reversed(found) if one.definition is not None}
    comparison = Comparison(operator, definitions, order)
    return tuple(_verdict(one, comparison, lines) for one in found)


def _verdict(formula: Formula, comparison: Comparison, lines_of: Mapping[str, int]) -> Verdict:
    definition = formula.definition
    if definition is None:
        return Verdict(formula, SKIPPED, formula.reason)
    name, operator = definition.name, comparison.operator
    if name in operator.inputs and name not in comparison.program.defined:
        return Verdict(formula, SKIPPED, f"'{name}' is an input of {operator.name}")
    if name not in comparison.program.defined:
        return Verdict(formula, SKIPPED, f"{operator.name} has no '{name}'; it is followed where others read it")
    for value in definition.values:
        try:
            difference = comparison.difference(definition.left, value)
        except Incomparable as error:
            return Verdict(formula, SKIPPED, str(error))
        if difference is not None:
            followed = comparison.followed(definition.left, value)
            lines = ", ".join(f"'{one}' of line {lines_of[one]}" for one in followed)
            return Verdict(formula, DIFFERS, f"'{name}' {difference}" + (f"; it follows {lines}" if lines else ""))
    return Verdict(formula, AGREES)
