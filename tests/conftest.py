"""The exact oracle: rational statistics, a root with 60 digits, and errors in scaled ulps."""

from __future__ import annotations

import importlib
import runpy
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest

import symbn
from symbn.build import compiler

mpmath.mp.dps = 60

HELPERS = {name: runpy.run_path(str(Path(__file__).with_name(f"{name}.py"))) for name in ("family", "hard_data")}


def _integers(values):
    """The values as integers times 2**exponent: exact."""
    ratios = [float(value).as_integer_ratio() for value in values]
    shift = max((denominator.bit_length() - 1 for _, denominator in ratios), default=0)
    return [numerator << (shift - denominator.bit_length() + 1) for numerator, denominator in ratios], shift


def _mpf(value):
    return mpmath.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else mpmath.mpf(float(value))


def _ulp(scale, dtype):
    """Distance between neighbouring numbers of the dtype in the binade of the scale; no less than a subnormal's."""
    digits, least = {"float32": (24, -149), "float64": (53, -1074)}[np.dtype(dtype).name]
    if scale == 0:
        return mpmath.ldexp(1, least)
    _, exponent = mpmath.frexp(abs(scale))
    return mpmath.ldexp(1, max(int(exponent) - digits, least))


@dataclass(frozen=True)
class Feature:
    """One feature's exact statistics."""

    values: np.ndarray
    mean: Fraction
    var: Fraction
    mean_magnitude: Fraction

    def y(self, x, gamma, beta, eps, mean=None, var=None):
        """(the exact result for one sample, its natural scale)."""
        mean = self.mean if mean is None else Fraction(float(mean))
        var = self.var if var is None else Fraction(float(var))
        root = mpmath.sqrt(_mpf(var + Fraction(float(eps))))
        product = _mpf(Fraction(float(gamma)) * (Fraction(float(x)) - mean)) / root
        result = product + mpmath.mpf(float(beta))
        return result, max(abs(result), abs(product), abs(mpmath.mpf(float(beta))))


def _feature(values):
    values = np.asarray(values).ravel()
    numbers, shift = _integers(values)
    m, total = len(numbers), sum(numbers)
    squares = sum(number * number for number in numbers)
    scale = 1 << shift
    return Feature(
        values,
        Fraction(total, m * scale),
        Fraction(m * squares - total * total, m * m * scale * scale),
        Fraction(sum(map(abs, numbers)), m * scale),
    )


@dataclass(frozen=True)
class Errors:
    """The largest errors in scaled ulps."""

    y: float
    mean: float
    var: float


class Oracle:
    """Exact batch normalization of single features and elements."""

    feature = staticmethod(_feature)
    mpf = staticmethod(_mpf)
    ulp = staticmethod(_ulp)

    @staticmethod
    def error(computed, exact, scale, dtype):
        """|computed - exact| in ulps of the dtype at the scale."""
        if not np.isfinite(computed):
            return float("inf")
        return float(abs(mpmath.mpf(float(computed)) - _mpf_or(exact)) / _ulp(_mpf_or(scale), dtype))

    def y_error(self, x, y, gamma, beta, eps, axis, rng, features=4, elements=40, mean=None, var=None):
        """The largest error of y over some features (the first and last among them) and elements of each.

        The elements nearest to the mean, the smallest and the largest are always among them. With ``mean``
        and ``var`` it is the inference formula.
        """
        columns = np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
        results = np.moveaxis(y, axis, 0).reshape(x.shape[axis], -1)
        worst = 0.0
        for k in _pick(len(columns), features, rng):
            exact = _feature(columns[k])
            centre = float(exact.mean)
            order = np.argsort(np.abs(columns[k].astype(np.float64) - centre), kind="stable")
            places = {*order[:5].tolist(), *order[-5:].tolist(), *_pick(columns.shape[1], elements, rng)}
            g, b = (1.0 if gamma is None else gamma[k]), (0.0 if beta is None else beta[k])
            for i in places:
                given = {} if mean is None else {"mean": mean[k], "var": var[k]}
                value, scale = exact.y(columns[k, i], g, b, eps, **given)
                worst = max(worst, self.error(results[k, i], value, scale, y.dtype))
        return worst

    def errors(self, x, result, gamma, beta, eps, axis, rng, dtype, features=4, elements=40):
        """The largest errors of y (in its own ulps), mean and var (in ulps of ``dtype``)."""
        columns = np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
        mean = var = 0.0
        for k in _pick(len(columns), features, rng):
            exact = _feature(columns[k])
            mean = max(mean, self.error(result.mean[k], exact.mean, exact.mean_magnitude, dtype))
            var = max(var, self.error(result.var[k], exact.var, exact.var, dtype))
        return Errors(self.y_error(x, result.y, gamma, beta, eps, axis, rng, features, elements), mean, var)


def _mpf_or(value):
    return value if isinstance(value, mpmath.mpf) else _mpf(value)


def _pick(count, wanted, rng):
    """Some of range(count), the first and the last among them."""
    if count <= wanted:
        return list(range(count))
    return sorted({0, count - 1, *rng.choice(count, wanted, replace=False).tolist()})


@pytest.fixture(scope="session")
def oracle():
    """Exact batch normalization, independent of symbn."""
    return Oracle()


@pytest.fixture(scope="session", params=HELPERS["family"]["FAMILY"], ids=str)
def norm(request):
    """Each normalization of the shipped family, with an oracle in NumPy's widest float."""
    return request.param


@pytest.fixture(scope="session")
def hard_data():
    """``columns`` of data and ``pairs`` of cotangent and data, by name."""
    return SimpleNamespace(**{name: HELPERS["hard_data"][name] for name in ("columns", "pairs")})


@pytest.fixture
def rng():
    """Random numbers, the same for each run of a test."""
    return np.random.default_rng(20151502)


@pytest.fixture
def threads():
    """Lets a test set the number of threads."""
    before = symbn.get_num_threads()
    yield symbn.set_num_threads
    symbn.set_num_threads(before)


@pytest.fixture(scope="module")
def compiled_quickly():
    """Kernels are compiled as they are written, in a tenth of the time: for tests of what equations become."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "FLAGS", tuple("-O0" if flag == "-O3" else flag for flag in compiler.FLAGS))
        yield


@pytest.fixture
def refused(monkeypatch):
    """Makes the check of a shipped function fail: its reference is off by one."""

    def refuse(name):
        call = importlib.import_module(f"symbn.shipped.{name}").CALL
        right = call._reference
        monkeypatch.setattr(call, "_reference", lambda *values: tuple(one + 1 for one in right(*values)))

    return refuse
