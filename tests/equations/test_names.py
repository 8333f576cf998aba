"""Names as C and Python identifiers, and as LaTeX and plain text."""

import keyword
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import Eq, Idx, IndexedBase, Sum, Symbol, sqrt, symbols

from symbn import equations
from symbn.equations import notation
from symbn.equations.names import identifier

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, y = IndexedBase("x"), IndexedBase("y")

C_WORDS = "int double float for while if else return static struct void const restrict inline switch".split()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("x", "x"),
        ("sigma2", "sigma2"),
        ("μ", "mu"),
        ("λ", "lambda_"),
        ("lambda", "lambda_"),
        ("Γ", "Gamma"),
        ("int", "int_"),
        (r"\hat{x}", "hat_x"),
        ("x'", "x"),
        ("2nd", "_2nd"),
        ("", "symbol"),
        ("  ", "symbol"),
        ("a b", "a_b"),
        ("é", "e"),
        ("日", "symbol"),
    ],
)
def test_identifiers(name, wanted):
    assert identifier(name) == wanted


@given(st.text(max_size=12))
def test_every_name_becomes_an_identifier(name):
    text = identifier(name)
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text)
    assert not keyword.iskeyword(text)
    assert text not in C_WORDS
    assert identifier(text) == text


@pytest.mark.parametrize("word", [*C_WORDS, "class", "None", "np", "layout", "threads", "NAN", "main", "I_"])
def test_words_with_a_meaning_of_their_own(word):
    if word != "I_":
        assert identifier(word) == word + "_"
    assert identifier(identifier(word)) == identifier(word)


# ---- LaTeX ---------------------------------------------------------------------------------------------


def latex(array, expr=None):
    return notation.latex(Eq(IndexedBase(Symbol(array))[k], x[k] if expr is None else expr))


@pytest.mark.parametrize(
    ("name", "tex"),
    [
        ("mu", r"\mu_{k}"),
        ("μ", r"\mu_{k}"),
        ("sigma2", r"\sigma_{k}^{2}"),
        ("x_hat", r"\hat{x}_{k}"),
        (r"\hat{x}", r"\hat{x}_{k}"),
        ("lambda", r"\lambda_{k}"),
        ("running_mean", r"\mathrm{running\_mean}_{k}"),
        ("new_sigma2", r"\mathrm{new\_sigma2}_{k}"),
    ],
)
def test_latex_of_names(name, tex):
    assert latex(name) == f"{tex} = x_{{k}}"


def test_the_square_of_a_square_is_not_two_exponents():
    sigma2 = IndexedBase("sigma2")
    assert r"\left(\sigma_{k}^{2}\right)^{2}" in notation.latex(Eq(y[k], sigma2[k] ** 2))


def test_the_square_of_a_scalar_square_is_not_two_exponents():
    tex = notation.latex(Eq(y[k], x[k] * Symbol("sigma2") ** 2))
    assert "^{2}^{2}" not in tex


def test_roots_of_squares():
    assert r"\sqrt{" in notation.latex(Eq(y[k], sqrt(IndexedBase("sigma2")[k] + 1)))


ODD = ["<script>", r"\input{file}", "a%b", "a&b", "$x$", "a*/b", "/*", "#", "x^y", "~", "{", "a\nb", "\\"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_escaped_in_latex(name):
    """No name brings a command, a comment or markup of its own."""
    for tex in (latex(name), notation.latex(Eq(y[k], x[k] * Symbol(name)))):
        assert r"\input" not in tex
        assert not re.search(r"[<>%&$#~\n]", tex.replace(r"\_", ""))
        assert tex.count("{") == tex.count("}")


@pytest.mark.parametrize("name", ODD)
def test_odd_names_end_no_comment(name):
    """A line of plain text stays one line, and inside of a C comment."""
    for eq in (Eq(IndexedBase(Symbol(name))[k], x[k]), Eq(y[k], x[k] * Symbol(name))):
        text = notation.plain(eq)
        assert "*/" not in text
        assert "/*" not in text
        assert "\n" not in text


@given(st.text(alphabet="*/ \\\n?x", min_size=1, max_size=8))
def test_no_text_ends_a_comment(name):
    text = notation.plain(Eq(y[k], x[k] * Symbol(name), evaluate=False))
    assert "*/" not in text
    assert "/*" not in text
    assert "\n" not in text


# ---- plain and pretty ----------------------------------------------------------------------------------


def test_plain_sums_have_their_limits_in_words():
    assert notation.plain(Eq(y[k], Sum(x[i, k], (i, 1, m)) / m)) == "y[k] = Sum(x[i, k], i=1..m)/m"


def test_added_terms_stand_before_subtracted_ones():
    mu = IndexedBase("mu")
    assert notation.plain(Eq(y[k], x[k] - mu[k])) == "y[k] = x[k] - mu[k]"


@pytest.mark.parametrize("name", equations.names())
def test_every_shipped_equation_has_all_forms(name):
    operator, _ = equations.load(name)
    for eq in operator.equations:
        assert "\n" not in notation.plain(eq)
        assert notation.latex(eq).count(" = ") >= 1
        assert notation.pretty(eq)


def test_pretty_shows_greek_letters_and_squares():
    text = notation.pretty(Eq(IndexedBase("sigma2")[k], IndexedBase("mu")[k]))
    assert "σ²[k]" in text
    assert "μ[k]" in text
