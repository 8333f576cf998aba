"""A run from end to end, where nothing but NumPy is installed beside symbn."""

from __future__ import annotations

import os

import pytest

from symbn.bench import session
from symbn.bench.cases import Case
from symbn.errors import ArgumentError


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """Modules in the way of those of the peers."""
    for name in ("torch", "jax", "onnxruntime", "numba"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('no {name} today')\n")
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def test_numpy_is_enough(alone):
    chosen = [Case("batch_norm", (64, 32)), Case("layer_norm_backward", (16, 24))]
    said = []
    found = session.run(chosen, [1], 1, said.append)
    assert {"symbn", "NumPy"} <= set(found.versions) <= {"symbn", "NumPy", "oneDNN"}
    assert found.absent["PyTorch"] == "no torch today"
    assert [one.case for one in found.measurements] == chosen
    for one in found.measurements:
        assert set(one.times["symbn"]) == {"out=", "natural"}
        assert all(timing.seconds > 0 for forms in one.times.values() for timing in forms.values())
    assert {one.name for one in found.accuracy} == set(found.versions)
    own = [one for one in found.accuracy if one.name == "symbn"]
    assert all(max(one.errors.values()) <= 0.51 for one in own)
    assert len(own) == 2
    assert [set(one.times) for one in found.checks] == [{"off", "sample", "full"}]
    assert len(said) == session.steps(chosen, [1])


def test_a_form_that_computes_something_else_is_not_measured(alone, monkeypatch):
    monkeypatch.setattr(session, "WRONG", 0.6)  # everybody but symbn
    found = session.run([Case("layer_norm", (16, 24))], [1], 1)
    assert set(found.measurements[0].times) == {"symbn"}
    assert found.absent["NumPy natural"] == "computes another layer_norm"


@pytest.mark.parametrize(
    ("threads", "rounds", "message"),
    [
        ([1], 0, "rounds: 0 is not a number of rounds; expected 1 or more"),
        ([0], 1, "threads: 0 is not a number of threads; expected 1 or more"),
        ([1, 5000], 1, "threads: 5000 is more than the .* CPUs that this process may run on"),
    ],
)
def test_mistakes_are_named_before_anything_runs(threads, rounds, message):
    with pytest.raises(ArgumentError, match=message):
        session.run([Case("batch_norm", (4, 4))], threads, rounds)


def test_a_process_that_fails_is_reported_with_what_it_said(monkeypatch, tmp_path):
    (tmp_path / "numba.py").write_text("import os, sys\nprint('out of beads', file=sys.stderr)\nos._exit(3)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    told = {"task": "accuracy", "peers": ["numba"], "cpus": [0], "cases": []}
    with pytest.raises(session.BenchError, match=r"a measuring process ended with 3\n  out of beads"):
        list(session.ask(told, lambda _: None))


def test_what_libraries_print_does_not_get_between(monkeypatch, tmp_path):
    (tmp_path / "numba.py").write_text("import os\nos.write(1, b'welcome\\n')\nraise ImportError('none')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    told = {"task": "accuracy", "peers": ["numba"], "cpus": [session.machine.available()[0]], "cases": []}
    assert list(session.ask(told, lambda _: None)) == [{"versions": {}, "absent": {"numba": "none"}}]


def test_threads_are_set_for_every_runtime_before_it_starts():
    environment = session.environment(3)
    assert {environment[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "NUMBA", "SYMBN")} == {"3"}
