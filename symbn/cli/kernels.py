"""How the commands show that kernels are compiled."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from symbn import pipeline
from symbn.cli.console import console
from symbn.equations.operator import Operator
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
