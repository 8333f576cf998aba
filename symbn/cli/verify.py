"""``symbn verify-doc``: do a page's formulas say what an operator computes?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.markup import escape

from symbn import catalogue
from symbn.cli.console import console
from symbn.errors import ArgumentError
from symbn.parse import verify
from symbn.parse.verify import AGREES, DIFFERS, SKIPPED

_COLOURS = {AGREES: "green", DIFFERS: "bold red", SKIPPED: "dim"}


def run(path: Path, operator: str, names: Mapping[str, str]) -> bool:
    """A line for each formula; False if one differs."""
    verdicts = verify.verify(path, catalogue.load(operator)[0], names)
    for one in verdicts:
        colour = _COLOURS[one.outcome]
        reason = f"\n  {one.reason}" if one.reason else ""
        line = f"{path}:{one.formula.line}: [{colour}]{one.outcome}[/] {escape(one.formula.latex + reason)}"
        console.print(line, soft_wrap=True)
    wrong = [one for one in verdicts if one.outcome == DIFFERS]
    compared = [one for one in verdicts if one.outcome != SKIPPED]
    console.print(f"{len(compared) - len(wrong)} of {len(compared)} formulas agree with {operator}", markup=False)
    return not wrong


def renamings(options: list[str]) -> dict[str, str]:
    r"""``\nu_k=sigma2`` as {"\nu_k": "sigma2"}."""
    result = {}
    for option in options:
        latex, equals, name = option.rpartition("=")
        if not equals or not latex.strip() or not name.strip():
            raise ArgumentError(f"name: {option!r} is not LATEX=NAME, such as '\\nu_k=sigma2'")
        result[latex.strip()] = name.strip()
    return result
