"""What a reduction makes of terms that know how wrong they can be: its value, natural scale and error bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from symbn.run.rounding import ROUNDINGS, TINY, Arithmetic, finite

Array = Any
Thunk = Callable[[], Array]

#: the smallest number with all its digits
_NORMAL = 2.0**-1022
#: whole numbers up to here are added without rounding
_WHOLE = 2.0**53


@dataclass(frozen=True)
class Terms:
    """What is reduced along ``axis``; ``error`` is None where the terms are free of error."""

    value: Array
    axis: tuple[int, ...]
    scale: Thunk
    error: Thunk | None

    @property
    def count(self) -> int:
        return int(np.prod([self.value.shape[number] for number in self.axis]))

    def spread(self, thunk: Thunk | None) -> Array:
        """A scale or an error for each term; zero where there is none."""
        return np.broadcast_to(0.0 if thunk is None else thunk(), self.value.shape)

    def along(self, function: Any, array: Array, **options: Any) -> Array:
        """One of NumPy's reductions of the terms."""
        return function(array, axis=self.axis, keepdims=True, **options)


@dataclass(frozen=True)
class Reduced:
    """A reduction's value, with its scale and error when they are asked for."""

    value: Array
    scale: Thunk
    error: Thunk | None
    #: for a maximum or minimum: where only one term can be it
    alone: Thunk | None = None


def total(terms: Terms, arithmetic: Arithmetic, mean: bool = False) -> Reduced:
    """The sum or mean, about the terms' own mean and in longdouble: exact but for rounding of their spread.

    A mean is not rounded to the accumulator at the end, because a kernel does not do so either where
    the mean is taken from a sample (it is held in two parts).
    """
    a, count = terms.value, terms.count
    with np.errstate(all="ignore"):
        rough = terms.along(np.sum, a)
        centre = finite(rough / count)
        rest = terms.along(np.sum, a - centre).astype(np.longdouble)
        factor = np.longdouble(1 if mean else count)
        shift = rest / count if mean else rest
        exact = factor * centre.astype(np.longdouble) + shift
        crude = rough.astype(np.longdouble) / (count if mean else 1)
        value = np.where(np.isfinite(rough), exact, crude)
    # How many terms there are of some kind, say: a sum that a condition may ask for.
    whole = not mean and _whole(terms)
    if np.any(whole):
        value = np.where(whole, rough, value)
    over = max(count, 1) if mean else 1

    def scale() -> Array:
        return terms.along(np.sum, np.abs(a)) / over

    def error() -> Array:
        spread = terms.along(np.sum, np.abs(a - centre)) / over
        own = terms.along(np.sum, terms.spread(terms.error)) / over
        bound = own + arithmetic.sum_error(count, scale(), spread, levels=1 if mean else len(terms.axis))
        if not mean:
            bound = bound + ROUNDINGS * arithmetic.roundoff * np.abs(value)
        return np.asarray(np.where(whole, own, bound + TINY), arithmetic.wide)

    return Reduced(value, scale, error)


def _whole(terms: Terms) -> Array:
    """Where all terms are whole numbers, which are added without rounding."""
    first = terms.value[tuple(slice(1) if axis in terms.axis else slice(None) for axis in range(terms.value.ndim))]
    if not np.any(first == np.rint(first)):
        return False
    small = terms.along(np.sum, np.abs(terms.value)) < _WHOLE
    return terms.along(np.all, terms.value == np.rint(terms.value)) & small


def average(terms: Terms, arithmetic: Arithmetic) -> Reduced:
    return total(terms, arithmetic, mean=True)


def product(terms: Terms, arithmetic: Arithmetic) -> Reduced:
    """The product, in longdouble; each factor may be off by its error, and each multiplication is rounded."""
    a = terms.value.astype(np.longdouble)
    with np.errstate(all="ignore"):
        value = terms.along(np.prod, a)

    def error() -> Array:
        exact, wrong = np.abs(a), np.abs(a) + terms.spread(terms.error)
        with np.errstate(all="ignore"):
            grown = terms.along(np.prod, wrong)
            most = terms.along(np.prod, np.maximum(wrong, 1.0))
            least = terms.along(np.prod, np.minimum(exact, 1.0))
            bound = grown - terms.along(np.prod, exact) + arithmetic.product_error(terms.count, grown, most)
        # What is not finite is met as it is, unless the others are zero once they are rounded: 0 times infinity.
        unknown = np.isfinite(value) | (np.isinf(value) & (least < _NORMAL))
        return np.where(np.isfinite(bound), bound, np.where(unknown, np.inf, 0.0))

    return Reduced(value, lambda: np.abs(value), error)


def largest(terms: Terms, arithmetic: Arithmetic) -> Reduced:
    """The maximum: a term's own value, and as wrong as the terms are that may be it."""
    return _extreme(terms, terms.value)


def smallest(terms: Terms, arithmetic: Arithmetic) -> Reduced:
    """The minimum: the maximum of the terms' negatives."""
    found = _extreme(terms, -terms.value)
    return Reduced(-found.value, found.scale, found.error, found.alone)


def _extreme(terms: Terms, a: Array) -> Reduced:
    def top(array: Array) -> Array:
        return terms.along(np.max, array, initial=-np.inf)

    def may_be() -> Array:
        """The terms that can be the maximum: those that come up to what one of them reaches for certain."""
        exact, wrong = a.astype(np.longdouble), terms.spread(terms.error)
        with np.errstate(all="ignore"):
            return exact + wrong >= top(exact - wrong)

    def among(thunk: Thunk | None) -> Array:
        return terms.along(np.max, np.where(may_be(), terms.spread(thunk), 0.0), initial=0.0)

    return Reduced(
        top(a).astype(np.longdouble),
        lambda: among(terms.scale),
        None if terms.error is None else lambda: among(terms.error),
        lambda: terms.along(np.sum, may_be()) == 1,
    )


#: NumPy's name -> the reduction
REDUCTIONS: dict[str, Callable[[Terms, Arithmetic], Reduced]] = {
    "sum": total,
    "mean": average,
    "prod": product,
    "max": largest,
    "min": smallest,
}
