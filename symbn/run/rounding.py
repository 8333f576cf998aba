"""The roundoffs that count in a check: a kernel's, and the reference's own."""

from __future__ import annotations

from typing import Any

import numpy as np

#: An operation may be rounded more than once where the kernel arranges it differently (a reciprocal for a
#: division, a factor taken out), and a library function may be off by a few units: both are counted so.
ROUNDINGS = 2.0
FUNCTION_ROUNDINGS = 8.0
#: the kernel's sums: so many terms in a block, so many interleaved partial sums in it
BLOCK, LANES = 512, 16
#: what a rounding below the smallest normal number may add, whatever its relative size
TINY = 2.0**-1074
#: a double's range ends here
_OVERFLOW = 2.0**1023

Array = Any


class Arithmetic:
    """Units in the last place, and what they add up to."""

    def __init__(self, compensated: bool) -> None:
        self.wide = np.longdouble if compensated else np.float64
        kernel = 2.0**-53
        own = float(np.finfo(self.wide).eps) / 2
        self.roundoff = kernel + own
        #: of the longdouble in which reduced values are held
        self.reduced = float(np.finfo(np.longdouble).eps) / 2
        self.kernel = kernel
        self.own = own
        self.compensated = compensated

    def sum_error(self, count: int, magnitude: Array, spread: Array, levels: int) -> Array:
        """What summing ``count`` exact terms can do: in the kernel's tree, and in NumPy's.

        ``magnitude`` and ``spread`` are the sums of the terms' magnitudes and of their distances from
        their mean. The kernel adds in blocks, several terms in each lane, and folds the lanes in 4 steps; over
        several indices it may form sums of sums, as many ``levels`` deep, each rounded and multiplied by what does
        not vary within it. NumPy adds pairwise, in runs of up to 128 terms by 8.
        """
        if self.compensated:
            kernel = (min(count, BLOCK) * self.kernel) ** 2 * magnitude
        else:
            kernel = min(count / LANES + 5, BLOCK / LANES + 5) * self.kernel * magnitude
        kernel = levels * kernel + (levels - 1) * ROUNDINGS * self.kernel * magnitude
        depth = min(count, 24 + np.log2(max(count, 1)))
        return kernel + self.own * depth * spread + 4 * self.reduced * magnitude

    def product_error(self, count: int, magnitude: Array, largest: Array) -> Array:
        """What multiplying ``count`` exact factors can do, in any order.

        ``magnitude`` is the product of the factors' magnitudes, ``largest`` that of those above 1: no partial
        product is larger. Where it could overflow nothing is known of the result; what underflows is off by
        TINY, times what it is multiplied by after that.
        """
        rounded = count * (self.kernel + 2 * self.reduced) * magnitude + count * TINY * largest
        return np.where(largest < _OVERFLOW, rounded, np.inf)


def finite(array: Array) -> Array:
    """The array with what is not finite set to zero."""
    return np.where(np.isfinite(array), array, 0.0).astype(np.asarray(array).dtype)
