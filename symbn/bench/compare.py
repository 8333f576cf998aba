"""A run beside an earlier one: what became slower or faster, beyond noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from symbn.bench.cases import Case
from symbn.bench.peers import OWN
from symbn.bench.results import Measurement, Results

#: a change by less than this is none, however quiet the machine was
THRESHOLD = 0.10
#: a change by less than this many of both runs' spreads is noise
_SPREADS = 3.0


@dataclass(frozen=True)
class Change:
    """symbn's time at a case, in copies of the data, in two runs."""

    case: Case
    threads: int
    before: float
    after: float
    #: the relative change from which on it is more than noise
    noise: float

    @property
    def factor(self) -> float:
        return self.after / self.before

    @property
    def slower(self) -> bool:
        return self.factor > 1 + self.noise

    @property
    def faster(self) -> bool:
        return self.factor < 1 / (1 + self.noise)


def changes(before: Results, after: Results) -> list[Change]:
    """What both runs measured, the worst first. Copies cancel what differs between the days of a machine."""
    old = {(one.case, one.threads): one for one in before.measurements}
    found = []
    for one in after.measurements:
        earlier = old.get((one.case, one.threads))
        if earlier is not None and earlier.best(OWN) and one.best(OWN):
            noise = max(THRESHOLD, _SPREADS * math.hypot(_spread(earlier), _spread(one)))
            found.append(Change(one.case, one.threads, earlier.copies(OWN), one.copies(OWN), noise))
    return sorted(found, key=lambda change: -change.factor)


def _spread(one: Measurement) -> float:
    best = one.best(OWN)
    return math.hypot(best.spread if best else 0.0, one.copy.spread)
