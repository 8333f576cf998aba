"""Numbers that know how wrong they can be: NumPy arrays with natural scale and error bound.

The reference (symbn.run.reference) is plain NumPy. Evaluated on ``Tracked`` arrays instead of ndarrays
the same code yields for each element

- ``value``: evaluated in the reference's precision; what reductions give is held in longdouble, and sums are
  taken about their own mean, so that they are as good as the terms;
- ``scale``: the magnitude that its error is measured by. At a sum it is the largest magnitude among the
  terms, at a product the product, at a sum over indices the sum of the magnitudes, at a maximum that of what
  may be it, through a function its derivative's share;
- ``error``: a bound, to first order in the roundoffs, of what rounding may have done to a correct kernel's
  value and to the reference's own, together (running error analysis; Higham, Accuracy and Stability of
  Numerical Algorithms, 2002, section 3.3).

``scale`` and ``error`` are computed when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from symbn.run import reducing
from symbn.run.rounding import FUNCTION_ROUNDINGS, ROUNDINGS, TINY, Arithmetic, finite

Array = Any
Thunk = Callable[[], Array]


class Tracked:
    """An array expression; operators, NumPy's functions and reductions work on it as on an ndarray."""

    __array_priority__ = 100.0

    def __init__(
        self,
        value: Array,
        arithmetic: Arithmetic,
        scale: Thunk | None = None,
        error: Thunk | None = None,
        *,
        two_part: bool = False,
        shape: tuple[int, ...] | None = None,
        lost: Thunk | None = None,
    ) -> None:
        self.value = value
        self.arithmetic = arithmetic
        #: the shape of the array that this is a part of
        self.shape = tuple(value.shape) if shape is None else shape
        self._scale = scale
        self._error = error
        self._two_part = two_part
        self._lost = lost
        #: stands for these elements, wherever they are moved
        self.origin: object = object()
        #: for a maximum or minimum: the origin of its terms, and where one of them alone can be it
        self.extreme_of: object = None
        self._alone: Thunk | None = None

    @cached_property
    def scale(self) -> Array:
        return np.abs(self.value) if self._scale is None else self._scale()

    @cached_property
    def held_error(self) -> Array:
        """The error of the value as a kernel holds it: a mean in two parts."""
        return 0.0 if self._error is None else self._error()

    @cached_property
    def error(self) -> Array:
        """The error of the value as one number of the accumulator's precision."""
        return self.held_error + self.arithmetic.kernel * np.abs(self.value) if self._two_part else self.held_error

    @cached_property
    def lost(self) -> Array:
        """Where there should be a number, but nothing is known of it: a bound is infinite, or a source's was."""
        here = np.isinf(self.error) & np.isfinite(self.value)
        return here if self._lost is None else here | self._lost()

    @property
    def exact(self) -> bool:
        """Is this an input, or a number: free of error?"""
        return self._error is None

    def lift(self, other: Any) -> Tracked:
        return other if isinstance(other, Tracked) else Tracked(np.asarray(other, np.longdouble), self.arithmetic)

    def __getitem__(self, key: Any) -> Tracked:
        return Tracked(
            self.value[key],
            self.arithmetic,
            lambda: _at(self.scale, key),
            None if self.exact else lambda: _at(self.error, key),
        )

    def transpose(self, *axes: int) -> Tracked:
        return self.moved(lambda a: a.transpose(*axes))

    def moved(self, move: Callable[[Array], Array]) -> Tracked:
        """The same elements in other places."""

        def spread(a: Array) -> Array:
            return move(np.broadcast_to(a, self.value.shape))

        error = None if self.exact else lambda: spread(self.error)
        result = Tracked(
            move(self.value), self.arithmetic, lambda: spread(self.scale), error, lost=lambda: spread(self.lost)
        )
        result.origin, result.extreme_of = self.origin, self.extreme_of
        result._alone = (lambda alone: lambda: move(alone()))(self._alone) if self._alone else None
        return result

    # ---- sums and products -----------------------------------------------------------------------

    def _combine(self, other: Tracked, sign: int) -> Tracked:
        value = _add(self.value, other.value if sign > 0 else -other.value)
        u = ROUNDINGS * self.arithmetic.roundoff
        return Tracked(
            value,
            self.arithmetic,
            lambda: np.maximum(np.maximum(self.scale, other.scale), np.abs(value)),
            lambda: self.held_error + other.held_error + u * np.abs(value),
            lost=lambda: self.lost | other.lost,
        )

    def __add__(self, other: Any) -> Tracked:
        return self._combine(self.lift(other), 1)

    def __radd__(self, other: Any) -> Tracked:
        return self.lift(other)._combine(self, 1)

    def __sub__(self, other: Any) -> Tracked:
        return self._combine(self.lift(other), -1)

    def __rsub__(self, other: Any) -> Tracked:
        return self.lift(other)._combine(self, -1)

    def __neg__(self) -> Tracked:
        return Tracked(-self.value, self.arithmetic, lambda: self.scale, lambda: self.error, lost=lambda: self.lost)

    def __mul__(self, other: Any) -> Tracked:
        other = self.lift(other)
        a, b = self._narrow(other)
        value = a * b
        u = ROUNDINGS * self.arithmetic.roundoff

        def error() -> Array:
            moved = np.abs(a) * other.error + np.abs(b) * self.error + self.error * other.error
            return np.where(self.lost | other.lost, np.inf, moved) + u * np.abs(value) + TINY

        return Tracked(value, self.arithmetic, _scaled(self, other, value), error, lost=lambda: self.lost | other.lost)

    def __rmul__(self, other: Any) -> Tracked:
        return self.lift(other) * self

    def __truediv__(self, other: Any) -> Tracked:
        other = self.lift(other)
        a, b = self._narrow(other)
        with np.errstate(all="ignore"):
            value = a / b
        u = ROUNDINGS * self.arithmetic.roundoff

        def doubtful() -> Array:
            # 0/0 and what may be it: not a number, an infinity or any number, as rounding has it.
            moved = (other.error > 0) | ((self.error > 0) & (np.abs(a) <= self.error))
            return moved & (np.abs(b) <= other.error) & np.isfinite(a) & np.isfinite(b)

        def error() -> Array:
            with np.errstate(all="ignore"):
                least = np.maximum(np.abs(b) - other.error, 0.0)
                moved = _known((self.error + np.abs(value) * other.error) / least, self, other)
                return np.where(doubtful(), np.inf, moved + u * np.abs(value) + TINY)

        scale = _quotient_scale(self, other, value)
        return Tracked(value, self.arithmetic, scale, error, lost=lambda: self.lost | other.lost | doubtful())

    def __rtruediv__(self, other: Any) -> Tracked:
        return self.lift(other) / self

    def __pow__(self, exponent: Any) -> Tracked:
        exponent = self.lift(exponent)
        if exponent.value.ndim or not exponent.exact:
            return _two_sided(np.power, self, exponent)
        power = float(exponent.value)
        if power < 0:
            return self.lift(1) / self**-power
        with np.errstate(all="ignore"):
            value = self.value * self.value if power == 2.0 else self.value ** exponent.value.astype(self.value.dtype)
        steps = ROUNDINGS * abs(power) if power.is_integer() and abs(power) <= 16 else FUNCTION_ROUNDINGS
        return self.function(value, lambda x: x**power, lambda x: power * x ** (power - 1), steps, square=power == 2.0)

    def __rpow__(self, base: Any) -> Tracked:
        return self.lift(base) ** self

    def function(
        self,
        value: Array,
        f: Callable[[Array], Array],
        slope: Callable[[Array], Array],
        steps: float,
        square: bool = False,
    ) -> Tracked:
        """f of this array, with ``slope`` its derivative and so many roundings in computing it."""
        u = steps * self.arithmetic.roundoff

        def scale() -> Array:
            with np.errstate(all="ignore"):
                share = 0.0 if square else finite(np.abs(slope(self.value)) * self.scale)
            return np.maximum(np.abs(value), share)

        def error() -> Array:
            if square:
                return (2 * np.abs(self.value) + self.error) * self.error + u * value + TINY
            # The bound holds for a step as large as the error itself: take f on both sides, not the slope at a point.
            with np.errstate(all="ignore"):
                ahead, behind = f(self.value + self.error), f(self.value - self.error)
                moved = np.fmax(np.abs(ahead - value), np.abs(behind - value))
            return _known(moved, self) + u * np.abs(value) + TINY

        return Tracked(value, self.arithmetic, scale, error, lost=lambda: self.lost)

    def _narrow(self, other: Tracked) -> tuple[Array, Array]:
        """The two values, both in the precision of the larger one."""
        a, b = self.value, other.value
        if a.size > b.size:
            b = b.astype(a.dtype, copy=False)
        elif b.size > a.size:
            a = a.astype(b.dtype, copy=False)
        return a, b

    # ---- NumPy's protocols -----------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__":
            return NotImplemented
        args = [self.lift(value) for value in inputs]
        if ufunc is np.positive:
            return args[0]
        if kwargs:
            return NotImplemented
        name = ufunc.__name__.removesuffix(_OF_PYTHON)
        if name in _MATH_SLOPES:

            def numbers(x: Array) -> Array:
                return np.asarray(ufunc(x), np.float64)

            return args[0].function(numbers(args[0].value), numbers, _MATH_SLOPES[name], FUNCTION_ROUNDINGS)
        if ufunc in _BINARY:
            return _BINARY[ufunc](*args)
        if ufunc in _COMPARE:
            return args[0]._compare(args[1], ufunc)
        if ufunc in (np.maximum, np.minimum):
            return _select(ufunc(args[0].value, args[1].value), *args)
        if ufunc is np.negative:
            return -args[0]
        if ufunc in _SLOPES:
            with np.errstate(all="ignore"):
                value = ufunc(args[0].value)
            return args[0].function(
                value, ufunc, _SLOPES[ufunc], FUNCTION_ROUNDINGS if ufunc is not np.sqrt else ROUNDINGS
            )
        if ufunc in _FLAT:
            value = ufunc(args[0].value)
            return Tracked(value, self.arithmetic, None, lambda: _jump(ufunc, args[0]))
        if ufunc in (np.arctan2, np.hypot):
            return _two_sided(ufunc, args[0], args[1])
        return NotImplemented

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in _REDUCTIONS:
            return args[0].reduce(_REDUCTIONS[func], **kwargs)
        if func is np.moveaxis:
            return args[0].moved(lambda a: np.moveaxis(a, *args[1:]))
        if func is np.where:
            return _where(self.arithmetic, *args)
        return NotImplemented

    def _compare(self, other: Any, relation: Callable[[Array, Array], Array]) -> Condition:
        other = self.lift(other)
        value = relation(self.value, other.value)

        def uncertain() -> Array:
            # Numbers free of error compare the same in every precision.
            room = self.error + other.error
            near = (np.abs(self.value - other.value) <= room) & (room > 0)
            for term, extreme in ((self, other), (other, self)):
                if extreme._alone is not None and extreme.extreme_of is term.origin:
                    # The one term that can be the maximum is it, with the same bits.
                    near = near & ~extreme._alone()
            return near

        return Condition(value, self.arithmetic, uncertain)

    def __lt__(self, other: Any) -> Condition:
        return self._compare(other, np.less)

    def __le__(self, other: Any) -> Condition:
        return self._compare(other, np.less_equal)

    def __gt__(self, other: Any) -> Condition:
        return self._compare(other, np.greater)

    def __ge__(self, other: Any) -> Condition:
        return self._compare(other, np.greater_equal)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compare(other, np.equal)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compare(other, np.not_equal)

    __hash__ = None  # type: ignore[assignment]

    def reduce(self, name: str, axis: tuple[int, ...], keepdims: bool, initial: float | None = None) -> Tracked:
        """The sum, mean, product, maximum or minimum along some axes, which stay, with length 1.

        ``initial`` is what NumPy asks for, the result for no terms.
        """
        assert keepdims
        terms = reducing.Terms(self.value, axis, lambda: self.scale, None if self.exact else lambda: self.error)
        found = reducing.REDUCTIONS[name](terms, self.arithmetic)
        result = Tracked(found.value, self.arithmetic, found.scale, found.error, two_part=name == "mean")
        if found.alone is not None:
            result.extreme_of, result._alone = self.origin, found.alone
        return result


