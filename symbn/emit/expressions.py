"""IR expressions -> C, with parentheses where C's precedence needs them and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from symbn.errors import LoweringError
from symbn.kernel.ir import Const, Expr, Int, Load, Op, Var

# C's binary operators by IR name: (token, precedence); a higher number binds tighter.
_INFIX = {
    "or": ("||", 1),
    "and": ("&&", 2),
    "eq": ("==", 3),
    "ne": ("!=", 3),
    "lt": ("<", 4),
    "le": ("<=", 4),
    "gt": (">", 4),
    "ge": (">=", 4),
    "add": ("+", 5),
    "sub": ("-", 5),
    "mul": ("*", 6),
    "div": ("/", 6),
    "idiv": ("/", 6),
    "imod": ("%", 6),
    "ile": ("<=", 4),
    "igt": (">", 4),
}
_PREFIX = {"neg": "-", "not": "!"}
_UNARY = 7
_ATOM = 9

#: functions that C's <math.h> has under the IR's name
MATH = frozenset(
    """
    sqrt pow exp log sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh fabs floor ceil
    log1p expm1 exp2 log2 log10 hypot erf erfc fma isfinite
    """.split()
)
#: functions that the templates define where they are used
HELPERS = {
    "max": "nan_max",
    "min": "nan_min",
    "sign": "sign_of",
    "imin": "smaller",
    "imax": "larger",
    "rounded": "rounded",
    **{name: name for name in (f"{one}_error" for one in ("sum", "difference", "product", "quotient", "root"))},
}


class ExpressionPrinter:
    """Prints expressions; ``element`` says how an array's element is written and read."""

    def __init__(self, element: Callable[[Load], str]) -> None:
        self.element = element

    def __call__(self, expr: Expr) -> str:
        return self.print(expr)[0]

    def print(self, expr: Expr) -> tuple[str, int]:
        """The text and how tightly it binds."""
        match expr:
            case Const(value):
                text = literal(value)
                return text, _UNARY if text.startswith("-") else _ATOM
            case Int(value):
                return str(value), _UNARY if value < 0 else _ATOM
            case Var(name):
                return name, _ATOM
            case Load():
                return self.element(expr), _UNARY
            case Op("nan" | "inf" as name, ()):
                return f"(double){'NAN' if name == 'nan' else 'INFINITY'}", _UNARY
            case Op("real", (count,)):
                return f"(double){self.inside(count, _UNARY)}", _UNARY
            case Op("select", (condition, yes, no)):
                parts = [self.inside(part, 1) for part in (condition, yes, no)]
                return "({} ? {} : {})".format(*parts), _ATOM
            case Op(name, (operand,)) if name in _PREFIX:
                return _PREFIX[name] + self.inside(operand, _UNARY + 1), _UNARY
            case Op("or", (left, right)):
                # C compilers want the parentheses around && that the precedence does not need.
                parts = [self.inside(part, _INFIX["eq"][1]) for part in (left, right)]
                return " || ".join(parts), _INFIX["or"][1]
            case Op(name, (left, right)) if name in _INFIX:
                token, level = _INFIX[name]
                return f"{self.inside(left, level)} {token} {self.inside(right, level + 1)}", level
            case Op(name, args) if name in MATH or name in HELPERS:
                return f"{HELPERS.get(name, name)}({', '.join(self(arg) for arg in args)})", _ATOM
        raise LoweringError(f"{expr}: this node has not been lowered; no C can be printed for it")

    def inside(self, expr: Expr, level: int) -> str:
        text, binds = self.print(expr)
        return text if binds >= level else f"({text})"


def literal(value: Fraction) -> str:
    """A C literal of type double: the shortest decimal that reads back as the nearest double."""
    try:
        text = repr(float(value))
    except OverflowError:
        raise LoweringError(f"the constant {value} is larger than any float64") from None
    return text
