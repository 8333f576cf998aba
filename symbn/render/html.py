"""A derivation's document in HTML: one file, no network, no script, formulas in MathML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from functools import cache
from html import escape

from latex2mathml.converter import convert

from symbn.derivation.derivation import Derivation
from symbn.emit import templates
from symbn.equations import notation
from symbn.equations.operator import Operator
from symbn.render.document import DOLLAR, Document, Line, document, spelled
from symbn.render.latex import code
from symbn.render.pieces import pieces

_MATHML = "http://www.w3.org/1998/Math/MathML"
ElementTree.register_namespace("", _MATHML)
#: the widest piece of a formula, in em; a phone shows about 22
LIMIT = 14.0


def page(derivation: Derivation, form: str = "both") -> str:
    """A whole HTML document."""
    doc = document(derivation, form)
    return templates.render("derivation.html.j2", title=escape(doc.title), style=_style(), body=_body(doc))


def fragment(derivation: Derivation) -> str:
    """The same page inside another, for a notebook."""
    return templates.render("fragment.html.j2", style=_style(), body=_body(document(derivation)))


def equations(operator: Operator) -> str:
    """An operator's equations as a fragment, for a notebook."""
    rows = [formula(Line(str(number), eq.lhs, eq.rhs)) for number, eq in enumerate(operator.equations, 1)]
    body = "".join(f'<div class="formula">{row}</div>\n' for row in rows)
    return templates.render("fragment.html.j2", style=_style(), body=body)


def _style() -> str:
    return templates.render("derivation.css.j2")


def _body(doc: Document) -> str:
    return templates.render(
        "derivation_body.html.j2", doc=doc, text=text, formula=formula, math=math, code=code(doc), escape=escape
    )


def text(words: str) -> str:
    """Words with mathematics between ``$``; a chain of equalities may break at each of them."""
    return spelled(words, lambda part: escape(part).replace(DOLLAR, "$"), _chain)


def _chain(tex: str) -> str:
    first, *more = tex.split(" = ")
    return " ".join([math(first, inline=True), *(math("= " + one, inline=True) for one in more)])


@cache
def math(tex: str, *, inline: bool = False) -> str:
    """One piece of mathematics, which no line breaks; ``inline`` ones are as low as a line of text."""
    converted = convert(tex, display="inline" if inline else "block")
    # The d of a gradient is upright; the converter marks it by writing it as a number.
    root = ElementTree.fromstring(converted.replace("<mi>&#x00064;</mi>", '<mi mathvariant="normal">d</mi>'))
    root.attrib.pop("display")
    if not inline:
        root.set("displaystyle", "true")
    for part in root.iter():
        if not inline and part.tag == f"{{{_MATHML}}}msubsup" and part[0].text in ("max", "min"):
            part.tag = f"{{{_MATHML}}}munderover"
        # A bar over several letters is a line: without a mathematical font no sign is stretched so far.
        if part.tag == f"{{{_MATHML}}}mover" and part[1].text == "\u2015":
            part.tag = f"{{{_MATHML}}}mrow"
            part.set("style", "border-top: 0.07em solid; padding-top: 0.1em")
            part.remove(part[1])
    return ElementTree.tostring(root, encoding="unicode")


def formula(line: Line) -> str:
    """An equation in pieces, between which the page may break its line, and its label."""
    parts = [notation.tex(line.left) + " =", *pieces(line.right, LIMIT)]
    # A sign that joins two pieces is not one that belongs to a number.
    parts = [re.sub(r"^([+-]) ", r"{} \1 ", part) if place > 1 else part for place, part in enumerate(parts)]
    spans = " ".join(f"<span>{math(part)}</span>" for part in parts)
    return f'<span class="pieces">{spans}</span> <span class="label">({escape(line.label)})</span>'
