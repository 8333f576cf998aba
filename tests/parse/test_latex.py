"""What formulas mean, one construct a line, and what is said of those that have no meaning."""

import pytest
import sympy
from sympy import Abs, Eq, Idx, IndexedBase, Max, Min, Piecewise, Product, Rational, Sum, Symbol, exp, log, pi, sqrt
from sympy.codegen import cfunctions

from symbn.errors import PageError

a, b, c, x, y, epsilon = map(Symbol, ("a", "b", "c", "x", "y", "epsilon"))
m = Symbol("m", integer=True, positive=True)
extent = Symbol("i_extent", integer=True, positive=True)
i, j = Idx("i", (1, m)), Idx("j", (1, m))
z, w = IndexedBase("z"), IndexedBase("w")

MEANINGS = {
    r"a + b - c": a + b - c,
    r"-a + b": b - a,
    r"a b c": a * b * c,
    r"a \cdot b \times c * x": a * b * c * x,
    r"a \, b \; c \! x \quad + y": a * b * c * x + y,
    r"a / b": a / b,
    r"a / b \cdot c": a / b * c,
    r"\frac{a}{b}": a / b,
    r"\dfrac a b": a / b,
    r"\tfrac{a + b}{c}": (a + b) / c,
    r"\frac12 x": x / 2,
    r"\frac 12x": x / 2,
    r"3^10": 0,
    r"2^{10}": 1024,
    r"x^2": x**2,
    r"x^{a+b}": x ** (a + b),
    r"{x}^{2}": x**2,
    r"\sqrt{x}": sqrt(x),
    r"\sqrt x": sqrt(x),
    r"\sqrt[3]{x}": sympy.root(x, 3),
    r"\sqrt[m]{\prod_{i=1}^m z_i}": Product(z[i], (i, 1, m)) ** (1 / m),
    r"a [b + c]": a * (b + c),
    r"z_i \left[ 1 + w_i \right]": z[Idx("i", (1, extent))] * (1 + w[Idx("i", (1, extent))]),
    r"a (b + c) (x y)^2": a * (b + c) * (x * y) ** 2,
    r"a \left( \frac{b}{c} \right)": a * b / c,
    r"\mathbf{a} + \boldsymbol{b} c": a + b * c,
    r"{}& a +{} b": a + b,
    r"\operatorname{tanh}\!\left(x\right)": sympy.tanh(x),
    r"\varphi + \phi": Symbol("varphi") + Symbol("phi"),
    r"\varkappa - \varpi": Symbol("varkappa") - Symbol("varpi"),
    "a × b · c − x": a * b * c - x,
    "\\max（a，b）": Max(a, b),
    r"\sqrt23": 3 * sqrt(2),
    r"(a + b) c": (a + b) * c,
    r"\left[ a + b \right] \bigl( c + 1 \bigr)": (a + b) * (c + 1),
    r"\{ a + b \} \Big\{ c + 1 \Big\}": (a + b) * (c + 1),
    r"\left. a \right. b": a * b,
    r"|x|": Abs(x),
    r"|a| |b|": Abs(a) * Abs(b),
    r"|a (|b| + 1)|": Abs(a * (Abs(b) + 1)),
    r"|a (b + |c|) + |x||": Abs(a * (b + Abs(c)) + Abs(x)),
    r"\mathrm{gain} \, (x + y)": Symbol("gain") * (x + y),
    r"\mathrm{gain} \cdot (x + y)": Symbol("gain") * (x + y),
    r"||a| - |b||": Abs(Abs(a) - Abs(b)),
    r"2|x| + 1": 2 * Abs(x) + 1,
    r"\left| x - y \right|": Abs(x - y),
    r"\lvert x \rvert": Abs(x),
    r"\lfloor x \rfloor + \lceil y \rceil": sympy.floor(x) + sympy.ceiling(y),
    r"\exp(x)": exp(x),
    r"\exp\left(-\frac{x}{2}\right)": exp(-x / 2),
    r"e^{x}": exp(x),
    r"\mathrm{e}^{-x}": exp(-x),
    r"\log x + 1": log(x) + 1,
    r"\ln{x}": log(x),
    r"\log{\left(x \right)}": log(x),
    r"\log{\left(x \right)}^{2}": log(x) ** 2,
    r"\log_2 x": cfunctions.log2(x),
    r"\log_{10}(x)": cfunctions.log10(x),
    r"\log_3(x)": log(x) / log(3),
    r"\tanh(x)^2": sympy.tanh(x) ** 2,
    r"\sin^2 x": sympy.sin(x) ** 2,
    r"\cos(x) y": sympy.cos(x) * y,
    r"\arctan x": sympy.atan(x),
    r"\max(a, b, 0)": Max(a, b, 0),
    r"\min\{a, b\}": Min(a, b),
    r"\operatorname{sign}(x)": sympy.sign(x),
    r"\mathrm{sgn}\left(x\right)": sympy.sign(x),
    r"\operatorname{ReLU}(x)": Max(x, 0),
    r"\text{sigmoid}(x)": 1 / (1 + exp(-x)),
    r"\mathrm{softplus}(x)": log(1 + exp(x)),
    r"2 \pi x": 2 * pi * x,
    r"0.5 x + .25": x / 2 + Rational(1, 4),
    r"10^{-5}": Rational(1, 100000),
    r"1e-5": Rational(1, 100000),
    r"\epsilon + \varepsilon": 2 * epsilon,
    r"\sum_{i=1}^{m} z_i": Sum(z[i], (i, 1, m)),
    r"\sum_{i=1}^m z_i + a": Sum(z[i], (i, 1, m)) + a,
    r"\sum\limits_{i=1}^m a z_i w_i": Sum(a * z[i] * w[i], (i, 1, m)),
    r"\sum_{1 \le i \le m} z_i": Sum(z[i], (i, 1, m)),
    r"\sum_{\substack{1 \leq i \leq m \\ 1 \leq j \leq m}} z_i w_j": Sum(z[i] * w[j], (i, 1, m), (j, 1, m)),
    r"\sum_{i=0}^{m-1} z_i": Sum(z[i], (i, 1, m)),
    r"a \cdot \sum_{i=1}^m z_i": a * Sum(z[i], (i, 1, m)),
    r"\prod_{i=1}^m z_i": Product(z[i], (i, 1, m)),
    r"\log \sum_{i=1}^m e^{z_i}": log(Sum(exp(z[i]), (i, 1, m))),
    r"\frac{z_i}{\sum_{j=1}^m z_j}": z[i] / Sum(z[j], (j, 1, m)),
    r"\begin{cases} x & \text{if } x > 0 \\ -x & \text{otherwise} \end{cases}": Piecewise((x, x > 0), (-x, True)),
    r"\begin{cases} a, & x \geq 0, \\ b, & x < 0. \end{cases}": Piecewise((a, x >= 0), (b, x < 0)),
    r"\begin{cases} a & 0 < x \leq 1 \text{ and } y \ne 2 \\ b & \text{else} \end{cases}": Piecewise(
        (a, (x > 0) & (x <= 1) & sympy.Ne(y, 2)), (b, True)
    ),
    r"\begin{cases} a & x = 1 \lor y = 1 \\ b & \text{otherwise} \end{cases}": Piecewise(
        (a, Eq(x, 1) | Eq(y, 1)), (b, True)
    ),
    r"a % a comment": a,
    r"a \label{eq:1} \tag{1} \nonumber": a,
    r"\displaystyle a,": a,
    r"a \qquad \text{(the mean)}": a,
    r"a \quad (3)": a,
    r"a, \quad \text{for all } x > 0": a,
    r"a, \quad k = 1, \dots, n": a,
    r"a, \; k \in \{1, 2\}": a,
    r"a, \quad i \in \{1, \ldots, m\}": a,
    r"a \quad (i = 1, \dots, m)": a,
    r"a \qquad \text{for } i = 1, \dots, m": a,
    r"a \quad \forall i": a,
    r"a, \quad 1 \le i \le m": a,
}


