"""Process-wide settings, from calls and from the environment."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import symbn
from symbn.run import settings


@pytest.fixture(autouse=True)
def restored():
    check, threads = symbn.get_check(), symbn.get_num_threads()
    yield
    symbn.set_check(check)
    symbn.set_num_threads(threads)


def ask(script, **environment):
    """(exit status, what a new process prints, its last line of stderr)."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SYMBN_")}
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import symbn; {script}"],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.strip(), (done.stderr.strip().splitlines() or [""])[-1]


@pytest.mark.parametrize(("value", "found"), [(None, "full"), ("", "full"), ("sample", "sample"), (" off ", "off")])
def test_the_check_of_the_environment(value, found):
    environment = {} if value is None else {"SYMBN_CHECK": value}
    assert ask("print(symbn.get_check())", **environment) == (0, found, "")


@pytest.mark.parametrize("value", ["none", "FULL", "0"])
@pytest.mark.parametrize("script", ["symbn.get_check()", "symbn.batch_norm([[1.0], [2.0]])"])
def test_an_unknown_check_in_the_environment_is_named(value, script):
    status, _, said = ask(script, SYMBN_CHECK=value)
    assert status == 1
    assert f"ArgumentError: SYMBN_CHECK: {value!r} is not a check; expected 'full', 'sample', 'off'" in said


@pytest.mark.parametrize(("value", "found"), [("3", "3"), (" 64 ", "64"), ("1", "1")])
def test_the_threads_of_the_environment(value, found):
    assert ask("print(symbn.get_num_threads())", SYMBN_NUM_THREADS=value) == (0, found, "")


def test_without_the_environment_every_cpu_of_the_process_is_used():
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert ask("print(symbn.get_num_threads())") == (0, str(count), "")


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "nan"])
def test_an_impossible_number_of_threads_in_the_environment_is_named(value):
    status, _, said = ask("symbn.get_num_threads()", SYMBN_NUM_THREADS=value)
    assert status == 1
    assert f"ArgumentError: SYMBN_NUM_THREADS: {value!r} is not a number of threads; expected 1 or more" in said


@pytest.mark.parametrize("mode", settings.CHECKS)
def test_set_check_overrides_and_a_call_overrides_it(mode):
    symbn.set_check(mode)
    assert symbn.get_check() == settings.resolve_check(None) == mode
    assert settings.resolve_check("sample") == "sample"


def test_set_check_overrides_the_environment():
    assert ask("symbn.set_check('off'); print(symbn.get_check())", SYMBN_CHECK="sample") == (0, "off", "")


@pytest.mark.parametrize("mode", ["", "Full", None, 1, True, ["full"]])
def test_set_check_refuses_anything_else(mode):
    before = symbn.get_check()
    with pytest.raises(symbn.ArgumentError, match=r"^set_check: .* is not a check"):
        symbn.set_check(mode)
    assert symbn.get_check() == before


@pytest.mark.parametrize("number", [0, -3, 1.5, "many", None])
def test_set_num_threads_refuses_anything_but_a_count(number):
    before = symbn.get_num_threads()
    with pytest.raises(symbn.ArgumentError, match=r"^set_num_threads: .* is not a number of threads"):
        symbn.set_num_threads(number)
    assert symbn.get_num_threads() == before


def test_set_num_threads():
    symbn.set_num_threads(5)
    assert symbn.get_num_threads() == 5


def test_a_forked_child_uses_one_thread():
    script = (
        "import os; symbn.set_num_threads(4); child = os.fork(); "
        "child or os._exit(0 if symbn.get_num_threads() == 1 else 1); "
        "print(os.waitpid(child, 0)[1], symbn.get_num_threads())"
    )
    assert ask(script)[:2] == (0, "0 4")
