"""Memory that is used again and again while it is in cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symbn.run import blocks

#: bytes of a cache line
_LINE = 64

Array = Any


class Pool:
    """Memory for the values on one block, used again and again while it is in cache."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.free: list[Array] = []
        self.owned: dict[int, Array] = {}

    def take(self, shape: tuple[int, ...]) -> Array:
        size = math.prod(shape)
        if size > blocks.ELEMENTS:
            return np.empty(shape, self.dtype)
        if not self.free:
            raw = np.empty(blocks.ELEMENTS * self.dtype.itemsize + _LINE, np.uint8)
            start = -raw.ctypes.data % _LINE
            flat = raw[start : start + blocks.ELEMENTS * self.dtype.itemsize].view(self.dtype)
            self.owned[id(raw)] = flat
            self.free.append(flat)
        return self.free.pop()[:size].reshape(shape)

    def give(self, value: Array) -> None:
        """Give back what was taken; anything else is left alone."""
        flat = self.owned.get(id(value.base))
        if flat is not None:
            self.free.append(flat)
