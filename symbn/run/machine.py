"""What is known of the machine: how large its caches are, and what a core can do in a second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache

import numpy as np

#: outputs of so many bytes are written past the cache: they would drive out what is read, and not be found there later
BYPASS = 16 << 20
#: a core's own cache, where the system does not tell
_USUAL = 1 << 20


@cache
def cache_bytes() -> int:
    """How many bytes of its inputs a thread may keep: a quarter of a core's own (second-level) cache."""
    try:
        size = os.sysconf("SC_LEVEL2_CACHE_SIZE")
    except (AttributeError, ValueError, OSError):
        size = 0
    return (size if size > 0 else _USUAL) // 4


@cache
def copy_rate() -> float:
    """Bytes that one core reads and writes in a second, where they are in no cache: those of a copy."""
    source = np.ones(8 << 20, np.float32)
    target = np.empty_like(source)
    return 2 * source.nbytes / _seconds(lambda: np.copyto(target, source))


@cache
def operation_rate() -> float:
    """Operations in float64 that one core does in a second, counting a fused product and sum as one: those of a matmul.

    The matrices are so small that it stays on one core.
    """
    factors = np.ones((64, 64))
    product = np.empty_like(factors)
    return 64**3 / _seconds(lambda: np.matmul(factors, factors, out=product))


def _seconds(work: Callable[[], object]) -> float:
    """The time of one go, the least of several."""
    times = []
    for _ in range(9):
        before = time.perf_counter()
        work()
        times.append(time.perf_counter() - before)
    return min(times)
