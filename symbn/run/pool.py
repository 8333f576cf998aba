"""Memory that is used again and again while it is in cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: bytes of a cache line
_LINE = 64

Array = Any


class Pool:
    """Memory for the values on one block; what was given back last, and is in cache, is taken first.

    ``dtype`` is that of most values, of which there are ``elements`` or fewer in a block.
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
            raw = np.empty(self.bytes + _LINE, np.uint8)
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