@pytest.mark.parametrize("latex", MEANINGS)
def test_a_formula_means(value, latex):
    assert value(latex) == MEANINGS[latex]


REFUSED = {
    r"a +": "the formula ends here; expected a name, a number",
    r"\frac{a}{b": "the formula ends here; expected a closing brace }",
    r"(a + b]": "']' is not expected here; expected a closing )",
    r"\sqrt{a + (b}": "'}' is not expected here; expected a closing )",
    r"\left\{ a": r"expected a closing \}",
    r"|a + b": "expected a closing |",
    r"\begin{cases} a & x > 0": r"expected \end{cases}",
    r"\begin{cases} a \\ b \end{cases}": r"expected & before the condition, or \text{if}",
    r"a ^ ^ 2": "there is nothing that this ^ could belong to",
    r"\odot a": "a product of arrays; write the equation of an element",
    r"a \approx b": "this is no definition's sign",
    r"\lVert x \rVert": "a norm; write it as a sum",
    r"\sum_{i \in S} z_i": "a sum over a set; give its index limits",
    r"\unknown a": r"'\unknown' is not LaTeX that symbn reads",
    r"a # b": "'#' is not LaTeX that symbn reads",
    r"\sum z": r"'\sum' has no index; write its limits",
    r"\sum_{i=2}^m z_i": "runs over m - 1 values from 2 on",
    r"\sum_{i=1}^{m n} z_i": "runs over m*n values",
    r"\sum_{i \neq j} z_i": "expected an index with its limits",
    r"\sum_{i=1}^m \sum_{i=1}^n z_i": "runs over m values here, but over n elsewhere",
    r"\sum'_{i=1}^m z_i": "one thing below, one above and no prime",
    r"f(x) + 1": "'f' stands here as a function does",
    r"\mathrm{E}[x] + 1": "'E' stands here as a function does",
    r"\mathrm{gain} (x + y) + 1": "'gain' stands here as a function does",
    r"\mathrm{Ei}(x - y) + 1": "'Ei' stands here as a function does",
    r"1/2x": "is this still below the / or not?",
    r"\log x y": "is this still an argument of 'log' or not?",
    r"\exp \sin x y": "is this still an argument of 'sin' or not?",
    r"\sin^{-1}(x)": "the inverse function or 1/sin?",
    r"\sin_2(x)": "'sin' has nothing below it",
    r"\max_i(x, y)": "'max' has 2 arguments; with something below it has one",
    r"\log_2(x, y)": "'log' has 2 arguments; with something below it has one",
    r"(x)^2^3": "a second exponent",
    r"x^2^3": "a second exponent",
    r"\log_{2, 3}(x)": "a logarithm has one base",
    r"\begin{cases} a & x > 0" + r" \\ a & x > 0" * 12 + r"\end{cases}": "more than 12 cases",
    r"\lambda_{\max} + \max": "the formula ends here",
    r"\max(x)": "'max' has 1; expected 2 to 12 arguments, or an index below",
    r"\exp(x, y)": "'exp' has 2; expected one argument",
    r"x^T y": "a transpose",
    r"x_{i+1}": "an index is one letter",
    r"x_{k_1}": "an index is one letter",
    r"x_{abc}": "'abc' below x: is it a word or 3 indices?",
    r"x^{i,j}": "indices stand there in parentheses",
    r"(x, y)": "a list with commas",
    r"(x)_i": "only a name has indices",
    r"\hat{x y}": "an accent belongs over one name",
    r"\hat{x^3}": "an accent belongs over one name",
    r"\frac{1}{0}": "divides by zero",
    r"\sqrt{-1}": "is no real number",
    r"\sqrt[x + 1]{a}": "the degree of a root is a whole number or a name",
    r"\sqrt[0]{a}": "the degree of a root is a whole number or a name",
    r"a (2 x)": "'a' stands here as a function does",
    r"a (x^2) + 1": "'a' stands here as a function does",
    r"\sigma\!\left(a x\right) b": "'sigma' stands here as a function does",
    r"E[x - y] + 1": "'E' stands here as a function does",
    r"\mathrm{var}_i[x - y] + 1": "'var' stands here as a function does",
    r"\operatorname{mean}_i z_i + 1": "'mean' stands here as a function does",
    r"\operatorname*{mean}_i (z_i - x)^2 + 1": "'mean' stands here as a function does",
    r"x - \mathbb{E} x": "'E' stands here as a function does",
    r"\mathbf{W} \mathbf{x} + \mathbf{b}": "a product of vectors or matrices, as they are bold",
    r"\boldsymbol{\gamma} \cdot \hat{\mathbf{z}}_i": "a product of vectors or matrices, as they are bold",
    r"\frac{}{2} 3": "'}' is not expected here",
    r"\begin{cases} a & \text{falls } x > 0 \\ b & y > 1 \end{cases}": "'falls': words in a formula; symbn reads",
    r"9^{9^{9}}": "too large",
    r"2^{4000}": "too large a number",
    r"e^{e^{e^{100}}}": "a constant that is no fraction",
    r"\lfloor e^{100} \rfloor": "a constant that is no fraction",
    "1" * 41: "more than 40 digits",
    r"\max(\sqrt{x}, a \text{ when } b)": r"a definition under a condition is written with \begin{cases}",
    r"x \text{ if } x > 0": r"a definition under a condition is written with \begin{cases}",
    r"\begin{cases} a & x \\ b & \text{otherwise} \end{cases}": "expected a condition such as x > 0",
    r"\begin{cases} a & x > 0 \land y > 0 \lor y < 1 \\ b & \text{otherwise} \end{cases}": "'and' together with 'or'",
    r"\frac{1}{m} \quad \sum_{i=1}^m z_i": "this stands apart from the equation before it",
    r"\gamma \quad \unknown x": "this stands apart from the equation before it",
    r"\gamma, x": "this stands apart from the equation before it",
    r"\gamma \quad x": "this stands apart from the equation before it",
}


