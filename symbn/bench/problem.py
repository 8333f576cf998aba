"""A case's numbers: data, parameters and statistics, and how the axes of the data share them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from symbn.bench.cases import CHANNELS_LAST, Case

Array = Any

EPS = 1e-5


@dataclass(frozen=True)
class Frame:
    """The data with one axis for each role: its shape, the axes that a statistic goes over, those of the parameters."""

    shape: tuple[int, ...]
    reduced: tuple[int, ...]
    parameters: tuple[int, ...]

    @property
    def statistics(self) -> tuple[int, ...]:
        """The shape of a statistic that broadcasts against the data."""
        return tuple(1 if axis in self.reduced else extent for axis, extent in enumerate(self.shape))

    @property
    def parameter(self) -> tuple[int, ...]:
        """The shape of a parameter that broadcasts against the data."""
        return tuple(extent if axis in self.parameters else 1 for axis, extent in enumerate(self.shape))

    @property
    def others(self) -> tuple[int, ...]:
        """The axes that a parameter does not vary on."""
        return tuple(axis for axis in range(len(self.shape)) if axis not in self.parameters)


def frame(case: Case) -> Frame:
    """The axes of a case's data, as it lies in memory."""
    shape = case.memory_shape
    channel = len(shape) - 1 if case.layout == CHANNELS_LAST else 1
    positions = tuple(axis for axis in range(1, len(shape)) if axis != channel)
    if case.norm in ("layer_norm", "rms_norm"):
        return Frame(shape, (1,), (1,))
    if case.norm == "instance_norm":
        return Frame(shape, positions, (channel,))
    if case.norm == "group_norm":
        split = (*shape[:channel], case.groups, shape[channel] // case.groups, *shape[channel + 1 :])
        reduced = [axis for axis in range(1, len(split)) if axis != channel]
        return Frame(split, tuple(reduced), (channel, channel + 1))
    return Frame(shape, (0, *positions), (channel,))


@dataclass(frozen=True)
class Problem:
    """A case with numbers in it. Data and parameters have its dtype, statistics are float64 and those of x."""

    case: Case
    x: Array
    dy: Array
    gamma: Array
    beta: Array
    mean: Array
    var: Array
    eps: float = EPS

    @property
    def frame(self) -> Frame:
        return frame(self.case)

    def channels_second(self, array: Array) -> Array:
        """A view of an array of the data's shape as N, C, and positions."""
        return np.moveaxis(array, -1, 1) if self.case.layout == CHANNELS_LAST else array

    def as_in_memory(self, array: Array) -> Array:
        """The same the other way round."""
        return np.moveaxis(array, 1, -1) if self.case.layout == CHANNELS_LAST else array

    def empty(self) -> Array:
        """An array like the data, in memory that has been touched."""
        return np.full_like(self.x, 0)


def make(case: Case, offset: float = 0.0) -> Problem:
    """Normal numbers of standard deviation 1 about the offset, and about its negative for every other statistic.

    For inference the statistics are rounded to the data's dtype, so that everybody is given the same.
    """
    own = frame(case)
    random = np.random.default_rng(20151502)
    dtype = np.dtype(case.dtype)
    x, dy = (random.standard_normal(own.shape, dtype=np.float32).astype(dtype, copy=False) for _ in range(2))
    signs = np.where(np.arange(math.prod(own.statistics)) % 2, -offset, offset).reshape(own.statistics)
    x += signs.astype(dtype)
    count = math.prod(own.parameter)
    gamma, beta = random.uniform(0.5, 2, count).astype(dtype), random.standard_normal(count).astype(dtype)
    mean, var = _statistics(x, own, centred=case.norm != "rms_norm")
    if case.inference:
        mean, var = (one.astype(dtype).astype(np.float64) for one in (mean, var))
    shape = case.memory_shape
    return Problem(case, x.reshape(shape), dy.reshape(shape), gamma, beta, mean, var)


def _statistics(x: Array, own: Frame, *, centred: bool) -> tuple[Array, Array]:
    """Mean and variance in float64, on the axes that are left; the mean is 0 where data is not centred."""
    mean = x.mean(own.reduced, np.float64, keepdims=True) if centred else np.zeros(own.statistics)
    deviation = x - mean
    if centred:
        # the deviations from a rounded mean have a mean, which is what it lacks
        correction = deviation.mean(own.reduced, keepdims=True)
        mean += correction
        deviation -= correction
    var = np.square(deviation, out=deviation).mean(own.reduced, keepdims=True)
    left = [extent for axis, extent in enumerate(own.shape) if axis not in own.reduced]
    return mean.reshape(left), var.reshape(left)
