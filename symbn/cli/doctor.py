"""``symbn doctor``: what the machine has, and what is missing."""

from __future__ import annotations

import platform
from collections.abc import Callable

from rich.table import Table
from rich.text import Text

from symbn import __version__
from symbn.build import cache, compiler
from symbn.cli.console import console
from symbn.errors import SymbnError


def run() -> bool:
    """Print the table; False if something is wrong."""
    problems: list[str] = []
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def row(name: str, value: Callable[[], str]) -> None:
        try:
            table.add_row(name, Text(value()))
        except SymbnError as error:
            table.add_row(name, "[red]see below[/]")
            if str(error) not in problems:
                problems.append(str(error))

    row("symbn", lambda: f"{__version__}, Python {platform.python_version()}")
    row("compiler", lambda: " ".join(compiler.find().command))
    row("version", lambda: compiler.find().identity.replace("\n", ", "))
    row("compiles", _compiles)
    row("flags", lambda: " ".join((*compiler.find().flags(), *compiler.native_target().flags)))
    row("OpenMP", lambda: "yes" if compiler.find().openmp else "no: kernels run on one thread")
    row("CPU", lambda: f"{_cpu()}, kernels for {compiler.native_target().name}")
    row("threads", _threads)
    row("check", _check)
    row("cache", _cache)
    row("shipped kernels", _shipped)
    console.print(table)
    for problem in problems:
        console.print("[red]problem:[/]", Text(problem), soft_wrap=True)
    console.print("[green]nothing is wrong[/]" if not problems else f"[red]{len(problems)} problem(s)[/]")
    return not problems


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _compiles() -> str:
    compiler.probe(compiler.find())
    return "yes"


def _threads() -> str:
    from symbn.run import settings

    return str(settings.get_num_threads())


def _check() -> str:
    from symbn.run import settings

    return settings.get_check()


def _cache() -> str:
    folder = cache.trusted_folder()
    entries, size = cache.size()
    return f"{folder}, {entries} kernels, {size / 1e6:.1f} MB"


def _shipped() -> str:
    from symbn.run import shipped

    return shipped.describe()
