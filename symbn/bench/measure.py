"""The measuring: everybody in turn in each round, and the median over the rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: a shorter call is repeated until a sample takes this long
SAMPLE = 2e-3
#: a case that has taken this long ends after the rounds that are needed for a median
BUDGET = 3.0
_LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Timing:
    """The median time of a call, and half the distance between the quartiles as a part of it."""

    seconds: float
    spread: float = 0.0


def measure(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    settle: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Each call's time.

    In each round every call runs once, in an order that moves on by one from round to round; a short one is repeated to
    fill a sample. ``settle`` is how long to wait before each, so that other runtimes' threads go to sleep, and a
    short one then runs once more untimed, which wakes its own.
    """
    repeats = {name: _repeats(call, clock) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    begun = clock()
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            call, repeat = calls[name], repeats[name]
            if settle:
                time.sleep(settle)
                if repeat > 1:
                    call()
            start = clock()
            for _ in range(repeat):
                call()
            samples[name].append((clock() - start) / repeat)
        if number + 1 >= _LEAST_ROUNDS and clock() - begun > BUDGET:
            break
    return {name: _timing(values) for name, values in samples.items()}


def _repeats(call: Callable[[], object], clock: Callable[[], float]) -> int:
    """How many calls make a sample; the first calls, which compile and fill caches, do not count."""
    call()
    repeat = 1
    while True:
        start = clock()
        for _ in range(repeat):
            call()
        taken = clock() - start
        if taken >= SAMPLE or repeat >= 1 << 20:
            return repeat
        repeat = max(repeat + 1, min(repeat * 10, int(1.2 * repeat * SAMPLE / taken) if taken > 0 else repeat * 10))


def _timing(values: list[float]) -> Timing:
    median = statistics.median(values)
    if len(values) < 2 or median == 0:
        return Timing(median)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Timing(median, (high - low) / 2 / median)
