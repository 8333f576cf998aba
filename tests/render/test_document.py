"""What a derivation's page holds, in each form and format."""

import re

import pytest
from sympy import Eq

import symbn
from symbn.equations import notation
from symbn.render import html
from symbn.render.counts import operations
from symbn.render.document import document
from symbn.render.statements import listing

PAGES = ("latex", "markdown", "html")


def test_every_step_is_a_line_with_its_reason(derivations):
    derivation = derivations("batch_norm")
    doc = document(derivation)
    lines = [line for section in doc.sections for block in section.blocks for line in block.lines]
    for step in derivation.steps:
        assert any(line.right == step.after.rhs and line.left == step.after.lhs for line in lines), step
        assert step.reason
    assert [line.label for line in lines] == [str(number) for number in range(1, len(lines) + 1)]
    # The derivatives of single equations follow one sentence.
    assert sum(not line.reason for line in lines) == sum(max(len(one) - 1, 0) for one in derivation.slopes.values())


def test_the_vanishing_term_is_explained_where_it_vanishes(derivations):
    for page in PAGES:
        text = getattr(derivations("batch_norm"), page)()
        assert text.count("A term vanishes.") == 1
        assert "sum to zero" in text.partition("A term vanishes.")[2][:200]


def test_forms_hold_what_they_say(derivations):
    derivation = derivations("batch_norm")
    staged, collapsed, both = (document(derivation, form) for form in ("staged", "collapsed", "both"))
    assert [section.title for section in both.sections] == [staged.sections[0].title, collapsed.sections[0].title]
    assert len(staged.sections) == len(collapsed.sections) == 1
    with pytest.raises(symbn.ArgumentError, match="form: 'all' is not one of staged, collapsed, both"):
        derivation.latex("all")


@pytest.mark.parametrize("name", ["batch_norm", "row_norm", "weighted_norm", "branches", "batch_norm_backward"])
def test_symbols_have_shapes_and_appear_once(derivations, name):
    doc = document(derivations(name))
    names = [tex for tex, _, _ in doc.symbols]
    assert len(set(names)) == len(names)
    operator = derivations(name).operator
    rows = {tex: (size, what) for tex, size, what in doc.symbols}
    for array in operator.inputs:
        shape = r" \times ".join(operator.arrays.get(array, ()))
        assert rows[notation.tex(operator.element(array))] == (shape, "input")
    for eq in derivations(name).forward:
        assert rows[notation.tex(eq.lhs)][1] in ("output", "intermediate", "input")
    for array, of in zip(derivations(name).collapsed.outputs, derivations(name).wrt, strict=True):
        what = f"gradient with respect to ${notation.tex(operator.element(of))}$"
        assert rows[notation.tex(derivations(name).collapsed.element(array))][1] == what


def test_operations_are_counted_once_for_each_element():
    from sympy import Idx, IndexedBase, Sum, exp, symbols

    m, n = symbols("m n", integer=True, positive=True)
    i, k = Idx("i", (1, m)), Idx("k", (1, n))
    x, w, t, y = map(IndexedBase, "xwty")
    op = symbn.Operator(
        "counted",
        [Eq(t[k], Sum(x[i, k] * w[k], (i, 1, m))), Eq(y[i, k], exp(x[i, k]) + w[k] ** 2 / t[k])],
        outputs=[y],
    )
    # n m products and n m additions; n squares, n divisions; n m exponentials and n m additions.
    assert operations(op) == 4 * m * n + 2 * n


def test_simplifying_saves_operations(derivations):
    for name in ("batch_norm", "row_norm"):
        derivation = derivations(name)
        sizes = dict.fromkeys(operations(derivation.staged).free_symbols, 100)
        before, after = (operations(one).subs(sizes) for one in (derivation.staged, derivation.collapsed))
        assert after < before


