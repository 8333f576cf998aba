"""The partial derivatives of elementwise functions, as expressions of their arguments and of their value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType

from symbn.kernel.ir import Const, Expr, Op, add, mul, sub

_ONE, _TWO = Const(Fraction(1)), Const(Fraction(2))


def _div(a: Expr, b: Expr) -> Expr:
    return Op("div", (a, b))


def _neg(a: Expr) -> Expr:
    return Op("neg", (a,))


def _sqrt(a: Expr) -> Expr:
    return Op("sqrt", (a,))


def _square(a: Expr) -> Expr:
    return mul(a, a)


def _number(value: float) -> Expr:
    return Const(Fraction(value))


def _bell(x: Expr) -> Expr:
    """The derivative of erf."""
    return mul(_number(2 / math.sqrt(math.pi)), Op("exp", (_neg(_square(x)),)))


#: a function by name -> (its arguments, its value) -> its derivative by each of them
SLOPES: Mapping[str, Callable[..., tuple[Expr, ...]]] = MappingProxyType(
    {
        "exp": lambda x, y: (y,),
        "exp2": lambda x, y: (mul(_number(math.log(2)), y),),
        "expm1": lambda x, y: (add(y, _ONE),),
        "log": lambda x, y: (_div(_ONE, x),),
        "log2": lambda x, y: (_div(_number(1 / math.log(2)), x),),
        "log10": lambda x, y: (_div(_number(1 / math.log(10)), x),),
        "log1p": lambda x, y: (_div(_ONE, add(_ONE, x)),),
        "sin": lambda x, y: (Op("cos", (x,)),),
        "cos": lambda x, y: (_neg(Op("sin", (x,))),),
        "tan": lambda x, y: (add(_ONE, _square(y)),),
        "asin": lambda x, y: (_div(_ONE, _sqrt(sub(_ONE, _square(x)))),),
        "acos": lambda x, y: (_neg(_div(_ONE, _sqrt(sub(_ONE, _square(x))))),),
        "atan": lambda x, y: (_div(_ONE, add(_ONE, _square(x))),),
        "sinh": lambda x, y: (Op("cosh", (x,)),),
        "cosh": lambda x, y: (Op("sinh", (x,)),),
        "tanh": lambda x, y: (sub(_ONE, _square(y)),),
        "asinh": lambda x, y: (_div(_ONE, _sqrt(add(_ONE, _square(x)))),),
        "acosh": lambda x, y: (_div(_ONE, _sqrt(sub(_square(x), _ONE))),),
        "atanh": lambda x, y: (_div(_ONE, sub(_ONE, _square(x))),),
        "erf": lambda x, y: (_bell(x),),
        "erfc": lambda x, y: (_neg(_bell(x)),),
        "pow": lambda a, b, y: (mul(b, _div(y, a)), mul(y, Op("log", (a,)))),
        "hypot": lambda a, b, y: (_div(a, y), _div(b, y)),
        "atan2": lambda a, b, y: (
            _div(b, add(_square(a), _square(b))),
            _neg(_div(a, add(_square(a), _square(b)))),
        ),
    }
)
