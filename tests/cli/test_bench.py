"""``symbn bench`` as its user calls it: what it prints and writes, and its messages; nothing is measured."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import typer.main

from symbn.bench import cases, picture, results, session
from symbn.bench.cases import Case
from symbn.bench.measure import Timing
from symbn.bench.results import Measurement, Results
from symbn.cli import main

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def measured(monkeypatch):
    """What the next runs find, and what they were asked."""
    asked = []

    def own(chosen, threads, rounds, progress):
        asked.append((chosen, threads, rounds))
        for _ in range(session.steps(chosen, threads)):
            progress("a [case]")
        return Results({"CPU": "abacus"}, {"symbn": "0.1"}, {"JAX": "no [jax]"}, found, (), ())

    times = {"symbn": {"out=": Timing(2e-3)}, "PyTorch": {"natural": Timing(1e-3)}}
    found = (Measurement(Case("batch_norm", (64, 32)), 1, Timing(1e-3), times),)
    monkeypatch.setattr(session, "run", own)
    return asked


def test_options_arrive(command, measured):
    code, out, err = command(
        *("bench", "--operators", "batch_norm,layer_norm", "--shapes", "64x32", "--shapes", "8x16", "--threads", "1,2"),
        *("--layouts", "channels-first", "--dtypes", "float64", "--rounds", "7"),
    )
    assert (code, err) == (0, "")
    expected = cases.choose(["batch_norm", "layer_norm"], ["64x32", "8x16"], ["channels-first"], ["float64"])
    assert measured == [(expected, [1, 2], 7)]
    assert "batch_norm, float32, 1 thread" in out
    assert "not measured: JAX: no [jax]" in out
    assert "…" not in out
    assert "symbn/library  fastest" in out


def test_a_default_run_is_of_everything_on_one_thread(command, measured):
    command("bench")
    assert measured == [(cases.choose(), [1], 5)]


def test_files_are_written(command, measured, tmp_path):
    code, out, _ = command("bench", "--out", tmp_path / "new" / "out")
    assert code == 0
    names = {"bench.json", "bench.md"} | ({"bench.svg", "bench.png"} if picture.available() else set())
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == names
    assert all(name in out for name in names)


def test_without_matplotlib_there_is_no_picture_and_it_says_so(command, measured, tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "available", lambda: False)
    code, out, _ = command("bench", "--out", tmp_path)
    assert code == 0
    assert "no picture is drawn: matplotlib is not installed" in out
    assert not (tmp_path / "bench.png").exists()


@pytest.mark.parametrize(
    ("factor", "code", "said"), [(0.5, 1, "1 slower, 0 faster"), (1, 0, "0 slower, 0 faster, 1 as")]
)
def test_a_regression_exits_with_1(command, measured, tmp_path, factor, code, said):
    found = session.run([], [1], 1, lambda _: None)
    before = found.measurements[0]
    own = {"symbn": {"out=": Timing(factor * 2e-3)}}
    results.save(replace(found, measurements=(replace(before, times=own),)), tmp_path / "old.json")
    assert command("bench", "--compare", tmp_path / "old.json")[:2][0] == code
    assert said in command("bench", "--compare", tmp_path / "old.json")[1]


def test_runs_without_a_common_case_cannot_be_compared(command, measured, tmp_path):
    found = session.run([], [1], 1, lambda _: None)
    results.save(replace(found, measurements=()), tmp_path / "old.json")
    code, _, err = command("bench", "--compare", tmp_path / "old.json")
    assert (code, err.strip()) == (2, "symbn: compare: the earlier run has no case in common with this one")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--operators", "bach_norm"], "operators: there is no 'bach_norm'"),
        (["--shapes", "8by16"], "shapes: '8by16' is neither a shape such as 4096x768 nor a suite"),
        (["--layouts", "nhwc"], "layouts: there is no 'nhwc'"),
        (["--dtypes", "int8"], "dtype: int8 has no kernels"),
        (["--threads", "two"], "threads: 'two' is not a number of threads; expected 1 or more, such as 1,2"),
        (["--compare", "no-such.json"], "compare: no-such.json cannot be read"),
        (["--out", __file__], "is no folder to write to"),
    ],
)
def test_mistakes_exit_with_2_before_anything_is_measured(command, measured, arguments, message):
    code, _, err = command("bench", *arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert measured == []


def test_help_and_readme_name_every_option_and_suite(command):
    options = typer.main.get_command(main.app).commands["bench"].params
    names = {option.opts[0] for option in options if option.opts[0] != "--help"}
    text = README.read_text(encoding="utf-8")
    told = re.findall(r"^\| `(--\w+) [^`]*` \| (.*) \|$", text, re.MULTILINE)
    assert {name for name, _ in told} == names
    shapes = dict(told)["--shapes"]
    helped = next(option.help for option in options if option.opts[0] == "--shapes")
    for said in (shapes, helped):
        assert all(re.search(rf"\b{suite}\b", said) for suite in cases.SUITES)
    default = shapes.partition("by default")[0]
    assert all((suite in default) == one.default for suite, one in cases.SUITES.items())
