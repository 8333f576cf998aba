"""What several commands show of kernels: how they are compiled, and how runs compare with the equations."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from symbn import pipeline
from symbn.cli.console import console
from symbn.equations.operator import Operator
from symbn.run.check import Report
from symbn.run.kernel import Kernel

#: (operator's name, dtype) -> kernel
Kernels = dict[tuple[str, str], Kernel]


def build(operators: Sequence[Operator], dtypes: Sequence[str]) -> Kernels:
    """Compile operators for some dtypes, and say how long that took."""
    kernels: Kernels = {}
    lines = []
    with progress() as bar:
        task = bar.add_task("generating and compiling C", total=len(operators) * len(dtypes))
        for operator in operators:
            for dtype in dtypes:
                bar.update(task, description=f"{operator.name}, {dtype}: generating C, compiling")
                begun = time.perf_counter()
                kernel = kernels[operator.name, dtype] = pipeline.build(operator, dtype)
                how = "from the cache" if kernel.cached else f"compiled in {time.perf_counter() - begun:.1f} s"
                lines.append(f"  {kernel.name}: {len(kernel.source.splitlines())} lines of C, {how}")
                bar.advance(task)
    console.print("[bold]Kernels[/]")
    for line in lines:
        console.print(line, soft_wrap=True)
    return kernels


def progress() -> Progress:
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, console=console, transient=True)


def table() -> Table:
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


def add_rows(table: Table, operator: str, report: Report) -> None:
    """A run in the table, a line for each output."""
    for output in report.outputs:
        worst = output.worst[0]
        verdict = "[green]good[/]" if output.passed else "[red]refused[/]"
        name = f"{output.name} ({output.dtype})"
        table.add_row(f"  {operator}", name, f"{worst.error:.4f}", f"{worst.limit:.2f}", verdict)
