"""Errors of the shipped family in scaled ulps against exact rational sums and a root with 60 digits."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cached_property

import mpmath
import numpy as np
import pytest

LIMIT = 0.51
OFFSETS = [0.0, 1e2, 1e4, 1e6]
#: tiny; odd and prime, more than one axis on either side; sums of many elements over many groups
SIZES = {
    "layer_norm": [((1, 2), {"axis": -1}), ((3, 5, 7, 11), {"axis": 2}), ((29, 521), {"axis": 1})],
    "rms_norm": [((1, 2), {"axis": -1}), ((3, 5, 7, 11), {"axis": 2}), ((29, 521), {"axis": 1})],
    "group_norm": [
        ((1, 2), {"num_groups": 1}),
        ((3, 10, 7, 3), {"num_groups": 2}),
        ((2, 12, 211), {"num_groups": 4}),
        ((5, 6, 5, 5), {"num_groups": 6}),
    ],
    "instance_norm": [((1, 1, 2), {}), ((3, 5, 7, 11), {}), ((2, 3, 613), {})],
    "batch_norm_relu": [((2, 1), {"axis": 1}), ((3, 5, 7, 11), {"axis": 1}), ((277, 37), {"axis": -1})],
    "batch_norm_add_relu": [((2, 1), {"axis": 1}), ((3, 5, 7, 11), {"axis": 1}), ((277, 37), {"axis": -1})],
}


def fractions(values):
    return [Fraction(one) for one in np.asarray(values, np.float64).ravel().tolist()]


def some(count, wanted, rng):
    """Some of range(count), the first and the last among them."""
    return sorted({0, count - 1, *rng.integers(0, count, wanted).tolist()})


class Group:
    """The elements that share a statistic, with that as given or as it is exactly."""

    def __init__(self, exact, number):
        self.exact, self.mpf = exact, exact.oracle.mpf
        self.places = np.flatnonzero(exact.statistic == number)
        values = exact.x[self.places]
        feature = exact.oracle.feature(values)
        centred = "mean" in exact.norm.statistics
        self.mean = feature.mean if centred else Fraction(0)
        self.var = feature.var if centred else feature.var + feature.mean**2
        self.magnitude = feature.mean_magnitude
        if exact.statistics is not None:
            given = [Fraction(float(one.ravel()[number])) for one in exact.statistics]
            self.mean, self.var = given if centred else (Fraction(0), *given)
        self.spread = self.var + Fraction(exact.norm.eps)
        self.root = mpmath.sqrt(self.mpf(self.spread))

    def z(self, place):
        """(the exact result at an element before the rectifier, its natural scale)."""
        exact = self.exact
        product = self.mpf(exact.gamma(place) * (Fraction(float(exact.x[place])) - self.mean)) / self.root
        others = [self.mpf(Fraction(float(one[place]))) for one in exact.added]
        result = product + sum(others)
        return result, max(map(abs, (result, product, *others)))

    def dz(self, place):
        """The cotangent of what the rectifier is given."""
        exact = self.exact
        cut = exact.norm.relu and self.z(place)[0] <= 0
        return Fraction(0) if cut else Fraction(float(exact.dy[place]))

    @cached_property
    def sums(self):
        """The sums of the cotangents of the normalized values, as they are and times x - mean; not over the root."""
        cotangents = [self.dz(place) * self.exact.gamma(place) for place in self.places]
        values = fractions(self.exact.x[self.places])
        return sum(cotangents), sum(g * (x - self.mean) for g, x in zip(cotangents, values, strict=True))

    def dx(self, place):
        """(the exact result at an element, its natural scale)."""
        m, (total, moment) = len(self.places), self.sums
        centred = Fraction(float(self.exact.x[place])) - self.mean
        parts = [self.dz(place) * self.exact.gamma(place), -centred * moment / (m * self.spread)]
        if "mean" in self.exact.norm.statistics:
            parts.append(-total / m)
        scale = max(map(abs, (sum(parts), *parts)))
        return self.mpf(sum(parts)) / self.root, self.mpf(scale) / self.root


class Exact:
    """The exact results of a call, for the statistics that are given, else for exact ones."""

    def __init__(self, oracle, case, statistics=None):
        self.oracle, self.case, self.norm, self.statistics = oracle, case, case.norm, statistics
        self.x, self.dy = case.x.ravel(), case.dy.ravel()
        parts = case.parts
        self.statistic, self.parameter = parts.statistic.ravel(), parts.parameter.ravel()
        beta, residual = case.parameters.get("beta"), case.data.get("residual")
        added = [None if beta is None else beta.ravel()[self.parameter], None if residual is None else residual.ravel()]
        self.added = [one for one in added if one is not None]
        self._groups = {}

    def gamma(self, place):
        gamma = self.case.parameters.get("gamma")
        return Fraction(1) if gamma is None else Fraction(float(gamma.ravel()[self.parameter[place]]))

    def group(self, number):
        if number not in self._groups:
            self._groups[number] = Group(self, number)
        return self._groups[number]

    def of_parameter(self, number):
        """((dgamma, its natural scale), (dbeta, its natural scale))."""
        gamma = gamma_scale = mpmath.mpf(0)
        beta = beta_scale = Fraction(0)
        places = np.flatnonzero(self.parameter == number)
        for own in np.unique(self.statistic[places]):
            group = self.group(own)
            inside = places[self.statistic[places] == own]
            dz = [group.dz(place) for place in inside]
            terms = [one * (x - group.mean) for one, x in zip(dz, fractions(self.x[inside]), strict=True)]
            gamma += self.oracle.mpf(sum(terms)) / group.root
            gamma_scale += self.oracle.mpf(sum(map(abs, terms))) / group.root
            beta, beta_scale = beta + sum(dz), beta_scale + sum(map(abs, dz))
        return (gamma, gamma_scale), (beta, beta_scale)

    # ---- the largest errors in scaled ulps ---------------------------------------------------------

    def _places(self, group, results, rng, elements):
        """Some elements of a group, among them those nearest to the mean and farthest, and the least result."""
        order = np.argsort(np.abs(self.x[group.places].astype(np.float64) - float(group.mean)), kind="stable")
        hard = [*order[:2], *order[-2:], np.argmin(np.abs(results[group.places]))]
        return group.places[np.unique([*hard, *some(len(order), elements, rng)])]

    def forward_errors(self, result, rng, dtype, groups=4, elements=12):
        """The errors of y (in its own ulps), and of each statistic in ulps of the dtype."""
        worst = dict.fromkeys(result._fields, 0.0)
        y = result.y.ravel()
        for number in some(result[1].size, groups, rng):
            group = self.group(number)
            for place in self._places(group, y, rng, elements):
                value, scale = group.z(place)
                value = max(value, mpmath.mpf(0)) if self.norm.relu else value
                worst["y"] = max(worst["y"], self.oracle.error(y[place], value, scale, y.dtype))
            expected = [(group.mean, group.magnitude), (group.var, group.var)][-len(self.norm.statistics) :]
            for name, computed, (value, scale) in zip(result._fields[1:], result[1:], expected, strict=True):
                worst[name] = max(worst[name], self.oracle.error(computed.ravel()[number], value, scale, dtype))
        return worst

    def backward_errors(self, result, rng, groups=3, elements=8, parameters=3):
        """The errors of each gradient in its own ulps."""
        worst = dict.fromkeys(result._fields, 0.0)

        def note(name, computed, value, scale):
            worst[name] = max(worst[name], self.oracle.error(computed, value, scale, computed.dtype))

        dx = result.dx.ravel()
        for number in some(int(self.statistic.max()) + 1, groups, rng):
            group = self.group(number)
            for place in self._places(group, dx, rng, elements):
                note("dx", dx[place], *group.dx(place))
                if self.norm.residual:
                    dz = group.dz(place)
                    note("dresidual", result.dresidual.ravel()[place], dz, abs(dz))
        for number in some(int(self.parameter.max()) + 1, parameters, rng):
            for name, expected in zip(("dgamma", "dbeta"), self.of_parameter(number), strict=True):
                computed = getattr(result, name, None)
                if computed is not None:
                    note(name, computed.ravel()[number], *expected)
        return worst


def arrangements(case):
    """The same call in other memory."""
    yield case.of(np.asfortranarray)
    yield case.of(lambda a: np.repeat(a[::-1], 2, axis=0)[::-2])
    if case.x.ndim == 4:
        channels_last = (0, 2, 3, 1), (0, 3, 1, 2)
        yield case.of(lambda a: a.transpose(channels_last[0]).copy().transpose(channels_last[1]), parameters=False)


def assert_same_bits(found, expected):
    assert [one.tobytes() for one in found] == [one.tobytes() for one in expected]


@pytest.mark.parametrize("offset", OFFSETS)
def test_float32_is_rounded_as_well_as_can_be(oracle, norm, rng, offset):
    for shape, where in SIZES[norm.name]:
        case = norm.case(rng, shape, where, np.float32, offset)
        result = case.forward()
        exact = Exact(oracle, case)
        errors = exact.forward_errors(result, rng, np.float32)
        assert max(errors.values()) <= LIMIT, (shape, errors)
        # The returned statistics are float64 and good to its last digits, not to float32's only.
        doubles = exact.forward_errors(result, rng, np.float64, elements=0)
        assert max(doubles[name] for name in norm.statistics) <= 4, (shape, doubles)
        statistics = result[1:]
        gradients = case.backward(statistics)
        given = Exact(oracle, case, statistics).backward_errors(gradients, rng)
        assert max(given.values()) <= LIMIT, (shape, given)
        # The statistics' last digits are lost in float64, not in float32: the whole gradient is as good.
        whole = exact.backward_errors(gradients, rng, parameters=1)
        assert max(whole.values()) <= LIMIT, (shape, whole)
        for other in arrangements(case):
            assert_same_bits(other.forward(check="off"), result)
            assert_same_bits(other.backward(statistics, check="off"), gradients)


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_float64_is_rounded_as_well_as_can_be(oracle, norm, rng, offset):
    """The gradients are for the statistics as given, which are float64 and no more."""
    for shape, where in SIZES[norm.name]:
        case = norm.case(rng, shape, where, np.float64, offset)
        result = case.forward()
        errors = Exact(oracle, case).forward_errors(result, rng, np.float64)
        found = Exact(oracle, case, result[1:]).backward_errors(case.backward(result[1:]), rng)
        assert max((errors | found).values()) <= LIMIT, (shape, errors, found)


@pytest.mark.parametrize("eps", [1e-300, 1.0, 1e10])
def test_float32_with_unusual_eps(oracle, norm, rng, eps):
    shape, where = SIZES[norm.name][1]
    case = replace(norm, eps=eps).case(rng, shape, where, np.float32, 1e2)
    result = case.forward(eps=eps)
    exact = Exact(oracle, case)
    assert max(exact.forward_errors(result, rng, np.float32, groups=2).values()) <= LIMIT
    gradients = case.backward(result[1:], eps=eps)
    assert max(exact.backward_errors(gradients, rng, groups=1, parameters=1).values()) <= LIMIT


@pytest.mark.parametrize("gamma", [1e-30, 1e30, 0.0, None])
def test_float32_with_unusual_gamma(oracle, norm, rng, gamma):
    shape, where = SIZES[norm.name][1]
    case = norm.case(rng, shape, where, np.float32, 1e4).without("gamma")
    if gamma is not None:
        own = {"gamma": np.full(case.parts.parameters, gamma, np.float32)}
        case = replace(case, parameters=own | case.parameters)
    result = case.forward()
    exact = Exact(oracle, case)
    assert max(exact.forward_errors(result, rng, np.float32, groups=2).values()) <= LIMIT
    assert max(exact.backward_errors(case.backward(result[1:]), rng, groups=1, parameters=1).values()) <= LIMIT


def of_groups(norm, count, m):
    """A call with so many groups of m elements."""
    if norm.name == "group_norm":
        return ((1, 6 * count, m // 6), {"num_groups": count}) if m % 6 == 0 else ((count, m), {"num_groups": 1})
    if norm.name == "instance_norm":
        return (1, count, m), {}
    return ((m, count) if norm.relu else (count, m)), {"axis": 1}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [2, 17, 258])
def test_adversarial_data(oracle, hard_data, norm, rng, m, dtype):
    """A group for each kind of hard data, with and without a hard cotangent."""
    pairs = hard_data.pairs(rng, m, dtype)
    columns = hard_data.columns(rng, m, dtype)
    pairs |= {name: (rng.standard_normal(m).astype(dtype), one) for name, one in columns.items()}
    shape, where = of_groups(norm, len(pairs), m)
    case = norm.case(rng, shape, where, dtype).without("gamma", "beta")
    dy, x = np.empty(shape, dtype), np.empty(shape, dtype)
    for number, pair in enumerate(pairs.values()):
        dy[case.parts.statistic == number], x[case.parts.statistic == number] = pair
    data = {name: np.zeros(shape, dtype) for name in case.data} | {"x": x}
    case = replace(case, data=data, dy=dy)
    result = case.forward()
    exact = Exact(oracle, case, result[1:])
    gradients = case.backward(result[1:])
    rows, dx = Exact(oracle, case), gradients.dx.ravel()
    y = result.y.ravel()
    for number, name in enumerate(pairs):
        group, given = rows.group(number), exact.group(number)
        for place in rows._places(group, y, rng, 8):
            value, scale = group.z(place)
            value = max(value, mpmath.mpf(0)) if norm.relu else value
            assert oracle.error(y[place], value, scale, dtype) <= LIMIT, name
            assert oracle.error(dx[place], *given.dx(place), dtype) <= LIMIT, name
    for number in some(int(exact.parameter.max()) + 1, 1, rng):
        (_, _), (dbeta, scale) = exact.of_parameter(number)
        if getattr(gradients, "dbeta", None) is not None:
            assert oracle.error(gradients.dbeta.ravel()[number], dbeta, scale, dtype) <= LIMIT


def test_the_oracle_knows_a_rounding_error(oracle, norm, rng):
    """The oracle is not blind: NumPy's float32 is far off at an offset of 1e4, and one wrong element is seen."""
    shape, where = SIZES[norm.name][1]
    case = norm.case(rng, shape, where, np.float32, 1e4)
    result = case.forward()
    exact = Exact(oracle, case)
    sizes = np.bincount(case.parts.statistic.ravel())
    x = case.x.ravel()
    mean = np.array([x[exact.statistic == one].mean(dtype=np.float32) for one in range(len(sizes))])
    if "mean" in norm.statistics:
        narrow = result._replace(mean=np.float64(mean).reshape(result.mean.shape))
        assert exact.forward_errors(narrow, rng, np.float64)["mean"] > 1000
        assert Exact(oracle, case, narrow[1:]).forward_errors(result, rng, np.float32)["y"] > 10
    gradients = case.backward(result[1:])
    for name in norm.gradients:
        wrong = gradients._replace(**{name: getattr(gradients, name) + np.float32(1e-4)})
        errors = exact.backward_errors(wrong, rng, groups=1, parameters=1)
        assert {one for one, error in errors.items() if error > LIMIT} == {name}
