"""What a run found, as values and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from symbn import files
from symbn.bench.cases import Case
from symbn.bench.measure import Timing
from symbn.bench.peers import LIBRARIES, OWN
from symbn.errors import ArgumentError

#: changes when older files can no longer be read
FORMAT = 1


@dataclass(frozen=True)
class Measurement:
    """A case's times on a number of threads: of copying the data, and of each contestant's forms."""

    case: Case
    threads: int
    copy: Timing
    times: Mapping[str, Mapping[str, Timing]]

    def best(self, name: str) -> Timing | None:
        """The time of a contestant's fastest form."""
        return min(self.times.get(name, {}).values(), key=lambda one: one.seconds, default=None)

    def copies(self, name: str) -> float:
        """A contestant's time in copies of the data; NaN where it has none."""
        best = self.best(name)
        return math.nan if best is None else best.seconds / self.copy.seconds

    def fastest(self, among: tuple[str, ...] | None = None) -> str | None:
        """The fastest contestant among these, by default among all but symbn."""
        there = {name: best for name in among or self.times if name != OWN and (best := self.best(name))}
        return min(there, key=lambda name: there[name].seconds, default=None)

    def against(self, name: str | None) -> float:
        """symbn's time as a multiple of another's; NaN where either has none."""
        return math.nan if name is None else self.copies(OWN) / self.copies(name)

    @property
    def ratio(self) -> float:
        """symbn's time as a multiple of the fastest library's."""
        return self.against(self.fastest(LIBRARIES))


@dataclass(frozen=True)
class Accuracy:
    """The largest error of a contestant's main output in scaled ulps, for each mean in standard deviations."""

    case: Case
    name: str
    errors: Mapping[str, float]


@dataclass(frozen=True)
class CheckCost:
    """What the checks of symbn add: times of a call for each of "off", "sample" and "full"."""

    case: Case
    threads: int
    times: Mapping[str, Timing]


@dataclass(frozen=True)
class Results:
    """A run: the machine, the contestants' versions, why others are absent, and what was found."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    absent: Mapping[str, str]
    measurements: tuple[Measurement, ...]
    accuracy: tuple[Accuracy, ...]
    checks: tuple[CheckCost, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The contestants, in the order of the table."""
        return tuple(self.versions)


def save(results: Results, path: Path) -> None:
    """Write JSON; ArgumentError where that cannot be."""
    plain = asdict(results)
    for one in plain["accuracy"]:
        # JSON has no infinity
        one["errors"] = {offset: error if math.isfinite(error) else None for offset, error in one["errors"].items()}
    text = json.dumps({"format": FORMAT, **plain}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    files.write(path, lambda file: file.write(text.encode()), "out")


def load(path: Path) -> Results:
    """Read what ``save`` wrote; ArgumentError where it is something else."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(f"compare: {path} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise ArgumentError(f"compare: {path} is not JSON; expected a bench.json of symbn bench --out") from None
    if not isinstance(read, dict) or read.get("format") != FORMAT:
        raise ArgumentError(f"compare: {path} is not a bench.json of this version of symbn; measure it again")
    try:
        return Results(
            read["machine"],
            read["versions"],
            read["absent"],
            tuple(measurement(one) for one in read["measurements"]),
            tuple(accuracy(one) for one in read["accuracy"]),
            tuple(check_cost(one) for one in read["checks"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(f"compare: {path} lacks something that a bench.json has: {error}") from None


def case(read: Mapping[str, Any]) -> Case:
    return Case(read["operator"], tuple(read["shape"]), read["layout"], read["dtype"])


def measurement(read: Mapping[str, Any]) -> Measurement:
    times = {name: _timings(forms) for name, forms in read["times"].items()}
    return Measurement(case(read["case"]), read["threads"], Timing(**read["copy"]), times)


def accuracy(read: Mapping[str, Any]) -> Accuracy:
    errors = {offset: math.inf if error is None else error for offset, error in read["errors"].items()}
    return Accuracy(case(read["case"]), read["name"], errors)


def check_cost(read: Mapping[str, Any]) -> CheckCost:
    return CheckCost(case(read["case"]), read["threads"], _timings(read["times"]))


def _timings(read: Mapping[str, Any]) -> dict[str, Timing]:
    return {name: Timing(**one) for name, one in read.items()}