class Condition:
    """A comparison, and where rounding may decide it: what is chosen by it may there be either."""

    def __init__(self, value: Array, arithmetic: Arithmetic, uncertain: Thunk) -> None:
        self.value = value
        self.arithmetic = arithmetic
        self._uncertain = uncertain

    @cached_property
    def uncertain(self) -> Array:
        return self._uncertain()

    def __and__(self, other: Condition) -> Condition:
        return Condition(self.value & other.value, self.arithmetic, lambda: self.uncertain | other.uncertain)

    def __or__(self, other: Condition) -> Condition:
        return Condition(self.value | other.value, self.arithmetic, lambda: self.uncertain | other.uncertain)

    def __invert__(self) -> Condition:
        return Condition(~self.value, self.arithmetic, lambda: self.uncertain)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _where(self.arithmetic, *args) if func is np.where else NotImplemented


def _where(arithmetic: Arithmetic, condition: Condition, yes: Any, no: Any) -> Tracked:
    """One value or the other; where rounding may decide, an error as large as their difference."""
    yes, no = (
        one if isinstance(one, Tracked) else Tracked(np.asarray(one, np.longdouble), arithmetic) for one in (yes, no)
    )
    chosen = condition.value
    value = np.where(chosen, yes.value, no.value)

    def error() -> Array:
        doubt = np.where(condition.uncertain, np.abs(yes.value - no.value), 0.0)
        return np.where(chosen, yes.error, no.error) + _known(doubt)

    def scale() -> Array:
        return np.where(chosen, yes.scale, no.scale)

    return Tracked(value, arithmetic, scale, error, lost=lambda: np.where(chosen, yes.lost, no.lost))


