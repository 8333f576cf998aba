"""The C compiler: which one, what it can do, and how it is called."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from symbn.errors import CompilerError

#: Value-safe: no contraction, no reassociation, NaN and infinity as IEEE has them, errno left alone. No calls of memset
#: and memcpy for loops across a tile: they take longer than such a loop.
FLAGS = (
    *("-std=c11", "-O3", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
    "-fno-tree-loop-distribute-patterns",
)
OPENMP = "-fopenmp"

_INSTALL = (
    "install one (Debian, Ubuntu: apt install gcc; Fedora: dnf install gcc; macOS: xcode-select --install) "
    "or name it in the environment variable CC"
)


@dataclass(frozen=True)
class Compiler:
    """A C compiler on this machine."""

    command: tuple[str, ...]
    #: what it says of itself, with the machine it compiles for: part of what a compiled kernel depends on
    identity: str
    openmp: bool

    def flags(self) -> tuple[str, ...]:
        """The flags that every kernel is compiled and linked with."""
        return (*FLAGS, OPENMP) if self.openmp else FLAGS

    def run(self, arguments: Sequence[str], folder: Path) -> None:
        """Call the compiler in a folder; CompilerError with command and stderr where it fails."""
        command = [*self.command, *arguments]
        result = _run(command, folder)
        if result.returncode != 0:
            said = result.stderr.strip() or "(no output)"
            raise CompilerError(f"compiling failed with exit code {result.returncode}: {shlex.join(command)}\n{said}")


def _run(command: Sequence[str], folder: Path | None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False
        )
    except OSError as error:
        raise CompilerError(f"the C compiler {command[0]} cannot be run: {error.strerror}; {_INSTALL}") from None


def find() -> Compiler:
    """The compiler of CC, else cc, gcc or clang from PATH; CompilerError names what to install."""
    wanted = os.environ.get("CC", "").strip()
    return _find(wanted, os.environ.get("PATH", ""))


@cache
def _find(wanted: str, path: str) -> Compiler:
    try:
        candidates = [shlex.split(wanted)] if wanted else [["cc"], ["gcc"], ["clang"]]
    except ValueError as error:
        raise CompilerError(f"CC: {wanted!r} is not a command: {error}; {_INSTALL}") from None
    for words in candidates:
        program = shutil.which(words[0], path=path)
        if program:
            command = (program, *words[1:])
            return Compiler(command, _identity(command), _has_openmp(command))
    if wanted:
        raise CompilerError(f"CC: there is no C compiler {wanted!r}; {_INSTALL}")
    raise CompilerError(f"there is no C compiler (looked for cc, gcc and clang); {_INSTALL}")


def _identity(command: tuple[str, ...]) -> str:
    said = [_run([*command, option], None).stdout.strip() for option in ("--version", "-dumpmachine")]
    return "\n".join([said[0].partition("\n")[0], said[1]])


def _has_openmp(command: tuple[str, ...]) -> bool:
    """Can the compiler make a shared library with OpenMP threads?"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = "#include <omp.h>\nint threads(void) { return omp_get_max_threads(); }\n"
        (folder / "probe.c").write_text(source, encoding="utf-8")
        probe = [*command, OPENMP, "-fPIC", "-shared", "probe.c", "-o", "probe.so"]
        return _run(probe, folder).returncode == 0 and (folder / "probe.so").is_file()


def probe(compiler: Compiler) -> None:
    """Compile a shared library of one function; CompilerError where that does not give one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "probe.c").write_text("int one(void);\n\nint one(void)\n{\n    return 1;\n}\n", encoding="utf-8")
        compiler.run([*compiler.flags(), "-shared", "probe.c", "-o", "probe.so"], folder)
        if not (folder / "probe.so").is_file():
            raise CompilerError(f"{shlex.join(compiler.command)} is no C compiler: it makes nothing; {_INSTALL}")


# ---- instruction sets ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """An instruction set to compile for, and how a CPU is known to have it."""

    name: str
    flags: tuple[str, ...]
    #: CPU features by the name that GCC, Clang and Linux give them
    features: tuple[str, ...]


BASELINE = Target("baseline", (), ())
_X86 = (
    Target(
        "avx512",
        ("-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma", "-mprefer-vector-width=512"),
        ("avx512f", "avx512vl", "avx512dq", "avx512bw", "fma"),
    ),
    Target("avx2", ("-mavx2", "-mfma"), ("avx2", "fma")),
    BASELINE,
)


def targets() -> tuple[Target, ...]:
    """The instruction sets that a portable library is compiled for, best first; the last one always runs."""
    return _X86 if platform.machine().lower() in ("x86_64", "amd64") else (BASELINE,)


@cache
def cpu_features() -> frozenset[str]:
    """The features that this machine's CPU says it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))


def native_target() -> Target:
    """The best instruction set of this machine's CPU."""
    return next(target for target in targets() if set(target.features) <= cpu_features())
