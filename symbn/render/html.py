"""A derivation's document in HTML: one file, no network, no script, formulas in MathML."""

from __future__ import annotations

import re
from functools import cache
from html import escape

from latex2mathml.converter import convert
from sympy import Eq

from symbn.derivation.derivation import Derivation
from symbn.emit import templates
from symbn.equations import notation
from symbn.equations.operator import Operator
from symbn.render.document import DOLLAR, Line, document
from symbn.render.latex import code
from symbn.render.pieces import pieces

#: the widest piece of a formula, in em; a phone shows about 22
LIMIT = 14.0


def page(derivation: Derivation, form: str = "both") -> str:
    """A whole HTML document."""
    doc = document(derivation, form)
    style = templates.render("derivation.css.j2")
    return templates.render(
        "derivation.html.j2", doc=doc, text=text, formula=formula, math=math, code=code(doc), escape=escape, style=style
    )


def equations(operator: Operator) -> str:
    """An operator's equations as a fragment, for a notebook."""
    rows = [formula(Line(str(number), eq.lhs, eq.rhs)) for number, eq in enumerate(operator.equations, 1)]
    return templates.render("equations.html.j2", rows=rows)


def results(derivation: Derivation) -> str:
    """A derivation's lines as a fragment, for a notebook."""
    rows = [formula(_line(number, step.after)) for number, step in enumerate(derivation.steps, 1)]
    return templates.render("equations.html.j2", rows=rows)


def _line(number: int, eq: Eq) -> Line:
    return Line(str(number), eq.lhs, eq.rhs)


def text(words: str) -> str:
    """Words with mathematics between ``$``; a chain of equalities may break at each of them."""
    result = ""
    for number, part in enumerate(words.split("$")):
        if number % 2 == 0:
            result += escape(part).replace(DOLLAR, "$")
            continue
        first, *more = part.split(" = ")
        result += " ".join([math(first), *(math("= " + one) for one in more)])
    return result


@cache
def math(tex: str) -> str:
    """One piece of mathematics, which no line breaks."""
    result: str = convert(tex, display="block").replace('display="block"', 'displaystyle="true"', 1)
    return result


def formula(line: Line) -> str:
    """An equation in pieces, between which the page may break its line, and its label."""
    parts = [notation.tex(line.left) + " =", *pieces(line.right, LIMIT)]
    # A sign that joins two pieces is not one that belongs to a number.
    parts = [re.sub(r"^([+-]) ", r"{} \1 ", part) if place > 1 else part for place, part in enumerate(parts)]
    spans = " ".join(f"<span>{math(part)}</span>" for part in parts)
    return f'<span class="pieces">{spans}</span> <span class="label">({escape(line.label)})</span>'
