"""The tables of a run: for a terminal, and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from symbn.bench import summary
from symbn.bench.peers import OWN
from symbn.bench.results import Measurement, Results

#: an array below this fits a cache, and its call is worth telling in microseconds
_SMALL = 1e-4


@dataclass(frozen=True)
class Sheet:
    """A table before it has a form: a title, the columns' heads, rows of text, and a line below.

    The first ``labels`` columns are words; a cell that starts with * is one to see.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    labels: int = 1


def sheets(results: Results) -> Iterator[Sheet]:
    """Everything that a run found, the summary first."""
    yield from filter(None, [_summary(results), _accuracy(results)])
    for operator, dtype, threads, own in summary.tables(results):
        title = f"{operator}, {dtype}, {_threads(threads)}: symbn's time, and the others' as multiples of it"
        yield _times(results, title, own)
    yield from filter(None, [_speedup(results), _checks(results)])


def terminal(results: Results) -> Group:
    return Group(*(part for sheet in sheets(results) for part in (_rich(sheet), "")))


def markdown(results: Results) -> str:
    """All tables, and the machine, as Markdown."""
    about = "; ".join(f"{name} {value}" for name, value in results.machine.items() if value)
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    lines = [f"Measured with `symbn bench`: {about}.", "", f"Contestants: {versions}."]
    if results.absent:
        lines += ["", f"Not measured: {'; '.join(f'{name} ({why})' for name, why in results.absent.items())}."]
    for sheet in sheets(results):
        lines += ["", f"### {sheet.title}", ""]
        lines.append("| " + " | ".join(sheet.head) + " |")
        aligned = ["---" if number < sheet.labels else "---:" for number in range(len(sheet.head))]
        lines.append("| " + " | ".join(aligned) + " |")
        lines += ["| " + " | ".join(map(_strong, row)) + " |" for row in sheet.rows]
        if sheet.note:
            lines += ["", sheet.note]
    return "\n".join(lines) + "\n"


def _strong(cell: str) -> str:
    return f"**{cell[1:]}**" if cell.startswith("*") else cell


def _rich(sheet: Sheet) -> Table:
    table = Table(title=sheet.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, head in enumerate(sheet.head):
        left = number < sheet.labels
        table.add_column(escape(head), justify="left" if left else "right", no_wrap=left)
    for row in sheet.rows:
        table.add_row(*(f"[bold]{escape(cell[1:])}[/]" if cell.startswith("*") else escape(cell) for cell in row))
    if sheet.note:
        table.caption, table.caption_justify = sheet.note, "left"
    return table


def _threads(number: int) -> str:
    return f"{number} thread{'s' if number > 1 else ''}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}" if value < 99.5 else f"{value:.0f}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.2f} µs" if seconds < _SMALL else f"{seconds * 1e3:.2f} ms"


def _summary(results: Results) -> Sheet | None:
    rows = []
    for line in summary.summaries(results):
        about = (line.operator, f"{line.dtype}, {_threads(line.threads)}", str(line.cases))
        figures = (_number(line.mean), _number(line.worst), line.worst_case)
        rows.append((*about, *figures, _number(line.mean_of_all), _number(line.copies)))
    if not rows:
        return None
    head = ("operator", "data", "cases", "mean", "worst", "at", "mean of all", "in copies")
    note = (
        "symbn's time / that of the fastest library at each shape (PyTorch, oneDNN, JAX, ONNX Runtime), each in its"
        " fastest form: below 1 symbn is faster. Means are geometric; of all: NumPy and numba count too; in copies:"
        " symbn's time / that of copying the array."
    )
    return Sheet("symbn / fastest library", head, tuple(rows), note, labels=2)


def _times(results: Results, title: str, own: Sequence[Measurement]) -> Sheet:
    others = [name for name in results.names if name != OWN and any(name in one.times for one in own)]
    rows = []
    for one in own:
        best = one.best(OWN)
        fastest = one.fastest()
        if best is None:
            continue
        winner = OWN if fastest is None or one.against(fastest) <= 1 else fastest
        cells = []
        for name in others:
            told = _number(one.copies(name) / one.copies(OWN))
            cells.append(f"*{told}" if name == winner else told)
        times = (_milliseconds(one.copy.seconds), _milliseconds(best.seconds), _number(one.copies(OWN)))
        rows.append((str(one.case), *times, *cells, _number(one.ratio), winner))
    head = ("shape", "copy", OWN, "copies", *others, f"{OWN}/library", "fastest")
    return Sheet(title, head, tuple(rows))


def _accuracy(results: Results) -> Sheet | None:
    offsets = list(dict.fromkeys(offset for one in results.accuracy for offset in one.errors))
    kinds = list(dict.fromkeys(one.case for one in results.accuracy))
    rows = []
    for case in kinds:
        found = {one.name: one.errors for one in results.accuracy if one.case == case}
        label = f"{case.operator}{' channels last' if case.layout == 'channels-last' else ''}, {case.dtype}"
        for offset in offsets:
            own = [_error(found.get(name, {}).get(offset)) for name in results.names]
            rows.append((label, f"{float(offset):g}", *own))
    if not rows:
        return None
    note = (
        "largest error of y or dx in units of the last place, at each element's natural scale: 0.5 is perfect rounding."
        " The least accurate of each contestant's forms. Gradients are those of the exact saved statistics; libraries"
        " take them in the data's dtype."
    )
    return Sheet("accuracy, in scaled ulps", ("operator", "mean/std", *results.names), tuple(rows), note, labels=1)


def _error(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 99.5 else f"{value:.0f}" if value < 99999.5 else f"{value:.0e}".replace("e+0", "e")


def _speedup(results: Results) -> Sheet | None:
    found = [(one, threads, times) for one, threads, times in summary.speedups(results)]
    if not found:
        return None
    rows = []
    for operator in dict.fromkeys(one.case.operator for one, _, _ in found):
        for threads in dict.fromkeys(threads for _, threads, _ in found):
            own = {str(one.case): times for one, at, times in found if (one.case.operator, at) == (operator, threads)}
            least = min(own, key=lambda shape: own[shape])
            figures = (_number(summary.mean(list(own.values()))), _number(own[least]), least)
            rows.append((operator, _threads(threads), *figures))
    return Sheet(
        "symbn on more threads, times as fast", ("operator", "on", "mean", "least", "at"), tuple(rows), labels=2
    )


def _checks(results: Results) -> Sheet | None:
    rows = []
    for one in results.checks:
        off = one.times["off"].seconds
        ratios = [_number(one.times[check].seconds / off) for check in ("sample", "full")]
        rows.append((one.case.operator, str(one.case), _milliseconds(off), *ratios))
    head = ("operator", "shape", 'check="off"', '"sample" / "off"', '"full" / "off"')
    return Sheet("what the check costs", head, tuple(rows), labels=2) if rows else None
