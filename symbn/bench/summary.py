"""A run in figures: what each operator's cases come to, and how more threads compare with one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from symbn.bench.cases import OPERATORS
from symbn.bench.peers import OWN
from symbn.bench.results import Measurement, Results


@dataclass(frozen=True)
class Summary:
    """An operator on a number of threads: symbn's time as a multiple of others' over the cases that both have."""

    operator: str
    dtype: str
    threads: int
    cases: int
    #: the geometric mean and the largest of symbn / fastest library, and the case of the latter
    mean: float
    worst: float
    worst_case: str
    #: the geometric mean of symbn / fastest of all, NumPy and numba among them
    mean_of_all: float
    #: the geometric mean in copies of the data
    copies: float


def tables(results: Results) -> Iterator[tuple[str, str, int, list[Measurement]]]:
    """(operator, dtype, threads, its measurements) in the order of a table."""
    found: dict[tuple[str, str, int], list[Measurement]] = {}
    for one in results.measurements:
        found.setdefault((one.case.operator, one.case.dtype, one.threads), []).append(one)
    for key in sorted(found, key=lambda key: (OPERATORS.index(key[0]), key[1], key[2])):
        yield *key, found[key]


def summaries(results: Results) -> list[Summary]:
    """A line for each operator, dtype and number of threads that has been measured beside a library."""
    lines = []
    for operator, dtype, threads, own in tables(results):
        compared = [one for one in own if math.isfinite(one.ratio)]
        if compared:
            worst = max(compared, key=lambda one: one.ratio)
            lines.append(
                Summary(
                    operator,
                    dtype,
                    threads,
                    len(compared),
                    mean([one.ratio for one in compared]),
                    worst.ratio,
                    str(worst.case),
                    mean([one.against(one.fastest()) for one in compared]),
                    mean([one.copies(OWN) for one in compared]),
                )
            )
    return lines


def mean(values: Sequence[float]) -> float:
    """The geometric mean."""
    return statistics.geometric_mean(values)


def speedups(results: Results) -> Iterator[tuple[Measurement, int, float]]:
    """(a case on the fewest threads, another number of threads, how many times faster symbn is on those)."""
    fewest = min((one.threads for one in results.measurements), default=1)
    base = {one.case: one for one in results.measurements if one.threads == fewest}
    for one in results.measurements:
        if one.threads != fewest and one.case in base:
            before, after = base[one.case].best(OWN), one.best(OWN)
            if before and after:
                yield base[one.case], one.threads, before.seconds / after.seconds
