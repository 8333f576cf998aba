"""One picture of a run: for each operator everybody's times in copies of the data, and their errors beside."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symbn import files
from symbn.bench import summary
from symbn.bench.peers import OWN
from symbn.bench.results import Measurement, Results

#: below this a call costs more than its data
_SMALL = 1 << 16
#: the mean in standard deviations whose errors are shown
_OFFSET = "10000"
_INK, _SOFT, _FAINT, _CARD = "#1c2530", "#66707c", "#e3e7ec", "#fcfcfd"
_OWN, _OTHER, _GOOD, _BAD = "#0a58ca", "#8b95a1", "#0b7a45", "#b3261e"
_COLUMNS = 2
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
#: where the figures stand, in widths of a panel
_TIME_AT, _ERROR_AT = 1.10, 1.23


def available() -> bool:
    """Is there what pictures are drawn with?"""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def draw(results: Results, folder: Path) -> list[Path]:
    """Write bench.svg and bench.png into a folder; they show the fewest threads that were measured."""
    from matplotlib import rc_context

    paths = []
    # The same numbers give the same files.
    with rc_context({"font.family": "DejaVu Sans", "font.size": 9, "svg.hashsalt": "symbn"}):
        figure = _figure(results)
        for kind, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 160})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, facecolor=_CARD, **options)
            path = folder / f"bench.{kind}"
            files.write(path, lambda file, buffer=buffer: file.write(buffer.getvalue()), "out")  # type: ignore[misc]
            paths.append(path)
    return paths


def _figure(results: Results) -> Any:
    from matplotlib.figure import Figure

    panels = _panels(results)
    lanes = [name for name in results.names if any(name in one.times for _, own in panels for one in own)]
    rows = math.ceil(len(panels) / _COLUMNS)
    top, each = 1.35, 0.19 * len(lanes) + 0.46
    height = top + rows * each + 0.55
    figure = Figure(figsize=(10, height))
    axes = figure.subplots(
        rows,
        _COLUMNS,
        sharex=True,
        squeeze=False,
        gridspec_kw={
            "left": 0.105,
            "right": 0.905,
            "bottom": 0.45 / height,
            "top": 1 - top / height,
            "wspace": 0.62,
            "hspace": 0.46 / (each - 0.46),
        },
    )
    limits = _limits(panels, lanes)
    for number, ((operator, own), axis) in enumerate(zip(panels, axes.flat, strict=False)):
        _panel(axis, operator, own, lanes, _errors(results, operator), limits)
        axis.tick_params(labelbottom=number + _COLUMNS >= len(panels))
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    _heading(figure, results, panels, height)
    return figure


def _panels(results: Results) -> list[tuple[str, list[Measurement]]]:
    """(operator, its measurements on the fewest threads), without arrays so small that only the call counts."""
    fewest = min(one.threads for one in results.measurements)
    large = any(one.case.nbytes >= _SMALL for one in results.measurements)
    found = []
    for operator, dtype, threads, own in summary.tables(results):
        shown = [one for one in own if one.case.nbytes >= _SMALL or not large]
        if threads == fewest and shown and dtype == results.measurements[0].case.dtype:
            found.append((operator, shown))
    return found


def _limits(panels: Sequence[tuple[str, list[Measurement]]], lanes: Sequence[str]) -> tuple[float, float]:
    """The extent of the axis: all times, with room beside them."""
    times = [one.copies(name) for _, own in panels for one in own for name in lanes if name in one.times]
    return min([0.8, *times]) / 1.2, max([10.0, *times]) * 1.2


def _errors(results: Results, operator: str) -> dict[str, float]:
    """Each contestant's largest error at the large mean, over the layouts."""
    found: dict[str, float] = {}
    for one in results.accuracy:
        if one.case.operator == operator and one.case.dtype == results.measurements[0].case.dtype:
            found[one.name] = max(found.get(one.name, 0.0), one.errors[_OFFSET])
    return found