def _at(array: Array, key: Any) -> Array:
    return array[key] if isinstance(array, np.ndarray) else array


def _known(array: Array, *sources: Tracked) -> Array:
    """An error bound with what is not a number (0/0, inf - inf: the value itself is then none) set to zero.

    It is infinite where nothing is known of one of its sources.
    """
    known = np.where(np.isnan(array), 0.0, array)
    for source in sources:
        known = np.where(source.lost, np.inf, known)
    return known


def _add(a: Array, b: Array) -> Array:
    """a + b in the precision of the larger one; a reduced value (longdouble) is added to it in two parts."""
    with np.errstate(all="ignore"):
        full, small = (a, b) if a.size >= b.size else (b, a)
        if full.dtype == small.dtype or full.size == small.size or full.dtype == np.longdouble:
            return a + b
        leading = small.astype(full.dtype)
        return (full + leading) + finite(small - leading).astype(full.dtype)


def _scaled(a: Tracked, b: Tracked, value: Array) -> Thunk:
    """The scale of a product: a number scales, two arrays are judged by what they give."""
    if np.ndim(a.value) == 0:
        return lambda: np.abs(a.value) * b.scale
    if np.ndim(b.value) == 0:
        return lambda: np.abs(b.value) * a.scale
    return lambda: np.abs(value)


