"""The numbers that stand in equations, as exact fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy


def fraction(number: Any, digits: int = 50) -> Fraction:
    """A SymPy number as a fraction: a Float is the binary number that it holds, pi is taken to so many digits."""
    exact = sympy.Rational(number if number.is_Rational or number.is_Float else sympy.N(number, digits))
    return Fraction(int(exact.p), int(exact.q))
