"""The cache: what an entry depends on, how it is published, and whom the folder must belong to."""

import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import symbn
from symbn.build import cache, compiler, native
from symbn.errors import CacheError


def entries(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


# ---- the key -------------------------------------------------------------------------------------------


def test_the_second_build_is_the_first_ones_entry(small, cache_folder):
    first, second = native.build(small), native.build(small)
    assert (first.cached, second.cached) == (False, True)
    assert first.path == second.path
    assert len(entries(cache_folder)) == 1


def test_another_source_is_another_entry(small):
    other = replace(small, text=small.text + "\n")
    assert native.build(small).path != native.build(other).path


def test_another_header_is_another_entry(small):
    assert native.build(small).path != native.build(replace(small, header=small.header + "\n")).path


def test_other_flags_are_another_entry(small, monkeypatch):
    first = native.build(small)
    monkeypatch.setattr(compiler, "FLAGS", (*compiler.FLAGS, "-g"))
    assert native.build(small).path != first.path


def test_another_cpu_is_another_entry(small, monkeypatch):
    first = native.build(small)
    monkeypatch.setattr(compiler, "cpu_features", lambda: frozenset({"sse2"}))
    assert native.build(small).path != first.path


def test_another_version_of_the_compiler_is_another_entry(small, compiler_script):
    """At the same place, under the same name."""
    compiler_script('exec {cc} "$@"')
    first = native.build(small)
    compiler._find.cache_clear()
    compiler_script('[ "$1" = --version ] && echo "cc 99.0" && exit 0\nexec {cc} "$@"')
    second = native.build(small)
    compiler._find.cache_clear()
    assert (first.cached, second.cached) == (False, False)
    assert first.path != second.path


def test_another_compiler_is_another_entry(small, compiler_script):
    first = native.build(small)
    compiler_script('exec {cc} "$@"', "other-cc")
    assert native.build(small).path != first.path


def test_keys_do_not_depend_on_order():
    assert cache.key({"a": 1, "b": [2]}) == cache.key({"b": [2], "a": 1})
    assert cache.key({"a": 1}) != cache.key({"a": 2})


# ---- publishing ----------------------------------------------------------------------------------------


def test_threads_that_build_the_same_kernel(operator):
    """All get a kernel that works; there is one entry and nothing half made."""
    x = np.arange(12, dtype="float32").reshape(4, 3)
    start = threading.Barrier(3)

    def build(_):
        start.wait()
        return symbn.build(operator)(x=x)

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(build, range(3)))
    for result in results:
        np.testing.assert_array_equal(result.y, x - x.mean(axis=0))
    assert len(entries(cache.folder())) == 1


_SCRIPT = """
import numpy as np
from sympy import Eq, Idx, IndexedBase, symbols
import symbn
k = Idx("k", (1, symbols("n")))
kernel = symbn.build(symbn.Operator("thrice", [Eq(IndexedBase("y")[k], 3 * IndexedBase("x")[k])], outputs=["y"]))
print(kernel(x=np.ones(2, "float32")), kernel.path)
"""


def test_processes_that_build_the_same_kernel(cache_folder):
    running = [
        subprocess.Popen([sys.executable, "-c", _SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], ends
    assert {out for out, _ in ends} == {ends[0][0]}
    assert ends[0][0].startswith("[3. 3.]")
    assert len(entries(cache_folder)) == 1


def test_an_entry_appears_whole(cache_folder):
    """While it is made, there is nothing at its place."""
    seen = []

    def make(folder):
        seen.append((cache_folder / "name").exists())
        (folder / "lib.so").write_bytes(b"x")

    path, there = cache.entry("name", "lib.so", make)
    assert (seen, there) == ([False], False)
    assert path.read_bytes() == b"x"
    assert cache.entry("name", "lib.so", make) == (path, True)
    assert len(seen) == 1


def test_a_build_that_fails_leaves_nothing(cache_folder):
    def make(folder):
        (folder / "lib.so").write_bytes(b"half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        cache.entry("name", "lib.so", make)
    assert entries(cache_folder) == []


def test_of_two_that_make_an_entry_one_wins(cache_folder):
    def other(folder):
        (folder / "lib.so").write_bytes(b"other")

    def make(folder):
        cache.entry("name", "lib.so", other)
        (folder / "lib.so").write_bytes(b"mine")

    path, _ = cache.entry("name", "lib.so", make)
    assert path.read_bytes() in (b"mine", b"other")
    assert entries(cache_folder) == ["name"]


def test_an_entry_without_its_library_is_made_again(cache_folder):
    cache.trusted_folder()
    (cache_folder / "name").mkdir()
    (cache_folder / "name" / "rest").write_bytes(b"")
    path, there = cache.entry("name", "lib.so", lambda folder: (folder / "lib.so").write_bytes(b"x") and None)
    assert not there
    assert path.read_bytes() == b"x"


# ---- the folder ----------------------------------------------------------------------------------------


def test_the_folder_is_the_users_own(cache_folder):
    assert cache.trusted_folder() == cache_folder
    assert stat.S_IMODE(cache_folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o755])
def test_a_folder_open_to_others_is_refused(small, cache_folder, mode):
    cache_folder.mkdir()
    cache_folder.chmod(mode)
    with pytest.raises(CacheError, match=rf"{cache_folder} has mode {mode:o}.*chmod 700") as caught:
        native.build(small)
    assert "SYMBN_CACHE_DIR" in str(caught.value)
    assert entries(cache_folder) == []


def test_another_users_folder_is_refused(cache_folder, monkeypatch):
    cache_folder.mkdir(mode=0o700)
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(CacheError, match="belongs to another user"):
        cache.trusted_folder()


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SYMBN_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(CacheError, match=r"cannot be made: .*SYMBN_CACHE_DIR"):
        cache.trusted_folder()


def test_a_folder_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SYMBN_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(CacheError, match="cannot be made"):
        cache.trusted_folder()


def test_a_folder_that_cannot_be_written(cache_folder, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache.tempfile, "mkdtemp", refuse)
    with pytest.raises(CacheError, match=f"{cache_folder} cannot be written: Permission denied"):
        cache.entry("name", "lib.so", lambda folder: None)


def test_a_full_disk_is_a_cache_error(cache_folder):
    def make(folder):
        raise OSError(28, "No space left on device", str(folder / "kernel.c"))

    with pytest.raises(CacheError, match="No space left"):
        cache.entry("name", "lib.so", make)
    assert entries(cache_folder) == []


def test_where_the_folder_is(monkeypatch, tmp_path):
    monkeypatch.delenv("SYMBN_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "symbn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "symbn"
    monkeypatch.setenv("SYMBN_CACHE_DIR", "~/kernels")
    assert cache.folder() == tmp_path / "kernels"
    monkeypatch.setenv("SYMBN_CACHE_DIR", "relative")
    assert cache.folder() == Path.cwd() / "relative"


def test_size_counts_entries_and_bytes(small, cache_folder):
    assert cache.size() == (0, 0)
    native.build(small)
    count, size = cache.size()
    assert count == 1
    assert size == sum(file.stat().st_size for file in cache_folder.rglob("*") if file.is_file())
