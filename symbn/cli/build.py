"""``symbn build``: a Markdown page from its formulas to checked kernels, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import sympy
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from symbn import dtypes, pipeline
from symbn.cli import kernels
from symbn.cli.console import console
from symbn.derivation.derivation import Derivation
from symbn.dtypes import DTYPES
from symbn.equations import notation
from symbn.equations.operator import Operator
from symbn.errors import DerivationError
from symbn.generate import files
from symbn.parse import page
from symbn.parse.page import Page
from symbn.run.check import Report
from symbn.run.kernel import Kernel

#: extents of the arrays that are drawn, in the order of the operator's extents
_SIZES = (64, 24, 7, 5, 3)
_SMALL = 1e-5


def run(path: Path, names: Mapping[str, str], dtype: str | None, output: Path | None) -> bool:
    """Show everything; False if a run failed its check."""
    kinds = [*DTYPES] if dtype is None else [dtypes.dtype(dtype).name]
    found = page.read(path, names=names)
    operator = found.operator
    _formulas(found)
    console.print(f"\n[bold]Equations[/] of {_signature(operator)}", soft_wrap=True)
    console.print(Text(notation.terminal(operator.equations)))
    derivation = _derivation(operator)
    operators = [operator] if derivation is None else [operator, derivation.collapsed]
    console.print()
    built = kernels.build(operators, kinds)
    console.print("\n[bold]Runs[/] on random numbers, each element of each output against the equations:")
    table, good = _runs(operators, built, kinds)
    console.print(table)
    if output is not None:
        texts: dict[str, str] = {}
        for one in operators:
            sources = [pipeline.emit(one, DTYPES[kind]) for kind in kinds]
            texts |= files.texts(one, sources, derivation if one is operator else None)
        console.print(f"wrote {len(files.put(texts, output))} files to {output}", markup=False, soft_wrap=True)
    return good


def _formulas(found: Page) -> None:
    defined = [one for one in found.formulas if one.definition is not None]
    console.print(
        f"[bold]Formulas[/] of {found.path}: {len(defined)} of {len(found.formulas)} define something", soft_wrap=True
    )
    for one in found.formulas:
        outcome = ("[dim]skipped[/]", one.reason) if one.definition is None else ("[green]defined[/]", one.latex)
        console.print(f"  line {one.line:<4} {outcome[0]} {escape(outcome[1])}", soft_wrap=True)


def _signature(operator: Operator) -> str:
    return f"{operator.name}({', '.join(operator.inputs)}) → {', '.join(operator.outputs)}"


def _derivation(operator: Operator) -> Derivation | None:
    """The gradient, and the last line of its derivation for each input."""
    try:
        derivation: Derivation = operator.derivation()
    except DerivationError as error:
        console.print(f"\n[bold]Gradient[/]: none; {error}", soft_wrap=True)
        return None
    steps = len(derivation.steps)
    console.print(f"\n[bold]Gradient[/] in {steps} steps, each proved in exact rational arithmetic:")
    console.print(Text(notation.terminal(derivation.collapsed.equations)))
    return derivation


def _runs(operators: list[Operator], built: kernels.Kernels, kinds: list[str]) -> tuple[Table, bool]:
    table = _table()
    good = True
    random = np.random.default_rng(0)
    for kind in kinds:
        table.add_row(f"[bold]{kind}[/]")
        known: dict[str, Any] = {}
        for label, operator in zip(("forward", "gradient"), operators, strict=False):
            kernel = built[operator.name, kind]
            inputs = _inputs(operator, kernel, known, random)
            report = kernel.report(**inputs)
            good = good and report.passed
            _add_rows(table, label, report)
            result = kernel(check="off", **inputs)
            known.update(inputs)
            known.update(result._asdict() if hasattr(result, "_asdict") else {operator.outputs[0]: result})
    return table, good


def _table() -> Table:
    """A table of runs: largest error and limit of each output."""
    result = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title in ("operator", "output"):
        result.add_column(title, no_wrap=True)
    for title in ("error", "limit"):
        result.add_column(title, justify="right", no_wrap=True)
    result.add_column("verdict", no_wrap=True)
    result.caption = "largest error and its limit in scaled ulps of the output; statistics are float64 for any data"
    result.caption_justify = "left"
    return result


def _add_rows(table: Table, operator: str, report: Report) -> None:
    """A run in the table, a line for each output."""
    for output in report.outputs:
        worst = output.worst[0]
        verdict = "[green]good[/]" if output.passed else "[red]refused[/]"
        name = f"{output.name} ({output.dtype})"
        table.add_row(f"  {operator}", name, f"{worst.error:.4f}", f"{worst.limit:.2f}", verdict)


def _inputs(
    operator: Operator, kernel: Kernel, known: Mapping[str, Any], random: np.random.Generator
) -> dict[str, Any]:
    """An array or a number for each input: what an earlier run had or made, or random ones."""
    extents = dict(zip(dict.fromkeys(operator.indices.values()), cycle(_SIZES), strict=False))
    extents.update(operator.fixed_extents)
    most = max((len(axes) for axes in operator.arrays.values()), default=0)
    result: dict[str, Any] = {}
    for name in operator.inputs:
        if name in known:
            result[name] = known[name]
        elif name in operator.arrays:
            axes = operator.arrays[name]
            shape = [extents[extent] for extent in axes]
            data = len(axes) == most
            drawn = random.normal(1.0, 2.0, shape) if data else random.uniform(0.5, 1.5, shape)
            result[name] = drawn.astype(kernel.dtype)
        else:
            result[name] = operator.defaults.get(name, _number(operator.domains.get(name, sympy.S.Reals)))
    return result


def _number(domain: sympy.Set) -> float:
    """A number of a domain: a small one where it is only known to be positive."""
    if domain == sympy.S.Reals:
        return 0.75
    if isinstance(domain, sympy.Interval) and domain.end.is_infinite:
        return float(domain.start) + _SMALL
    if isinstance(domain, sympy.Interval):
        return float((domain.start + domain.end) / 2)
    return float(next(iter(domain)))
