"""The machine that a run was made on, without the names of its places and people, and the CPUs to run on."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from pathlib import Path

from symbn import __version__
from symbn.build import compiler
from symbn.errors import ArgumentError, SymbnError

_CPUS = Path("/sys/devices/system/cpu")


def describe() -> dict[str, str]:
    """CPU, caches, system, Python and the day."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "CPU": _model(),
        "cores": str(len(available())),
        "caches": _caches(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}, {platform.machine()}",
        "C library": " ".join(platform.libc_ver()),
        "compiler": _compiler(),
        "Python": platform.python_version(),
        "symbn": __version__,
    }


def available() -> list[int]:
    """The CPUs that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def choose(threads: int) -> list[int]:
    """CPUs for some threads, of different cores as far as there are such; ArgumentError where there are too few.

    The first CPU is the last one taken: it has the system's interrupts.
    """
    own = available()
    if threads > len(own):
        raise ArgumentError(f"threads: {threads} is more than the {len(own)} CPUs that this process may run on")
    cores: set[str] = set()
    first: list[int] = []
    second: list[int] = []
    for cpu in reversed(own):
        core = _read(_CPUS / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu)
        (second if core in cores else first).append(cpu)
        cores.add(core)
    return [*first, *second][:threads]


def _model() -> str:
    lines = _read(Path("/proc/cpuinfo")).splitlines()
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()


def _caches() -> str:
    parts = []
    for index in sorted(_CPUS.glob("cpu0/cache/index*")):
        kind, level, size = (_read(index / name) for name in ("type", "level", "size"))
        if kind != "Instruction":
            kilobytes = int(size.removesuffix("K"))
            parts.append(f"L{level} {kilobytes / 1024:g} MiB" if kilobytes >= 1024 else f"L{level} {kilobytes} KiB")
    return ", ".join(parts)


def _compiler() -> str:
    try:
        return compiler.find().identity.partition("\n")[0]
    except SymbnError:
        return "none here"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
