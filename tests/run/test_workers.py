"""Work on several threads: each has memory of its own, what goes wrong on one is raised."""

from __future__ import annotations

import numpy as np
import pytest

import symbn
from symbn.run.check import Comparison
from symbn.run.workers import Workers


@pytest.mark.parametrize("threads", [1, 3])
def test_each_item_is_worked_on_once(threads):
    workers, done = Workers(threads, np.float64), []
    workers.each(range(10), lambda item, pool: done.append((item, pool)))
    assert sorted(item for item, _ in done) == list(range(10))
    assert {id(pool) for _, pool in done} == set(map(id, workers.pools))
    assert len(workers.pools) == threads
    workers.each([], lambda item, pool: pytest.fail("there is nothing to do"))


@pytest.mark.parametrize("bad", [0, 1])
def test_what_goes_wrong_on_a_thread_is_raised(bad):
    def work(item, pool):
        if item == bad:
            raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match=f"item {bad}"):
        Workers(2, np.float64).each([0, 1], work)


def test_nothing_warns_on_any_thread():
    with np.errstate(all="raise"):
        Workers(2, np.float64).each([0, 1], lambda item, pool: np.divide(np.ones(2), 0.0))


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("axis", [1, -1])
def test_a_wrong_element_is_found_by_any_number_of_threads(rng, monkeypatch, threads, number, axis):
    x = rng.standard_normal((90, 6, 40, 30), dtype="float32")
    threads(number)
    symbn.batch_norm(x, axis=axis, check="full")
    compare = Comparison.compare

    def spoilt(self, chosen):
        self.arrays["y"].array[71, 3, 5, 7] += 1e-3
        return compare(self, chosen)

    monkeypatch.setattr(Comparison, "compare", spoilt)
    with pytest.raises(symbn.CheckError, match=r"y: 1 of .* elements(.|\n)*\[71, 3, 5, 7\]"):
        symbn.batch_norm(x, axis=axis, check="full")