def _quotient_scale(a: Tracked, b: Tracked, value: Array) -> Thunk:
    if np.ndim(b.value) == 0:

        def scale() -> Array:
            with np.errstate(all="ignore"):
                return a.scale / np.abs(b.value)

        return scale
    return lambda: np.abs(value)


def _select(value: Array, a: Tracked, b: Tracked) -> Tracked:
    return Tracked(value, a.arithmetic, None, lambda: np.maximum(a.error, b.error))


def _two_sided(ufunc: Any, a: Tracked, b: Tracked) -> Tracked:
    value = ufunc(*a._narrow(b))
    u = FUNCTION_ROUNDINGS * a.arithmetic.roundoff

    def error() -> Array:
        moved = [np.abs(ufunc(a.value + s * a.error, b.value + t * b.error) - value) for s in (-1, 1) for t in (-1, 1)]
        return _known(np.fmax.reduce(moved), a, b) + u * np.abs(value) + TINY

    return Tracked(value, a.arithmetic, None, error, lost=lambda: a.lost | b.lost)


def _jump(ufunc: Any, a: Tracked) -> Array:
    """A step function is uncertain where its argument's error reaches a step."""
    ahead, behind = ufunc(a.value + a.error), ufunc(a.value - a.error)
    return np.abs(ahead - behind)


_BINARY: dict[Any, Callable[[Tracked, Tracked], Tracked]] = {
    np.add: Tracked.__add__,
    np.subtract: Tracked.__sub__,
    np.multiply: Tracked.__mul__,
    np.divide: Tracked.__truediv__,
    np.power: Tracked.__pow__,
}
_REDUCTIONS = {np.sum: "sum", np.mean: "mean", np.prod: "prod", np.max: "max", np.min: "min"}
_COMPARE = frozenset({np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal})
_FLAT = frozenset({np.sign, np.floor, np.ceil})
#: what NumPy adds to the name of a function of Python's that it takes element by element
_OF_PYTHON = " (vectorized)"
_MATH_SLOPES: dict[str, Callable[[Array], Array]] = {
    "erf": lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x),
    "erfc": lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x),
}
_LN2, _LN10 = np.log(np.longdouble(2)), np.log(np.longdouble(10))
_SLOPES: dict[Any, Callable[[Array], Array]] = {
    np.sqrt: lambda x: 0.5 / np.sqrt(x),
    np.exp: np.exp,
    np.exp2: lambda x: np.exp2(x) * _LN2,
    np.expm1: np.exp,
    np.log: lambda x: 1 / x,
    np.log1p: lambda x: 1 / (1 + x),
    np.log2: lambda x: 1 / (x * _LN2),
    np.log10: lambda x: 1 / (x * _LN10),
    np.sin: np.cos,
    np.cos: np.sin,
    np.tan: lambda x: 1 + np.tan(x) ** 2,
    np.arcsin: lambda x: 1 / np.sqrt(1 - x * x),
    np.arccos: lambda x: 1 / np.sqrt(1 - x * x),
    np.arctan: lambda x: 1 / (1 + x * x),
    np.sinh: np.cosh,
    np.cosh: np.sinh,
    np.tanh: lambda x: 1 - np.tanh(x) ** 2,
    np.arcsinh: lambda x: 1 / np.sqrt(1 + x * x),
    np.arccosh: lambda x: 1 / np.sqrt(x * x - 1),
    np.arctanh: lambda x: 1 / (1 - x * x),
    np.abs: np.sign,
}
