"""A derivation's document in LaTeX: article and amsmath, nothing else."""

from __future__ import annotations

import textwrap
import unicodedata

from symbn.derivation.derivation import Derivation
from symbn.emit import templates
from symbn.equations import notation
from symbn.render.document import DOLLAR, Document, Line, document, spelled
from symbn.render.pieces import lines, pieces, width

#: what fits on a line of text beside the number of the equation, in em
LIMIT = 33.0
#: characters of code on a line
_COLUMNS = 84
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{char: "\\" + char for char in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    DOLLAR: r"\$",
}


def page(derivation: Derivation, form: str = "both") -> str:
    """A whole LaTeX document."""
    doc = document(derivation, form)
    return templates.render("derivation.tex.j2", doc=doc, text=text, formula=formula, code=code(doc))


def text(words: str) -> str:
    """Words with mathematics between ``$``, the words escaped."""
    return spelled(words, escape, math)


def math(tex: str) -> str:
    """Mathematics in a line of text, its fractions large enough to read."""
    return "$" + tex.replace(r"\frac", r"\dfrac") + "$"


def escape(words: str) -> str:
    """Words as LaTeX sets them literally; a letter that its fonts lack becomes one that they have, or a ``?``."""
    return "".join(_SPECIAL.get(char) or _letter(char) for char in words)


def _letter(char: str) -> str:
    if char.isascii():
        return char
    if unicodedata.name(char, "").startswith("GREEK"):
        return f"${notation.symbol(char)[0]}$"
    return unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode() or "?"


def formula(line: Line) -> str:
    """An equation with its label, over several lines where it is wide."""
    parts = equation(line)
    rows = joined(parts)
    if max(map(width, parts)) > LIMIT + 2:
        # Something in it is wide and cannot be taken apart: it is set smaller.
        whole = f"$\\displaystyle\n\\begin{{aligned}}\n{rows}\n\\end{{aligned}}$"
        return f"\\resizebox{{0.9\\linewidth}}{{!}}{{{whole}}}\n\\tag{{{line.label}}}"
    return f"\\begin{{split}}\n{rows}\n\\end{{split}}\n\\tag{{{line.label}}}"


def joined(rows: list[str]) -> str:
    """The rows of an equation as LaTeX aligns them."""
    first, *more = rows
    return " \\\\\n".join([first, *(rf"&\quad {row}" for row in more)])


def equation(line: Line) -> list[str]:
    """The rows of an equation, aligned at the sign of equality of the first."""
    left = notation.tex(line.left)
    rest = LIMIT - width(left) - 1.4
    first, *more = lines(pieces(line.right, rest), rest)
    return [f"{left} &= {first}", *more]


def code(doc: Document) -> list[str]:
    """The C statements, each with the label of its equation and its line."""
    result = []
    for label, number, statement in doc.statements:
        head = f"{label:<4}{number:>5}  "
        rows = textwrap.wrap(statement, _COLUMNS - len(head), subsequent_indent="    ", break_long_words=False)
        result += [(head if place == 0 else " " * len(head)) + row for place, row in enumerate(rows)]
    return result
