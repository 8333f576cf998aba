"""``symbn bench``: symbn beside everybody else who is installed, in speed and in accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from symbn import files
from symbn.bench import cases, compare, picture, results, session, tables
from symbn.bench.results import Results
from symbn.cli.console import console
from symbn.errors import ArgumentError

_WIDTH = 150


def run(
    operators: Sequence[str],
    shapes: Sequence[str],
    layouts: Sequence[str],
    dtypes: Sequence[str],
    threads: Sequence[str],
    rounds: int,
    out: Path | None,
    earlier: Path | None,
) -> bool:
    """Measure and show everything; False if something is slower than in the earlier run."""
    chosen = cases.choose(*map(_split, (operators, shapes, layouts, dtypes)))
    numbers = [_number(one) for one in _split(threads)]
    before = None if earlier is None else results.load(earlier)
    if out is not None:
        _folder(out)
    found = _measured(chosen, numbers, rounds)
    _show(found)
    if out is not None:
        _write(found, out)
    return before is None or _compare(before, found)


def _split(options: Sequence[str]) -> list[str]:
    """``["a,b", "c"]`` as ``["a", "b", "c"]``."""
    return [part.strip() for option in options for part in option.split(",") if part.strip()]


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentError(f"threads: {text!r} is not a number of threads; expected 1 or more, such as 1,2")
    return int(text)


def _folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"out: {out} is no folder to write to: {error.strerror or error}") from None


def _measured(chosen: Sequence[cases.Case], threads: Sequence[int], rounds: int) -> Results:
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=session.steps(chosen, threads))

        def progress(label: str) -> None:
            bar.update(task, description=label, advance=1)

        return session.run(chosen, threads, rounds, progress)


def _show(found: Results) -> None:
    # A table whose cells are cut at a narrow edge cannot be read.
    wide = Console(width=max(console.width, _WIDTH), emoji=False, highlight=False)
    wide.print(tables.terminal(found))
    for name, why in found.absent.items():
        console.print(Text(f"not measured: {name}: {why}"), soft_wrap=True)


def _write(found: Results, out: Path) -> None:
    results.save(found, out / "bench.json")
    files.write(out / "bench.md", lambda file: file.write(tables.markdown(found).encode()), "out")
    written = [out / "bench.json", out / "bench.md"]
    if picture.available():
        written += picture.draw(found, out)
    else:
        console.print("no picture is drawn: matplotlib is not installed; python -m pip install 'symbn[bench]'")
    console.print(f"wrote {', '.join(map(str, written))}", markup=False, soft_wrap=True)


def _compare(before: Results, found: Results) -> bool:
    changes = compare.changes(before, found)
    if not changes:
        raise ArgumentError("compare: the earlier run has no case in common with this one")
    table = Table(title="against the earlier run", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for head in ("operator", "shape", "threads", "before", "after", "times", "noise"):
        table.add_column(head, justify="left" if head in ("operator", "shape") else "right", no_wrap=True)
    for one in changes:
        if one.slower or one.faster:
            style = "red" if one.slower else "green"
            figures = (f"{one.before:.2f}", f"{one.after:.2f}", f"[{style}]{one.factor:.2f}[/]", f"{one.noise:.0%}")
            table.add_row(one.case.operator, str(one.case), str(one.threads), *figures)
    slower = sum(one.slower for one in changes)
    faster = sum(one.faster for one in changes)
    if table.row_count:
        console.print(table)
    console.print(
        f"{slower} slower, {faster} faster, {len(changes) - slower - faster} as before (in copies of the data)"
    )
    return not slower
