"""Where formulas stand in a page, to the column."""

import time

import pytest

from symbn.errors import ArgumentError, PageError
from symbn.parse import formulas, markdown
from symbn.parse.source import Source, load


def found(text):
    return [
        (one.latex.strip(), *one.place(len(one.latex) - len(one.latex.lstrip()))) for one in markdown.formulas(text)
    ]


PLACES = {
    "$$a=b$$": [("a=b", 1, 3)],
    "$$\na=b\n$$": [("a=b", 2, 1)],
    "text\n\n$$\n  a=b\n$$\n": [("a=b", 4, 3)],
    "text\n$$\na=b\n$$\ntext": [("a=b", 3, 1)],
    "text $$a=b$$ text": [("a=b", 1, 8)],
    "one\ntwo $$ a=b $$ and *three $$c=d$$ x*": [("a=b", 2, 8), ("c=d", 2, 28)],
    "\\[ a=b \\]": [("a=b", 1, 4)],
    "text \\[\na=b\n\\]": [("a=b", 2, 1)],
    "- item\n  $$\n  a=b\n  $$\n": [("a=b", 3, 3)],
    "- **item**:\n  $$\n  a=b\n  $$\n  \n- two\n  $$\n  c=d\n  $$": [("a=b", 3, 3), ("c=d", 8, 3)],
    "1. one\n   - two $$a=b$$": [("a=b", 2, 12)],
    "> quote\n> $$\n> a=b\n> $$": [("a=b", 3, 3)],
    "> - $$a=b$$": [("a=b", 1, 7)],
    "| x | y |\n|---|---|\n| 1 | $$a=b$$ |": [("a=b", 3, 9)],
    "```math\na=b\n```": [("a=b", 2, 1)],
    "- x\n  ~~~math\n  a=b\n  ~~~": [("a=b", 3, 3)],
    "# A $$a=b$$": [("a=b", 1, 7)],
    "\\begin{align}\na=b\n\\end{align}": [("a=b", 2, 1)],
    "\\begin{equation*} a=b \\end{equation*}": [("a=b", 1, 19)],
    "$$ a=b $$ (1)": [("a=b", 1, 4)],
    "$$ a=b $$.": [("a=b", 1, 4)],
    "$$\na=b\n\n+c\n$$": [("a=b\n\n+c", 2, 1)],
    "$$\na\n= b\n- c\n$$": [("a\n= b\n- c", 2, 1)],
    # what is no formula
    "inline $a=b$ and \\(c=d\\) and $`e=f`$": [],
    "`$$a=b$$` and ``\\[a=b\\]``": [],
    "```\n$$a=b$$\n```": [],
    "```python\n$$\na=b\n$$\n```": [],
    "    $$a=b$$": [],
    "<!--\n$$a=b$$\n-->": [],
    "text\n    $$a=b$$": [("a=b", 2, 7)],
    "[a $$a=b$$ link](url)": [("a=b", 1, 6)],
    '<a href="$$a=b$$">x</a>': [],
    "it costs \\$\\$5": [],
    "it costs $ 5 and $ 6": [],
    "": [],
    # both
    "`$$` then $$a=b$$": [("a=b", 1, 13)],
    "$x$ then $$a=b$$ then $y$": [("a=b", 1, 12)],
}


@pytest.mark.parametrize("text", PLACES)
def test_formulas_stand_where_they_stand(text):
    assert found(text) == PLACES[text]


def test_line_ends_and_a_byte_order_mark_change_nothing(write):
    unix = load(write("a\n\n$$\nb = c\n$$\n"))
    assert load(write(b"\xef\xbb\xbfa\r\n\r\n$$\r\nb = c\r\n$$\r\n")).text == unix.text
    assert load(write(b"a\r\r$$\rb = c\r$$\r")).text == unix.text


@pytest.mark.parametrize("opening", ["$$", "\\[", "\\begin{align}"])
def test_a_formula_that_nothing_closes_is_an_error(tmp_path, opening):
    with pytest.raises(PageError) as error:
        formulas.read(Source(tmp_path / "page.md", f"text\n\n  {opening}\na = b\n"))
    assert f"page.md:3:3: '{opening}' opens a formula that nothing closes" in str(error.value)


def test_a_page_that_is_not_utf_8_is_refused(write):
    with pytest.raises(PageError, match=r"page\.md:2: not UTF-8 text; save the page in that encoding"):
        load(write("a\n$$ x = µ $$".encode("latin-1")))


def test_a_page_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"path: .*none\.md cannot be read: No such file"):
        load(tmp_path / "none.md")
    with pytest.raises(ArgumentError, match=r"path: .* cannot be read: Is a directory"):
        load(tmp_path)


def test_a_page_is_not_a_disk_image(write):
    with pytest.raises(PageError, match="a page of 4000001 bytes; at most 4000000 are read"):
        load(write(b"a" * 4_000_001))


@pytest.mark.parametrize("text", ["$" * 20_000, "\\[" * 20_000, "\\[ x\n" * 4_000, "$$ x\n" * 4_001, "$ x " * 20_000])
def test_openings_without_end_are_found_in_linear_time(text):
    begun = time.perf_counter()
    assert list(markdown.formulas(text)) is not None
    assert time.perf_counter() - begun < 5


def test_a_cell_with_escaped_bars_has_its_place(tmp_path):
    text = "| a | b |\n| --- | --- |\n| here | $$ y_i = ? \\|x_i\\| $$ |"
    with pytest.raises(PageError, match=r"page\.md:3:19: '\?' is not LaTeX"):
        formulas.read(Source(tmp_path / "page.md", text))
