"""The numbers that stand in equations, as exact fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy

#: a number that is not rational, such as pi, is taken to so many digits
_DIGITS = 90


def fraction(number: Any) -> Fraction:
    """A SymPy number as a fraction: a Float is the binary number that it holds."""
    exact = sympy.Rational(number if number.is_Rational or number.is_Float else sympy.N(number, _DIGITS))
    return Fraction(int(exact.p), int(exact.q))
