"""What a run found: ratios, JSON, tables, and a comparison with an earlier run."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from symbn.bench import compare, summary, tables
from symbn.bench import results as stored
from symbn.bench.measure import Timing
from symbn.bench.peers import LIBRARIES
from symbn.errors import ArgumentError


def test_the_fastest_form_of_the_fastest_library_counts(results):
    large, small, *_, without = results.measurements
    assert large.best("PyTorch") == Timing(4e-3, 0.01)
    assert large.copies("symbn") == pytest.approx(2)
    assert large.fastest() == large.fastest(LIBRARIES) == "PyTorch"
    assert large.ratio == pytest.approx(0.5)
    assert (small.fastest(), small.fastest(LIBRARIES)) == ("NumPy", "PyTorch")
    assert small.ratio == pytest.approx(2)
    assert without.fastest(LIBRARIES) is None
    assert math.isnan(without.ratio)
    assert without.best("PyTorch") is None


def test_the_summary_is_a_geometric_mean_and_the_worst(results):
    one, two = summary.summaries(results)
    assert (one.operator, one.threads, one.cases) == ("batch_norm", 1, 2)
    assert (one.mean, one.worst, one.worst_case) == (pytest.approx(1), pytest.approx(2), "64×32")
    assert one.mean_of_all == pytest.approx(math.sqrt(0.5 * 4))
    assert one.copies == pytest.approx(math.sqrt(2 * 4))
    assert (two.threads, two.mean) == (2, pytest.approx(0.25))
    ((case, threads, times),) = summary.speedups(results)
    assert (case, threads, times) == (results.measurements[0], 2, pytest.approx(2))


def test_json_holds_everything(results, tmp_path):
    stored.save(results, tmp_path / "bench.json")
    assert stored.load(tmp_path / "bench.json") == results
    text = (tmp_path / "bench.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON; expected a bench.json of symbn bench --out"),
        ("[]", "is not a bench.json of this version of symbn"),
        ('{"format": 0}', "is not a bench.json of this version of symbn; measure it again"),
        ('{"format": 1}', "lacks something that a bench.json has: 'machine'"),
    ],
)
def test_another_file_is_refused(tmp_path, text, message):
    path = tmp_path / "old.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ArgumentError, match=f"compare: .*old.json {message}"):
        stored.load(path)


def scaled(results, factor, spread=0.01):
    """The same where symbn takes so many times as long for the first case."""
    first, *others = results.measurements
    own = {form: Timing(one.seconds * factor, spread) for form, one in first.times["symbn"].items()}
    return replace(results, measurements=(replace(first, times=first.times | {"symbn": own}), *others))


@pytest.mark.parametrize(
    ("factor", "spread", "slower", "faster"),
    [(1.0, 0.01, 0, 0), (1.08, 0.01, 0, 0), (1.2, 0.01, 1, 0), (1.2, 0.2, 0, 0), (0.8, 0.01, 0, 1), (0.94, 0.01, 0, 0)],
)
def test_a_change_beyond_noise_is_found(results, factor, spread, slower, faster):
    found = compare.changes(results, scaled(results, factor, spread))
    assert len(found) == len(results.measurements)
    assert (sum(one.slower for one in found), sum(one.faster for one in found)) == (slower, faster)
    if slower:
        assert (found[0].case, found[0].threads) == (results.measurements[0].case, 1)
        assert (found[0].before, found[0].after) == (pytest.approx(2), pytest.approx(2 * factor))


def test_a_machine_that_is_slower_altogether_is_no_change(results):
    slow = tuple(
        replace(
            one,
            copy=Timing(3 * one.copy.seconds),
            times={name: {f: Timing(3 * t.seconds) for f, t in own.items()} for name, own in one.times.items()},
        )
        for one in results.measurements
    )
    assert not any(one.slower or one.faster for one in compare.changes(results, replace(results, measurements=slow)))


def test_cases_of_one_run_alone_are_left_out(results):
    assert len(compare.changes(results, replace(results, measurements=results.measurements[2:]))) == 2


def test_the_tables_say_who_is_fast_and_who_is_right(results):
    sheets = {sheet.title.partition(":")[0]: sheet for sheet in tables.sheets(results)}
    assert sheets["symbn / fastest library"].rows[0] == (
        *("batch_norm", "float32, 1 thread", "2", "1.00", "2.00", "64×32", "1.41", "2.83"),
    )
    own = sheets["batch_norm, float32, 1 thread"]
    assert own.head == (
        "shape",
        "copy",
        "symbn",
        "copies",
        "PyTorch",
        "ONNX Runtime",
        "NumPy",
        "symbn/library",
        "fastest",
    )
    assert own.rows == (
        ("32×64×56×56", "1.00 ms", "2.00 ms", "2.00", "2.00", "2.50", "4.50", "0.50", "symbn"),
        ("64×32", "1.00 µs", "4.00 µs", "4.00", "0.50", "–", "*0.25", "2.00", "NumPy"),
    )
    assert sheets["rms_norm_backward, float32, 1 thread"].rows[0][-2:] == ("–", "symbn")
    accuracy = sheets["accuracy, in scaled ulps"]
    assert accuracy.head == ("operator", "mean/std", "symbn", "PyTorch", "ONNX Runtime", "NumPy")
    assert accuracy.rows[1] == ("batch_norm, float32", "10000", "0.50", "1e5", "inf", "–")
    assert sheets["symbn on more threads, times as fast"].rows == (
        ("batch_norm", "2 threads", "2.00", "2.00", "32×64×56×56"),
    )
    assert sheets["what the check costs"].rows == (("batch_norm", "32×64×56×56", "2.00 ms", "1.50", "4.00"),)


def test_the_tables_are_printed_and_written(results):
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(tables.terminal(results))
    assert "symbn / fastest library" in console.export_text()
    text = tables.markdown(results)
    assert "CPU abacus; date 2026-01-02." in text
    assert "Contestants: symbn 0.1, PyTorch 2.0, ONNX Runtime 1.0, NumPy 2.1." in text
    assert "Not measured: JAX (No module named 'jax')." in text
    assert "| 64×32 | 1.00 µs | 4.00 µs | 4.00 | 0.50 | – | **0.25** | 2.00 | NumPy |" in text
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("| ---"):
            assert line.count("|") == lines[number - 1].count("|") == lines[number + 1].count("|")
