"""The shipped family of normalizations as the tests know it: which elements share a statistic, which a parameter.

That is all in which its members differ, so that one set of formulas serves as the oracle of each of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

import symbn


class Parts(NamedTuple):
    """For each element of the data the number of its statistic and of its parameter, in arrays of these shapes."""

    statistic: np.ndarray
    parameter: np.ndarray
    statistics: tuple[int, ...]
    parameters: tuple[int, ...]


def _numbered(shape, own):
    """For each element of the shape its number among the axes ``own``."""
    sizes = [size if axis in own else 1 for axis, size in enumerate(shape)]
    return np.broadcast_to(np.arange(math.prod(sizes)).reshape(sizes), shape)


def _over_last_axes(shape, axis):
    axis %= len(shape)
    before, after = range(axis), range(axis, len(shape))
    return Parts(_numbered(shape, before), _numbered(shape, after), shape[:axis], shape[axis:])


def _over_groups(shape, num_groups):
    channel = _numbered(shape, (1,))
    groups = channel // max(shape[1] // num_groups, 1) + num_groups * _numbered(shape, (0,))
    return Parts(groups, channel, (shape[0], num_groups), shape[1:2])


def _over_positions(shape):
    return Parts(_numbered(shape, (0, 1)), _numbered(shape, (1,)), shape[:2], shape[1:2])


def _over_samples(shape, axis):
    own = _numbered(shape, (axis % len(shape),))
    return Parts(own, own, (shape[axis],), (shape[axis],))


@dataclass(frozen=True)
class Norm:
    """A normalization and its gradient, as functions of symbn."""

    name: str
    #: (shape, the argument that places the indices) -> Parts
    places: object
    #: (shape, that argument): ordinary calls
    examples: tuple
    statistics: tuple[str, ...] = ("mean", "var")
    parameters: tuple[str, ...] = ("gamma", "beta")
    residual: bool = False
    relu: bool = False
    eps: float = 1e-5

    def __str__(self):
        return self.name

    @property
    def forward(self):
        return getattr(symbn, self.name)

    @property
    def backward(self):
        return getattr(symbn, f"{self.name}_backward")

    @property
    def gradients(self):
        """The outputs of the gradient."""
        return ("dx", *["dresidual"] * self.residual, *(f"d{one}" for one in self.parameters))

    @property
    def read_back(self):
        """The parameters that the gradient reads; without one of them its own gradient is None."""
        return self.parameters if self.relu else ("gamma",)

    def parts(self, shape, where):
        return self.places(tuple(shape), **where)

    def case(self, rng, shape, where, dtype=np.float32, offset=0.0):
        """Ordinary arguments: means of data and cotangents that are not 0, statistics alternately about +-offset."""
        parts = self.parts(shape, where)

        def normal(centre):
            return (rng.standard_normal(shape) + np.where(parts.statistic % 2, -centre, centre)).astype(dtype)

        x, dy, residual = normal(offset), normal(0.75), rng.standard_normal(shape).astype(dtype)
        gamma = (rng.uniform(0.5, 2, parts.parameters) * rng.choice([-1, 1], parts.parameters)).astype(dtype)
        beta = rng.standard_normal(parts.parameters).astype(dtype)
        data = {"x": x, "residual": residual} if self.residual else {"x": x}
        return Case(self, where, data, dict(zip(self.parameters, (gamma, beta), strict=False)), dy)


@dataclass(frozen=True)
class Case:
    """The arguments of one call of a normalization, and of its gradient."""

    norm: Norm
    where: dict
    data: dict
    parameters: dict
    dy: np.ndarray

    @property
    def x(self):
        return self.data["x"]

    @property
    def parts(self):
        return self.norm.parts(self.x.shape, self.where)

    def forward(self, **options):
        return self.norm.forward(**self.data, **self.parameters, **self.where, **options)

    def backward(self, statistics, **options):
        read = {name: one for name, one in self.parameters.items() if name in self.norm.read_back}
        given = dict(zip(self.norm.statistics, statistics, strict=True))
        return self.norm.backward(self.dy, **self.data, **given, **read, **self.where, **options)

    def of(self, change, *, parameters=True):
        """The same with each array of the data, and each parameter, changed."""
        data = {name: change(one) for name, one in self.data.items()}
        own = {name: change(one) for name, one in self.parameters.items()} if parameters else self.parameters
        return replace(self, data=data, parameters=own, dy=change(self.dy))

    def without(self, *names):
        """The same with these parameters left out."""
        return replace(self, parameters={name: one for name, one in self.parameters.items() if name not in names})

    # ---- the formulas in NumPy's widest float ------------------------------------------------------

    def _sums(self, values, numbers, count):
        result = np.zeros(count, np.longdouble)
        np.add.at(result, numbers.ravel(), values.ravel())
        return result

    def _means(self, values):
        """For each element the mean over those that share its statistic."""
        numbers, count = self.parts.statistic, math.prod(self.parts.statistics)
        size = np.maximum(np.bincount(numbers.ravel(), minlength=count), 1)
        return (self._sums(values, numbers, count) / size)[numbers]

    def _parameter(self, name, default):
        if self.parameters.get(name) is None:
            return np.longdouble(default)
        return self.parameters[name].astype(np.longdouble).ravel()[self.parts.parameter]

    def _pieces(self, eps):
        x = self.x.astype(np.longdouble)
        mean = self._means(x) if "mean" in self.norm.statistics else np.longdouble(0)
        var = self._means((x - mean) ** 2)
        r = 1 / np.sqrt(var + np.longdouble(self.norm.eps if eps is None else eps))
        return mean, var, r, (x - mean) * r

    def expected(self, eps=None):
        """(each output, the scale of its elements)."""
        mean, var, _, hat = self._pieces(eps)
        terms = [self._parameter("gamma", 1) * hat, self._parameter("beta", 0) + 0 * hat]
        terms += [one.astype(np.longdouble) for name, one in self.data.items() if name == "residual"]
        y = sum(terms)
        statistics = [self._of_statistic(one) for one in (mean, var)[-len(self.norm.statistics) :]]
        scales = [np.abs([y, *terms]).max(axis=0), *map(np.abs, statistics)]
        if len(statistics) == 2:
            scales[1] = self._of_statistic(self._means(np.abs(self.x.astype(np.longdouble))))
        return [np.maximum(y, 0) if self.norm.relu else y, *statistics], scales

    def expected_gradients(self, eps=None):
        """(each gradient, the scale of its elements)."""
        _, _, r, hat = self._pieces(eps)
        gamma, dz = self._parameter("gamma", 1), self.dy.astype(np.longdouble)
        if self.norm.relu:
            z = gamma * hat + self._parameter("beta", 0) + self.data.get("residual", 0)
            dz = np.where(z > 0, dz, 0)
        g, along = dz * gamma, self._means(dz * gamma * hat)
        terms = [g, -hat * along] + ([-self._means(g)] if "mean" in self.norm.statistics else [])
        of_parameter = {"gamma": dz * hat, "beta": dz}
        dx = r * sum(terms)
        result, scales = [dx], [np.maximum(np.abs(dx), r * np.abs(terms).max(axis=0))]
        if self.norm.residual:
            result, scales = [*result, dz], [*scales, np.abs(dz)]
        for name in self.norm.parameters:
            result.append(self._of_parameter(of_parameter[name]))
            scales.append(self._of_parameter(np.abs(of_parameter[name])))
        return result, scales

    def _of_statistic(self, values):
        """One for each statistic of what all its elements have."""
        result = np.full(math.prod(self.parts.statistics), np.nan, np.longdouble)
        result[self.parts.statistic.ravel()] = np.broadcast_to(values, self.x.shape).ravel()
        return result.reshape(self.parts.statistics)

    def _of_parameter(self, values):
        count = math.prod(self.parts.parameters)
        return self._sums(values, self.parts.parameter, count).reshape(self.parts.parameters)


def _last_axes(*examples):
    return tuple((shape, {"axis": axis}) for shape, axis in examples)


_BEHIND = _last_axes(((6, 5), -1), ((4, 3, 7), 1), ((2, 3, 4, 5), -2), ((9,), 0), ((3, 4, 2), -3), ((2, 3, 2, 2, 3), 3))
_GROUPED = (
    ((4, 6), {"num_groups": 3}),
    ((3, 6, 7), {"num_groups": 2}),
    ((2, 6, 4, 5), {"num_groups": 6}),
    ((2, 6, 3, 2, 3), {"num_groups": 1}),
)
_POSITIONS = (((3, 4, 9), {}), ((2, 3, 4, 5), {}), ((2, 3, 2, 3, 4), {}), ((3, 4), {}))
_FEATURES = _last_axes(((8, 3), 1), ((4, 3, 7), -2), ((2, 3, 4, 5), 1), ((2, 4, 5, 3), -1), ((9, 4), 0))

FAMILY = (
    Norm("layer_norm", _over_last_axes, _BEHIND),
    Norm("rms_norm", _over_last_axes, _BEHIND, ("mean_square",), ("gamma",), eps=1e-6),
    Norm("group_norm", _over_groups, _GROUPED),
    Norm("instance_norm", _over_positions, _POSITIONS),
    Norm("batch_norm_relu", _over_samples, _FEATURES, relu=True),
    Norm("batch_norm_add_relu", _over_samples, _FEATURES, residual=True, relu=True),
)
