"""generated/ is what the equations give, and a difference is shown."""

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from symbn import catalogue
from symbn.errors import ArgumentError
from symbn.generate import files

COMMITTED = Path(__file__).resolve().parents[2] / "generated"


@pytest.fixture
def written(tmp_path):
    """The files of one operator, newly written."""
    files.write(["running_stats"], tmp_path / "generated")
    return tmp_path / "generated"


@pytest.fixture(scope="module")
def made():
    """made(name): the files of an operator, their text by name, made once."""
    return cache(files.files)


@pytest.mark.parametrize("name", catalogue.names())
def test_committed_files_are_what_the_equations_give(made, name):
    there = {file: (COMMITTED / file).read_text(encoding="utf-8") for file in made(name)}
    assert there == made(name), "generated/ is stale; run `symbn generate` and commit what it writes"


def test_nothing_else_is_committed(made):
    wanted = {file for name in catalogue.names() for file in made(name)}
    # The README's picture is a page of these, made by hand; the folder bench has what `symbn bench` has written.
    there = {
        path.name
        for path in COMMITTED.iterdir()
        if path.suffix != ".png" and path.name != "bench" and not path.name.startswith((".", "__"))
    }
    assert there == wanted, "generated/ holds files of no operator, or lacks some; run `symbn generate`"


@pytest.mark.parametrize("name", catalogue.names())
def test_each_operator_has_c_latex_and_python_and_the_page_of_its_gradient(made, name):
    texts = made(name)
    assert set(texts) == {
        f"{name}.py",
        f"{name}.tex",
        *(f"{name}_{dtype}.{end}" for dtype in ("float32", "float64") for end in "ch"),
        *(f"{name}_gradient.{end}" for end in ("tex", "md", "html") if catalogue.has_gradient(name)),
    }
    assert all(text.endswith("\n") for text in texts.values())
    assert all(line == line.rstrip() for text in texts.values() for line in text.splitlines())
    ast.parse(texts[f"{name}.py"])


def test_fresh_files_are_not_stale(written):
    assert files.stale(["running_stats"], written) == ""


def test_a_changed_file_is_shown_as_a_difference(written):
    path = written / "running_stats_float32.c"
    path.write_text(path.read_text(encoding="utf-8").replace("running_mean", "walking_mean", 1), encoding="utf-8")
    difference = files.stale(["running_stats"], written)
    changed = [line for line in difference.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert len(changed) == 2
    assert "walking_mean" in changed[0]
    assert "walking_mean" not in changed[1]
    assert str(path) in difference


def test_a_missing_file_is_shown_as_a_difference(written):
    (written / "running_stats.tex").unlink()
    assert "+\\begin{align*}" in files.stale(["running_stats"], written)


def test_an_empty_file_is_stale(written):
    """A last line without its end counts, too."""
    path = written / "running_stats.tex"
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n"), encoding="utf-8")
    assert files.stale(["running_stats"], written)


def test_writing_again_changes_nothing(written):
    before = {path.name: path.read_bytes() for path in written.iterdir()}
    files.write(["running_stats"], written)
    assert {path.name: path.read_bytes() for path in written.iterdir()} == before


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match=f"output: {tmp_path / 'file'}.* cannot be made"):
        files.write(["running_stats"], tmp_path / "file")


def test_an_operator_that_is_not_there_writes_nothing(tmp_path):
    with pytest.raises(ArgumentError, match="no 'nothing'"):
        files.write(["running_stats", "nothing"], tmp_path / "generated")
    assert not (tmp_path / "generated").exists()


def test_the_same_files_whatever_the_order_of_sets():
    script = "from symbn.generate import files; print([files.files(n) for n in ('batch_norm', 'running_stats')])"
    texts = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script]
        texts.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(texts) == 1
