"""The measuring: everybody in turn in each round, and the median over the rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)

#: a shorter call is repeated until a sample takes this long
SAMPLE = 2e-3
#: a case that has taken this long ends after the rounds that are needed for a median
BUDGET = 2.0
_LEAST_ROUNDS = 3
#: a call that takes this long, and this many times as long as the fastest, is no rival's and is timed once
_LONG, _HOPELESS = 0.5, 20.0
_MOST_REPEATS = 1 << 20


@dataclass(frozen=True)
class Timing:
    """The median time of a call, and half the distance between the quartiles as a part of it."""

    seconds: float
    spread: float = 0.0


def measure(
    calls: Mapping[Name, Callable[[], object]],
    rounds: int,
    settle: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, Timing]:
    """Each call's time.

    In each round every call runs once, in an order that moves on by one from round to round; a short one is repeated to
    fill a sample. ``settle`` is how long to wait before each, so that other runtimes' threads go to sleep; it then runs
    once untimed, which wakes its own, and the cores.
    """
    probes = {name: _probe(call, clock) for name, call in calls.items()}
    limit = max(_LONG, _HOPELESS * min(seconds for _, seconds in probes.values()))
    names = [name for name, (_, seconds) in probes.items() if seconds <= limit]
    samples = {name: [] if name in names else [seconds] for name, (_, seconds) in probes.items()}
    begun = clock()
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            call, (repeat, _) = calls[name], probes[name]
            if settle:
                time.sleep(settle)
                call()
            start = clock()
            for _ in range(repeat):
                call()
            samples[name].append((clock() - start) / repeat)
        if number + 1 >= _LEAST_ROUNDS and clock() - begun > BUDGET:
            break
    return {name: _timing(values) for name, values in samples.items()}


def _probe(call: Callable[[], object], clock: Callable[[], float]) -> tuple[int, float]:
    """(how many calls make a sample, the time of one); the first call, which may compile, does not count."""
    call()
    repeat = 1
    while True:
        start = clock()
        for _ in range(repeat):
            call()
        taken = clock() - start
        if taken >= SAMPLE or repeat >= _MOST_REPEATS:
            return repeat, taken / repeat
        enough = int(1.2 * repeat * SAMPLE / taken) if taken > 0 else _MOST_REPEATS
        repeat = max(repeat + 1, min(10 * repeat, enough))


def _timing(values: list[float]) -> Timing:
    median = statistics.median(values)
    if len(values) < 2 or median == 0:
        return Timing(median)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Timing(median, (high - low) / 2 / median)
