"""A run of the benchmark: a process for each number of threads, and what they find put together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from symbn.bench import cases, machine, results
from symbn.bench.cases import Case
from symbn.bench.peers import MODULES, OWN
from symbn.bench.results import Accuracy, CheckCost, Measurement, Results
from symbn.errors import ArgumentError, NotBuiltError, SymbnError

#: a form that is further off than this at mean 0 computes something else, and is not measured
WRONG = 1e4

Progress = Callable[[str], None]


class BenchError(SymbnError, RuntimeError):
    """A process that measures has failed; the message has the end of what it said."""


def steps(chosen: Sequence[Case], threads: Sequence[int]) -> int:
    """How often ``progress`` is called in a run."""
    return len(cases.accuracy_cases(chosen)) + len(threads) * len(chosen) + len(_checked(chosen)) + len(threads) + 2


def _checked(chosen: Sequence[Case]) -> list[Case]:
    """Where the cost of the check is measured."""
    return [one for one in cases.CHECKED if one.operator in {case.operator for case in chosen}]


def run(chosen: Sequence[Case], threads: Sequence[int], rounds: int, progress: Progress = lambda _: None) -> Results:
    """Measure cases on each number of threads; ``progress`` is told what is being done."""
    if rounds < 1:
        raise ArgumentError(f"rounds: {rounds} is not a number of rounds; expected 1 or more")
    if any(one < 1 for one in threads):
        raise ArgumentError(f"threads: {min(threads)} is not a number of threads; expected 1 or more")
    cpus = [machine.choose(one) for one in threads]
    accuracy: list[Accuracy] = []
    measurements: list[Measurement] = []
    checks: list[CheckCost] = []
    wrong: list[list[str]] = []
    told: dict[str, Any] = {"peers": list(MODULES), "rounds": rounds}
    asked = told | {"task": "accuracy", "cpus": cpus[0], "cases": _plain(cases.accuracy_cases(chosen))}
    first, *found = ask(asked, progress)
    if OWN in first["absent"]:
        raise NotBuiltError
    for one in found:
        case = results.case(one["case"])
        accuracy += _accuracy(case, one["forms"])
        wrong += [
            [case.operator, case.layout, case.dtype, form["name"], form["form"]]
            for form in one["forms"]
            if not form["errors"]["0"] <= WRONG
        ]
    for own in cpus:
        asked = told | {"task": "measure", "cpus": own, "cases": _plain(chosen), "wrong": wrong}
        measurements += map(results.measurement, list(ask(asked, progress))[1:])
    asked = told | {"task": "checks", "peers": [OWN], "cpus": cpus[0], "cases": _plain(_checked(chosen))}
    checks += map(results.check_cost, list(ask(asked, progress))[1:])
    absent = first["absent"] | {f"{one[3]} {one[4]}": f"computes another {one[0]}" for one in wrong}
    return Results(machine.describe(), first["versions"], absent, tuple(measurements), tuple(accuracy), tuple(checks))


def _plain(chosen: Sequence[Case]) -> list[dict[str, Any]]:
    return [asdict(one) for one in chosen]


def _accuracy(case: Case, forms: Sequence[Mapping[str, Any]]) -> Iterator[Accuracy]:
    """Of each contestant's forms the least accurate one."""
    for name in dict.fromkeys(form["name"] for form in forms):
        errors = [form["errors"] for form in forms if form["name"] == name]
        yield Accuracy(case, name, {offset: max(one[offset] for one in errors) for offset in errors[0]})


def ask(told: Mapping[str, Any], progress: Progress) -> Iterator[Any]:
    """What a process finds: a value for each line that it writes."""
    labels = [f"{told['task']}, {len(told['cpus'])} threads: {one['operator']}" for one in told["cases"]]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "symbn.bench.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment(len(told["cpus"])),
            text=True,
            encoding="utf-8",
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with process.stdin as request:
                request.write(json.dumps(told) + "\n")
            for label in ["", *labels]:
                progress(label)
                line = process.stdout.readline()
                if not line:
                    process.wait()
                    said.seek(0)
                    end = said.read().decode(errors="replace").strip().splitlines()[-12:]
                    during = f" during {label}" if label else ""
                    raise BenchError(
                        "\n  ".join([f"a measuring process ended with {process.returncode}{during}", *end])
                    )
                yield json.loads(line)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def environment(threads: int) -> dict[str, str]:
    """The environment of a process that measures.

    All threads' settings, which some runtimes read only when they start. An allocator that keeps large blocks and asks
    for large pages, so that nobody pays for page faults at each call, out= or not. The folder of libraries that
    packages put beside this Python, where oneDNN finds those that it needs.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "SYMBN_NUM_THREADS")
    result = dict(os.environ) | dict.fromkeys(names, str(threads))
    result["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184"
    libraries = Path(sys.prefix, "lib")
    result["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(libraries), result.get("LD_LIBRARY_PATH", "")]))
    if (libraries / "libintelocl.so").is_file():
        result["OCL_ICD_FILENAMES"] = str(libraries / "libintelocl.so")
    result |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    return result
