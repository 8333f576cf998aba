"""Memory that is used again: within a check, and by the next one."""

from __future__ import annotations

import numpy as np

from symbn.run import pool
from symbn.run.pool import Pool


def test_what_is_given_back_is_taken_again():
    one = Pool(np.float64, 100)
    first, second = one.take((5, 20)), one.take((3,), np.float32)
    assert not np.shares_memory(first, second)
    assert one.owns(first)
    assert not one.owns(np.empty(3))
    one.give(first)
    assert np.shares_memory(one.take((100,)), first)
    assert one.take((101,)).shape == (101,)  # more than a block: memory of its own


def test_what_a_pool_leaves_serves_the_next(monkeypatch):
    monkeypatch.setattr(pool, "_kept", {})
    one = Pool(np.float64, 1000)
    first = one.take((1000,))
    one.close()
    assert np.shares_memory(Pool(np.float64, 1000).take((1000,)), first)
    other = Pool(np.float64, 1000)
    assert not np.shares_memory(other.take((1000,)), first)  # it has been taken
    assert not np.shares_memory(Pool(np.float64, 500).take((500,)), first)


def test_no_more_is_kept_than_so_much(monkeypatch):
    monkeypatch.setattr(pool, "_kept", {})
    monkeypatch.setattr(pool, "_KEPT", 3 * 800)
    for _ in range(3):
        one = Pool(np.float64, 100)
        for _ in range(5):
            one.take((100,))
        one.close()
        assert sum(size * len(pieces) for size, pieces in pool._kept.items()) == 2400
