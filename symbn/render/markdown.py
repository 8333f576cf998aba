"""A derivation's document in Markdown, as GitHub and Jupyter show it."""

from __future__ import annotations

import re

from symbn.derivation.derivation import Derivation
from symbn.emit import templates
from symbn.render.document import DOLLAR, Line, document, spelled
from symbn.render.latex import code, equation, joined

_SPECIAL = re.compile(r"([\\`*_\[\]#|])")


def page(derivation: Derivation, form: str = "both") -> str:
    """A whole Markdown document."""
    doc = document(derivation, form)
    return templates.render("derivation.md.j2", doc=doc, text=text, formula=formula, math=math, code=code(doc))


def text(words: str) -> str:
    """Words with mathematics between ``$``, the words escaped."""
    return spelled(words, escape, math)


def escape(words: str) -> str:
    """Words that Markdown and HTML take literally."""
    words = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", words).replace(DOLLAR, r"\$")


def math(tex: str) -> str:
    """Mathematics in a line of text."""
    return f"${_plain(tex)}$"


def formula(line: Line) -> str:
    """An equation with its label, over several lines where it is wide."""
    rows = equation(line)
    if len(rows) == 1:
        return _plain(f"{rows[0].replace(' &= ', ' = ')} \\tag{{{line.label}}}")
    return _plain(f"\\begin{{aligned}}\n{joined(rows)}\n\\end{{aligned}} \\tag{{{line.label}}}")


def _plain(tex: str) -> str:
    r"""LaTeX in which Markdown finds nothing of its own.

    An underscore after a space never ends an emphasis, and a sign of order is not the beginning of a tag.
    """
    tex = re.sub(r"(?<!\\)\s*_", " _", tex)
    return tex.replace("<", r"\lt ").replace(">", r"\gt ")