@pytest.mark.parametrize("latex", REFUSED)
def test_a_formula_without_meaning_is_refused(value, latex):
    with pytest.raises(PageError) as error:
        value(latex)
    assert REFUSED[latex] in str(error.value)
    assert "page.md:1:" in str(error.value)
    assert not any(word in str(error.value) for word in ("LBRACE", "RPAR", "NUMBER", "$END", "Token"))


def test_an_error_shows_the_line_and_a_caret_under_the_place(read):
    with pytest.raises(PageError) as error:
        read("One\n\n- two\n  $$\n  a = \\frac{1}{b\n    \\unknown}\n  $$\n")
    path, line, caret = str(error.value).split("\n")
    assert path.endswith("page.md:6:5: '\\unknown' is not LaTeX that symbn reads in a formula")
    assert line == "        \\unknown}"
    assert caret.index("^") == line.index("\\unknown")


def test_the_caret_stands_under_the_place_behind_tabs_too(read):
    with pytest.raises(PageError) as error:
        read("$$\n\ta = \t\\unknown\n$$")
    _, line, caret = str(error.value).split("\n")
    assert line == "    \ta = \t\\unknown"
    assert caret == "    \t    \t^"


def test_a_long_line_is_cut_around_the_place(read):
    with pytest.raises(PageError) as error:
        read("$$ a = " + "b + " * 200 + "\\unknown + " + "b + " * 100 + " c $$")
    _, line, caret = str(error.value).split("\n")
    assert len(line) < 120
    assert line[caret.index("^") :].startswith("\\unknown")


def test_all_errors_of_a_page_are_told_at_once(read):
    with pytest.raises(PageError) as error:
        read("$$ a = ) $$\n\n$$ b = 1 $$\n\n$$ c = x_{i+1} $$\n")
    assert "page.md:1:8:" in str(error.value)
    assert "page.md:5:" in str(error.value)


@pytest.mark.parametrize(
    ("latex", "message"),
    [
        ("{" * 40 + "x" + "}" * 40, "nested more than 30 deep"),
        (r"\sqrt" * 40 + " x", "nested more than 30 deep"),
        (r"\sin " * 40 + "x", "nested more than 30 deep"),
        ("x + " * 600 + "x", "more than 1000 symbols"),
        ("{" * 100_000 + "x" + "}" * 100_000, "more than 20000 characters"),
    ],
)
def test_length_and_nesting_have_limits(value, latex, message):
    with pytest.raises(PageError, match=message):
        value(latex)


def test_thirty_brackets_are_no_problem(value):
    assert value("(" * 29 + "x" + ")" * 29) == x
