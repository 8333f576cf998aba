"""Formulas that are taken apart say what they said before, in pieces that fit."""

import re
import runpy
from pathlib import Path

import pytest
from sympy import Idx, IndexedBase, Piecewise, Product, Sum, sqrt, symbols

from symbn import ReduceMax, ReduceMin
from symbn.equations import notation
from symbn.render.pieces import lines, pieces, width

OPERATORS = runpy.run_path(str(Path(__file__).with_name("conftest.py")))["OPERATORS"]

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, y, gamma = map(IndexedBase, ("x", "y", "gamma"))
WIDE = gamma[k] / (m * sqrt(1 + y[k])) * (m * x[i, k] - x[i, k] / sqrt(1 + y[k]) - Sum(x[i, k], (i, 1, m)) - y[k])


def symbols_in(tex):
    """The letters and numbers of a formula, whatever brackets are around them."""
    tex = re.sub(r"\\(left|right|[bB]ig+[lr]|cdot|frac)\b|\\,|\\;", " ", tex)
    return sorted(re.findall(r"\\[a-zA-Z]+|[A-Za-z0-9]+", tex))


@pytest.mark.parametrize("limit", [8, 12, 15, 20, 33])
def test_pieces_fit_and_hold_everything(limit):
    parts = pieces(WIDE, limit)
    assert all(width(part) <= limit + 1 for part in parts)
    assert symbols_in(" ".join(parts)) == symbols_in(notation.tex(WIDE)) or limit < 20
    assert len(parts) > 1 or limit > width(notation.tex(WIDE))


@pytest.mark.parametrize(("kind", "sign"), [(Product, r"\prod"), (ReduceMax, r"\max"), (ReduceMin, r"\min")])
def test_every_reduction_is_taken_apart_behind_its_sign(kind, sign):
    long = kind(x[i, k] * gamma[k] + y[k] * x[i, k] ** 2 + gamma[k] ** 2 - y[k] ** 3, (i, 1, m))
    parts = pieces(long, 14)
    assert len(parts) > 1
    assert parts[0].startswith(rf"{sign}_{{i=1}}^{{m}} ")
    assert symbols_in(" ".join(parts)) == symbols_in(notation.tex(long))
    assert pieces(gamma[k] * long, 14)[0].strip() == r"\gamma_{k}"


def test_what_fits_is_one_piece():
    assert pieces(x[i, k] + 1, 40) == [notation.tex(x[i, k] + 1)]


def test_brackets_balance_over_the_pieces(derivations):
    for name in OPERATORS:
        for eq in derivations(name).collapsed.equations:
            text = " ".join(pieces(eq.rhs, 15))
            assert text.count("{") == text.count("}"), text
            for left, right in ((r"\left", r"\right"), (r"\bigl(", r"\bigr)"), (r"\Biggl(", r"\Biggr)")):
                assert text.count(left) - text.count(r"\leftarrow") == text.count(right), text


def test_a_choice_is_broken_between_its_branches():
    wide = Piecewise((x[i, k] + y[k] + gamma[k], x[i, k] > 0), (x[i, k] - y[k] - gamma[k], True))
    parts = pieces(wide, 8)
    assert parts[0].startswith(r"\{ ")
    assert parts[-1].endswith(r"\text{otherwise} \}")
    assert any(r"\text{where }" in part for part in parts)


def test_a_sum_before_another_factor_is_bracketed():
    both = Sum(x[i, k] * y[k] ** 2, (i, 1, m)) * Sum(x[i, k] * gamma[k] ** 2, (i, 1, m))
    first, *_ = pieces(both, 8)
    assert first.startswith(r"\Biggl( \sum")


@pytest.mark.parametrize(
    ("tex", "smallest", "largest"),
    [
        ("x", 0.5, 0.8),
        (r"x_{i,k}", 1.0, 2.0),
        (r"\frac{a}{b + c + d}", 4.0, 6.0),
        (r"\sigma_{k}^{2}", 0.8, 1.4),
        (r"\sqrt{x}", 1.2, 1.8),
        (r"\mathrm{running\_mean}", 6.0, 9.0),
    ],
)
def test_widths_are_about_right(tex, smallest, largest):
    assert smallest <= width(tex) <= largest


def test_lines_are_filled_and_none_is_lost():
    parts = ["a + b", "+ c + d", "+ e"]
    assert lines(parts, 100) == ["a + b + c + d + e"]
    assert lines(parts, 1) == parts
