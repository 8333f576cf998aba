"""What a caller may pass as an array or a number, and the message where it is something else."""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

import numpy as np

from symbn.emit.interface import ScalarArgument
from symbn.errors import ArgumentError, ArgumentTypeError


def array(value: Any, label: str) -> Any:
    """An ndarray from an array or something like one; ArgumentTypeError for what is not floating-point."""
    if type(value) is np.ndarray and value.dtype.kind == "f":
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentTypeError(
            f"{label}: is a masked array, and a mask would be lost; fill it with {label}.filled(...)"
        )
    try:
        result = np.asarray(value)
    except (ValueError, TypeError):
        raise ArgumentTypeError(f"{label}: is a {type(value).__name__} that NumPy makes no array of") from None
    if result.dtype.kind != "f":
        hint = "take its real part" if result.dtype.kind == "c" else "cast it with np.asarray(..., 'float32')"
        raise ArgumentTypeError(f"{label}: has dtype {result.dtype}, expected float32 or float64; {hint}")
    return result


def number(value: Any, spec: ScalarArgument, label: str) -> float:
    """A float in the scalar's domain; ArgumentTypeError or ArgumentError where it is not one."""
    if type(value) is not float:
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        if not isinstance(value, numbers.Real | np.bool_):
            raise ArgumentTypeError(f"{label}: is a {type(value).__name__}, expected a number")
        try:
            value = float(value)
        except OverflowError:
            value = math.inf if value > 0 else -math.inf
    if spec.lower < value < spec.upper and not spec.choices:
        return float(value)
    at_end = value == spec.upper or (value == spec.lower and not spec.lower_open)
    if value in spec.choices or (at_end and math.isfinite(value) and not spec.choices):
        return float(value)
    said = "not a number (NaN)" if math.isnan(value) else f"{value:g}"
    raise ArgumentError(f"{label}: is {said}, expected {domain(spec)}")


def integer(value: Any, label: str) -> int:
    """An integer; ArgumentTypeError where it is not one."""
    try:
        return operator.index(value)
    except TypeError:
        raise ArgumentTypeError(f"{label}: is {value!r}, expected an integer") from None


def domain(spec: ScalarArgument) -> str:
    """The values that a scalar admits, in words."""
    if spec.choices:
        return " or ".join(f"{one:g}" for one in spec.choices)
    if math.isinf(spec.lower) and math.isinf(spec.upper):
        return "a finite number"
    if math.isinf(spec.upper):
        return f"a finite number {'greater than' if spec.lower_open else 'of at least'} {spec.lower:g}"
    return f"a number from {spec.lower:g} to {spec.upper:g}"
