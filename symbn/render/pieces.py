"""Formulas in pieces, between which a line may break: no formula is wider than what it is shown on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sympy import Add, And, Mul, Or, Piecewise, Pow, true

from symbn.equations import notation
from symbn.equations.reductions import REDUCTIONS, is_reduction

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}_^&]|[^\\{}_^&\s]")
#: commands that take no room, or that only change how what follows looks
_EMPTY = frozenset(
    r"""
    \left \right \bigl \bigr \Biggl \Biggr \mathrm \text \operatorname \displaystyle \begin \end
    \bar \hat \tilde \dot \overline \widehat \widetilde
    """.split()
)


#: what can be taken apart
_WIDE = (Add, Piecewise, *REDUCTIONS)
_TALL = (r"\sum", r"\prod", r"\max", r"\min", r"\frac")


def width(tex: str) -> float:
    """About how wide a formula is, in em: enough to break lines by."""
    return _width(iter(_TOKEN.findall(tex)))


def _width(tokens: Iterator[str]) -> float:
    result, script, pending = 0.0, 0.0, 1.0
    for token in tokens:
        if token == "}":
            break
        if token in "_^":
            pending = 0.7
            continue
        if token == "{":
            size = _width(tokens)
        elif token == r"\frac":
            size = max(_argument(tokens), _argument(tokens)) + 0.3
        elif token == r"\sqrt":
            size = _argument(tokens) + 0.9
        elif token in (r"\sum", r"\prod"):
            size = 1.5
        elif token in (r"\max", r"\min"):
            size = 1.9
        elif token in _EMPTY or token in ("&", r"\,", r"\:", r"\;"):
            size = 0.0
        elif token in "+-=<>" or token in (r"\leq", r"\geq", r"\neq", r"\wedge", r"\vee"):
            size = 1.4
        elif (
            len(token) > 3
            and token.startswith("\\")
            and token[1:] in ("tanh", "exp", "log", "sin", "cos", "cosh", "sinh")
        ):
            size = 0.5 * len(token[1:])
        else:
            size = 0.62
        if pending < 1.0:
            # What is below and above stands one over the other.
            wider = max(0.0, size * pending - script)
            script, pending = max(script, size * pending), 1.0
            result += wider
        else:
            script = 0.0
            result += size
    return result


def _argument(tokens: Iterator[str]) -> float:
    for token in tokens:
        return _width(tokens) if token == "{" else 0.62
    return 0.0


def pieces(expr: Any, limit: float) -> list[str]:
    """An expression as LaTeX pieces, none wider than ``limit`` em where it can be taken apart so far."""
    whole = notation.tex(expr)
    if width(whole) <= limit:
        return [whole]
    if isinstance(expr, Add):
        result: list[str] = []
        for term in notation.reading_order(list(expr.args)):
            negative = term.could_extract_minus_sign()
            parts = pieces(-term if negative else term, limit)
            sign = "- " if negative else "+ " if result else ""
            result += [sign + parts[0], *parts[1:]]
        return result
    if is_reduction(expr):
        limits = notation.operator(expr)
        body = pieces(expr.function, limit - width(limits))
        body = _enclosed(body) if isinstance(expr.function, Add) else body
        return [limits + body[0], *body[1:]]
    if isinstance(expr, Mul):
        return _product(expr, limit)
    if isinstance(expr, Piecewise):
        return _choice(expr, limit)
    return [whole]


def _product(expr: Mul, limit: float) -> list[str]:
    """A product: what fits a fraction first, then each wide factor."""
    if expr.could_extract_minus_sign():
        first, *rest = pieces(-expr, limit)
        return [f"- {first}", *rest]
    below = [factor for factor in expr.args if isinstance(factor, Pow) and factor.exp.could_extract_minus_sign()]
    number, _ = expr.as_coeff_Mul()
    above = [factor for factor in expr.args if factor not in below and factor != number]
    wide = [factor for factor in above if isinstance(factor, _WIDE) and width(notation.tex(factor)) > limit / 3]
    if not wide:
        wide = [factor for factor in above if isinstance(factor, _WIDE)][-1:]
    if not wide:
        return [notation.tex(expr)]
    head = Mul(number, *below, *(factor for factor in above if factor not in wide))
    result = [] if head == 1 else [notation.tex(head)]
    wide.sort(key=is_reduction)
    for place, factor in enumerate(wide):
        parts = pieces(factor, limit)
        last = place == len(wide) - 1
        bare = isinstance(factor, Piecewise) or (is_reduction(factor) and last)
        parts = parts if bare else _enclosed(parts)
        result += [rf"\cdot {parts[0]}" if result else parts[0], *parts[1:]]
    return result


def _choice(expr: Piecewise, limit: float) -> list[str]:
    """Branches one after the other, each with its condition."""
    result: list[str] = []
    for value, condition in expr.args:
        parts = pieces(value, limit)
        result += parts
        if condition in (True, true):
            result.append(r"\;\text{otherwise},\;")
            continue
        sign = {And: r"\wedge ", Or: r"\vee "}.get(type(condition), "")
        for place, one in enumerate(condition.args if sign else [condition]):
            tex = rf"\left({notation.tex(one)}\right)" if isinstance(one, And | Or) else notation.tex(one)
            result.append((sign if place else r"\;\text{where } ") + tex)
        result[-1] += r",\;"
    result[0] = r"\{ " + result[0]
    result[-1] = result[-1].removesuffix(r",\;") + r" \}"
    return result


def _enclosed(parts: list[str]) -> list[str]:
    """Pieces in parentheses that stand on different lines."""
    size = "Bigg" if any(sign in part for part in parts for sign in _TALL) else "big"
    first = rf"\{size}l( {parts[0]}"
    if len(parts) == 1:
        return [rf"{first} \{size}r)"]
    return [first, *parts[1:-1], rf"{parts[-1]} \{size}r)"]


def lines(parts: Iterable[str], limit: float) -> list[str]:
    """Pieces set one after the other on lines of ``limit`` em."""
    result: list[str] = []
    for part in parts:
        if result and width(result[-1]) + width(part) <= limit:
            result[-1] += " " + part
        else:
            result.append(part)
    return result
