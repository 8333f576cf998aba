"""The compiler: found, missing, failing, or without threads."""

import os

import numpy as np
import pytest

import symbn
from symbn.build import compiler, native
from symbn.errors import CompilerError


def left_behind(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_no_compiler(small, monkeypatch, tmp_path, cache_folder):
    """The message names what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerError, match=r"there is no C compiler.*cc, gcc and clang.*apt install gcc.*CC"):
        native.build(small)
    assert left_behind(cache_folder) == []


def test_a_compiler_of_cc_that_is_not_there(small, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -O1")
    with pytest.raises(CompilerError, match=r"CC: there is no C compiler 'no-such-compiler -O1'.*apt install gcc"):
        native.build(small)


def test_a_cc_with_an_open_quote(small, monkeypatch):
    monkeypatch.setenv("CC", "gcc 'open")
    with pytest.raises(CompilerError, match="CC"):
        native.build(small)


def test_a_compiler_that_cannot_be_run(small, monkeypatch, tmp_path):
    path = tmp_path / "cc-broken"
    path.write_bytes(b"\x7fELF broken")
    path.chmod(0o755)
    monkeypatch.setenv("CC", str(path))
    with pytest.raises(CompilerError, match="cc-broken cannot be run"):
        native.build(small)


def test_a_failing_compiler_says_command_and_stderr(small, compiler_script, cache_folder):
    path = compiler_script("echo 'cannot find the floor' >&2; exit 3")
    with pytest.raises(CompilerError) as caught:
        native.build(small)
    first, *rest = str(caught.value).splitlines()
    assert "exit code 3" in first
    assert str(path) in first
    assert "-std=c11" in first
    assert "twice_float32.c" in first
    assert rest == ["cannot find the floor"]
    assert left_behind(cache_folder) == []


def test_a_failing_compiler_that_says_nothing(small, compiler_script):
    compiler_script("exit 1")
    with pytest.raises(CompilerError, match=r"\(no output\)"):
        native.build(small)


def test_a_failure_is_not_remembered(small, compiler_script):
    path = compiler_script("exit 1")
    with pytest.raises(CompilerError):
        native.build(small)
    path.unlink()
    os.environ.pop("CC")
    assert native.build(small).cached is False


def test_flags_in_cc(small, monkeypatch, real_compiler):
    monkeypatch.setenv("CC", f"{real_compiler} -O1")
    assert compiler.find().command == (real_compiler, "-O1")
    assert native.build(small).cached is False


def test_without_openmp_a_kernel_works_on_one_thread(operator, compiler_script):
    compiler_script(
        'for a; do [ "$a" = -fopenmp ] && echo "unrecognized option -fopenmp" >&2 && exit 1; done\nexec {cc} "$@"'
    )
    assert compiler.find().openmp is False
    assert "-fopenmp" not in compiler.find().flags()
    x = np.arange(40_000, dtype="float32").reshape(100, 400)
    result = symbn.build(operator)(x=x)
    np.testing.assert_allclose(result.mu, x.mean(axis=0, dtype="float64"))


def test_flags_keep_ieee_arithmetic():
    flags = compiler.FLAGS
    assert "-ffp-contract=off" in flags
    assert not {"-ffast-math", "-Ofast", "-funsafe-math-optimizations", "-march=native"} & set(flags)


def test_the_last_target_runs_everywhere():
    assert compiler.targets()[-1] == compiler.BASELINE
    assert compiler.BASELINE.features == ()
    assert set(compiler.native_target().features) <= compiler.cpu_features()


def test_a_cpu_that_says_nothing_gets_the_baseline(monkeypatch):
    monkeypatch.setattr(compiler, "cpu_features", frozenset)
    assert compiler.native_target() == compiler.BASELINE