@pytest.mark.parametrize("name", ["batch_norm", "row_norm", "pairwise", "branches"])
def test_statements_stand_where_the_page_says(derivations, name):
    from symbn import dtypes, pipeline

    operator = derivations(name).collapsed
    found = listing(operator)
    text = pipeline.emit(operator, dtypes.dtype("float32")).text.splitlines()
    for one in found.statements:
        assert text[one.line - 1].strip() == one.code
        before = [line for line in text[: one.line - 1] if re.match(r"\s*/\* \(\d+\)(, \(\d+\))* \*/", line)]
        assert f"({one.equation})" in before[-1]
    assert {one.equation for one in found.statements} == set(range(1, len(operator.equations) + 1))


def test_names_do_no_harm(derivations):
    latex, markdown, html = (getattr(derivations("harmful"), page)() for page in PAGES)
    assert r"\input" not in latex
    assert r"100\% \textless{}b\textgreater{}bold" in latex
    for text in (markdown, html):
        assert "<script" not in text
        assert "<b>" not in text
    assert "&lt;b&gt;" in html


def test_html_needs_no_network_and_no_script(derivations):
    html = derivations("batch_norm").html()
    assert "<script" not in html
    assert "src=" not in html
    assert not re.findall(r'https?://(?!www\.w3\.org/1998/Math/MathML")', html)
    assert "prefers-color-scheme" in html or "color-scheme: light dark" in html
    assert html.count("<math") > 50


def test_markdown_is_safe_from_markdown(derivations):
    """No underscore within mathematics can end an emphasis, no sign of order begins a tag."""
    for name in ("batch_norm", "branches", "running_stats"):
        text = derivations(name).markdown()
        for tex in re.findall(r"\$\$(.*?)\$\$|\$(.*?)\$", text, re.S):
            assert not re.search(r"(?<![\s\\])_", "".join(tex))
            assert "<" not in "".join(tex)


def test_notebooks_get_formulas(derivations):
    derivation = derivations("batch_norm")
    for value in (derivation, derivation.operator):
        assert value._repr_latex_().startswith(r"\begin{align*}")
        assert "<math" in value._repr_html_()
        assert "<html" not in value._repr_html_()


# ---- reductions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("batch_norm", []),
        ("largest_deviation", ["is 1 where", "A maximum or minimum shares its gradient equally"]),
        ("range_and_product", ["is 1 where", "A maximum or minimum shares", "The gradient of a product takes"]),
    ],
)
def test_conventions_are_said_where_they_occur(derivations, name, said):
    text = document(derivations(name)).forward.text
    assert len(text) == len(said)
    for line, words in zip(text, said, strict=True):
        assert words in line


def test_what_a_derivation_introduces_is_shown_where_it_is_used(derivations):
    """The terms that a maximum is compared with and their number; of a softmax neither is left in the result."""
    shown = [notation.plain(eq) for eq in derivations("largest_deviation").forward]
    assert len(shown) == 5
    assert any(one.startswith("c[k] = Sum(Piecewise((1, ") for one in shown)
    rows = {tex: what for tex, _, what in document(derivations("largest_deviation")).symbols}
    assert rows["c_{k}"] == "intermediate"
    assert rows["y_{i,k}"] == rows["t_{k}"] == "output"
    assert not any("c[" in notation.plain(eq) for eq in derivations("softmax").collapsed.equations)


def test_limits_stand_above_and_below_a_maximum_in_html(derivations):
    page = derivations("largest_deviation").html()
    assert "<munderover><mo>max</mo>" in page
    tex = notation.tex(derivations("largest_deviation").operator.equations[1].rhs)
    assert "<msubsup><mo>max</mo>" in html.math(tex, inline=True)


def test_operations_count_a_reduction_as_its_terms(derivations):
    """A difference, a magnitude and a comparison for each element; what only a gradient needs is not counted."""
    counted = str(operations(derivations("largest_deviation").operator))
    # mean; difference, magnitude and maximum; difference, sum and quotient
    assert counted == "6*m*n + 2*n"


def test_the_statements_of_a_reduction_are_found(derivations):
    operator = derivations("range_and_product").operator
    found = {one.equation: one.code for one in listing(operator).statements if "_lanes" in one.code}
    assert found[1].startswith("t_min_lanes[lane")
    assert found[3].startswith("v_prod_lanes[lane")
