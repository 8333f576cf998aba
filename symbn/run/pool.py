"""Memory that is used again and again while it is in cache."""

from __future__ import annotations

import math
from threading import Lock
from typing import Any

import numpy as np

#: bytes of a cache line
_LINE = 64
#: so much is kept for pools that are made later, in all: memory that the system has to give anew is slow at first
_KEPT = 1 << 25

Array = Any
#: memory that no pool has: bytes -> pieces of that size
_kept: dict[int, list[Array]] = {}
#: for pools of several threads
_lock = Lock()


class Pool:
    """Memory for the values on one block; what was given back last, and is in cache, is taken first.

    ``dtype`` is that of most values, of which there are ``elements`` or fewer in a block. What a pool leaves when it
    is closed serves those that are made later.
    """

    def __init__(self, dtype: Any, elements: int) -> None:
        self.dtype = np.dtype(dtype)
        self.bytes = elements * self.dtype.itemsize
        self.free: list[Array] = []
        self.owned: dict[int, Array] = {}

    def take(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size > self.bytes:
            return np.empty(shape, dtype)
        if not self.free:
            with _lock:
                left = _kept.get(self.bytes)
                raw = left.pop() if left else np.empty(self.bytes + _LINE, np.uint8)
            start = -raw.ctypes.data % _LINE
            self.owned[id(raw)] = raw[start : start + self.bytes]
            self.free.append(self.owned[id(raw)])
        return self.free.pop()[:size].view(dtype).reshape(shape)

    def owns(self, value: Array) -> bool:
        """Was this taken from here?"""
        return id(value.base) in self.owned

    def give(self, value: Array) -> None:
        """Give back what was taken; anything else is left alone."""
        if self.owns(value):
            self.free.append(self.owned[id(value.base)])

    def close(self) -> None:
        """Leave the memory to pools that are made later; no value that was taken from here is used any more."""
        raws = [memory.base for memory in self.owned.values()]
        with _lock:
            room = _KEPT - sum(size * len(pieces) for size, pieces in _kept.items())
            _kept.setdefault(self.bytes, []).extend(raws[: max(0, room // max(self.bytes, 1))])
        self.owned, self.free = {}, []
