"""The process that measures: its number of threads is set before anything that reads it is loaded.

It is told what to do as one line of JSON on stdin, and writes what it finds as lines of JSON on stdout.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

#: the mean of the data in standard deviations
OFFSETS = (0.0, 1e4)
#: how long other runtimes' threads wait in a loop for more work before they sleep, and more
_SETTLE = 0.02


def main() -> None:
    """Runs one task: "measure", "accuracy" or "checks"."""
    told = json.loads(sys.stdin.readline())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, told["cpus"])
    # What libraries print must not get between the lines that are read.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task: Callable[[Any, dict[str, Any]], Iterator[Any]] = {
        "measure": _measure,
        "accuracy": _accuracy,
        "checks": _checks,
    }[told["task"]]
    peers, absent = _contestants(told["peers"], len(told["cpus"]))
    _say(output, {"versions": {name: peer.version() for name, peer in peers.items()}, "absent": absent})
    for found in task(peers, told):
        _say(output, found)
    output.flush()
    # Runtimes that share a process do not always end in peace.
    os._exit(0)


def _say(output: Any, found: Any) -> None:
    print(json.dumps(found), file=output, flush=True)


def _contestants(names: list[str], threads: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Those that can be loaded, and for the others why not."""
    from symbn.bench import peers

    found, absent = {}, {}
    for name in names:
        try:
            peer = peers.load(name)
            peer.prepare(threads)
        except (ImportError, OSError, RuntimeError) as error:
            absent[name] = str(error).partition("\n")[0] or type(error).__name__
        else:
            found[name] = peer
    return found, absent


def _cases(told: dict[str, Any]) -> Iterator[Any]:
    from symbn.bench import results

    return map(results.case, told["cases"])


def _accuracy(peers: dict[str, Any], told: dict[str, Any]) -> Iterator[Any]:
    """For each case and contestant's form the largest errors in scaled ulps."""
    from symbn.bench import exact, problem

    for case in _cases(told):
        errors: dict[tuple[str, str], dict[str, float]] = {}
        for offset in OFFSETS:
            posed = problem.make(case, offset)
            for name, peer in peers.items():
                for form in peer.forms(posed):
                    found = exact.error(form.main(form.call()), posed)
                    errors.setdefault((name, form.name), {})[f"{offset:g}"] = found
        yield {
            "case": asdict(case),
            "forms": [{"name": name, "form": form, "errors": one} for (name, form), one in errors.items()],
        }


def _measure(peers: dict[str, Any], told: dict[str, Any]) -> Iterator[Any]:
    """For each case the times of a copy and of each form that is not among the wrong ones."""
    wrong = {tuple(one) for one in told["wrong"]}
    for case in _cases(told):
        # In a function of its own, so that one case's arrays are gone before the next one's are made.
        yield _measured(case, peers, wrong, told)


def _measured(case: Any, peers: dict[str, Any], wrong: set[tuple[Any, ...]], told: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    from symbn.bench import measure, problem

    posed = problem.make(case)
    target = posed.empty()
    calls: dict[tuple[str, str], Callable[[], object]] = {("copy", ""): lambda: np.copyto(target, posed.x)}
    for name, peer in peers.items():
        for form in peer.forms(posed):
            if (case.operator, case.layout, case.dtype, name, form.name) not in wrong:
                calls[name, form.name] = form.call
    found = measure.measure(calls, told["rounds"], _settle(told))
    copy = asdict(found.pop(("copy", "")))
    times: dict[str, dict[str, Any]] = {}
    for (name, form_name), timing in found.items():
        times.setdefault(name, {})[form_name] = asdict(timing)
    return {"case": asdict(case), "threads": len(told["cpus"]), "copy": copy, "times": times}


def _checks(peers: dict[str, Any], told: dict[str, Any]) -> Iterator[Any]:
    """For each case the times of symbn with each check."""
    from symbn.bench import measure, problem
    from symbn.bench.peers import own
    from symbn.run.settings import CHECKS

    for case in _cases(told):
        posed = problem.make(case)
        calls = {check: next(own.forms(posed, check)).call for check in reversed(CHECKS)}
        found = measure.measure(calls, told["rounds"], _settle(told))
        yield {
            "case": asdict(case),
            "threads": len(told["cpus"]),
            "times": {check: asdict(timing) for check, timing in found.items()},
        }


def _settle(told: dict[str, Any]) -> float:
    return _SETTLE if len(told["cpus"]) > 1 else 0.0


if __name__ == "__main__":
    main()
