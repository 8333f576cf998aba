"""The parts of a reason: words, with mathematics between dollar signs."""

from __future__ import annotations

from typing import Any

from symbn.derivation.expressions import Index
from symbn.equations import notation


def indices(indices: tuple[Index, ...]) -> str:
    return " and ".join(f"${notation.symbol(str(index.name))[0]}$" for index in indices)


def math(expr: Any) -> str:
    return f"${notation.tex(expr)}$"


def listed(words: list[str]) -> str:
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def signed(terms: list[Any]) -> str:
    """Terms one after the other, what is added before what is subtracted; they may cancel."""
    result = ""
    for term in notation.reading_order(terms):
        negative = term.could_extract_minus_sign()
        text = notation.tex(-term if negative else term)
        result += f" {'-' if negative else '+'} {text}" if result else f"{'-' if negative else ''}{text}"
    return result