def _panel(
    axis: Any,
    operator: str,
    own: Sequence[Measurement],
    lanes: Sequence[str],
    errors: dict[str, float],
    limits: tuple[float, float],
) -> None:
    axis.set_title(operator, loc="left", fontsize=10, fontweight="bold", color=_INK, pad=4)
    axis.set_xscale("log")
    ticks = [one for one in _TICKS if limits[0] <= one <= limits[1]]
    axis.set_xticks(ticks, [f"{one:g}" for one in ticks])
    axis.minorticks_off()
    axis.set_xlim(*limits)
    axis.set_ylim(len(lanes) - 0.4, -0.6)
    axis.set_yticks(range(len(lanes)), lanes)
    axis.tick_params(axis="both", length=0, labelcolor=_SOFT, labelsize=8.5)
    axis.grid(axis="x", color=_FAINT, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.axvline(1, color=_SOFT, linewidth=1)
    for text, at in (("copies", _TIME_AT), ("error", _ERROR_AT)):
        axis.text(at, 1.03, text, transform=axis.transAxes, ha="right", fontsize=7.5, color=_SOFT)
    for side in axis.spines.values():
        side.set_visible(False)
    axis.set_facecolor(_CARD)
    for lane, name in enumerate(lanes):
        copies = [one.copies(name) for one in own if name in one.times]
        if not copies:
            axis.get_yticklabels()[lane].set_color("#c3c9d0")
            continue
        colour = _OWN if name == OWN else _OTHER
        centre = summary.mean(copies)
        axis.plot(
            copies, [lane] * len(copies), "o", color=colour, markersize=4.5, alpha=0.35, markeredgewidth=0, clip_on=True
        )
        axis.plot([centre, centre], [lane - 0.36, lane + 0.36], color=colour, linewidth=2.6, solid_capstyle="round")
        row = {"transform": axis.get_yaxis_transform(), "ha": "right", "va": "center_baseline", "fontsize": 8.5}
        weight = "bold" if name == OWN else "normal"
        axis.text(_TIME_AT, lane, _figures(centre), color=_OWN if name == OWN else _SOFT, fontweight=weight, **row)
        if name in errors:
            good = errors[name] <= 1
            weight, colour = ("bold", _GOOD) if good else ("normal", _BAD)
            axis.text(_ERROR_AT, lane, _error(errors[name]), color=colour, fontweight=weight, **row)
    if OWN in lanes:
        label = axis.get_yticklabels()[list(lanes).index(OWN)]
        label.set_color(_OWN)
        label.set_fontweight("bold")


def _figures(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _error(value: float) -> str:
    if not math.isfinite(value):
        return "∞"
    if value < 99.5:
        return f"{value:.2f}" if value < 9.95 else f"{value:.0f}"
    exponent = math.floor(math.log10(value))
    return f"{value / 10**exponent:.0f}e{exponent}" if value >= 9999.5 else f"{value:.0f}"


def _heading(figure: Any, results: Results, panels: Sequence[tuple[str, list[Measurement]]], height: float) -> None:
    threads = panels[0][1][0].threads
    dtype = panels[0][1][0].case.dtype
    lines = [
        ("How fast, and how accurate", 14, "bold", _INK, 0.32),
        (
            f"Time of a call as a multiple of the time to copy the array; {dtype}, {threads} "
            f"thread{'s' if threads > 1 else ''}, {results.machine['CPU']}. Left is faster.",
            *(9, "normal", _SOFT, 0.56),
        ),
        (
            "A dot is one shape, the bar the geometric mean of those that one takes; each in its fastest form.",
            *(9, "normal", _SOFT, 0.76),
        ),
        (
            "error: the largest in scaled ulps where the mean is 10,000 standard deviations; 0.5 is perfect rounding.",
            *(9, "normal", _SOFT, 0.96),
        ),
    ]
    for text, size, weight, colour, down in lines:
        figure.text(0.02, 1 - down / height, text, fontsize=size, fontweight=weight, color=colour, va="baseline")
