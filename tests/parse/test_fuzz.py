"""No page makes the parser hang, crash or execute anything: it is read, or refused with symbn's own error."""

import contextlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symbn import equations
from symbn.errors import SymbnError
from symbn.parse import page

PAGE = Path(equations.__file__).with_name("batch_norm.md").read_text(encoding="utf-8")
PIECES = r"""\frac \sqrt \sum \prod \mu \sigma \hat \bar \mathrm{d} \mathbf \text{a} \text{if} \text{for } \begin{cases}
\end{cases} \begin{aligned} \end{aligned} \\ & { } ( ) [ ] | \left( \right) \left| \right| \left. ^ _ ^{2} _{i=1}^{m} _i
_{i,k} ^{(i)} = = = + - * / , . ; ' x y z e i k m n 1 2 10 0.5 99 9 \exp \log \sin \cosh \max \min \max_i
\operatorname{sign} \operatorname{foo} \lfloor \rfloor \quad \tag{1} \dots \partial < > \le \pi \infty \foo : :=
\{ \} \|
$ $$ \[ \] ``` \tan 10^{99} \, # % @ ~ \stackrel{!}{=} \begin \end{x} \label \mathrm µ ² 𝛍""".split()
QUICK = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def survive(tmp_path):
    """Read a page: quickly, and with no other error than symbn's."""

    def read(text):
        path = tmp_path / "page.md"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        begun = time.perf_counter()
        with contextlib.suppress(SymbnError):
            page.read(path)
        assert time.perf_counter() - begun < 10

    return read


@QUICK
@given(text=st.text(max_size=200))
def test_any_text(text, survive):
    survive(text.encode("utf-8", "replace"))
    survive(f"$$ y = {text} $$".encode("utf-8", "replace"))


@QUICK
@given(content=st.binary(max_size=200))
def test_any_bytes(content, survive):
    survive(content)


@settings(QUICK, max_examples=300)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=14), other=st.lists(st.sampled_from(PIECES), max_size=8))
def test_any_soup_of_latex(pieces, other, survive):
    survive(f"$$ y = {' '.join(pieces)} $$\n\n$$ x_i = {' '.join(other)} $$")


@settings(QUICK, max_examples=150)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(PAGE) - 1), st.integers(0, 3), st.sampled_from([*PIECES, "", "\0", "\n"])),
        min_size=1,
        max_size=4,
    )
)
def test_any_change_of_a_page(changes, survive):
    text = PAGE
    for place, length, piece in changes:
        text = text[:place] + piece + text[place + length :]
    survive(text)


LARGE = {
    "braces": "$$ y = " + "{" * 9_000 + "x" + "}" * 9_000 + " $$",
    "very many braces": "$$ y = " + "{" * 100_000 + "x" + "}" * 100_000 + " $$",
    "open braces": "$$ y = " + "{" * 15_000 + " $$",
    "fractions": "$$ y = " + r"\frac{" * 400 + "x" + "}{2}" * 400 + " $$",
    "roots": "$$ y = " + r"\sqrt " * 400 + "x $$",
    "powers": "$$ y = " + "x^{" * 400 + "2" + "}" * 400 + " $$",
    "functions": "$$ y = " + r"\exp " * 400 + "x $$",
    "magnitudes": "$$ y = " + "|" * 900 + " $$",
    "a long sum": "$$ y = " + " + ".join(f"x_{{{number}}}" for number in range(150)) + " $$",
    "a long product": "$$ y = " + " ".join(f"a_{{{number}}}" for number in range(150)) + " $$",
    "many maxima": "$$ y = " + r"\max(a, b, \min(c, " * 15 + "x" + "))" * 15 + " $$",
    "many cases": r"$$ y = \begin{cases}"
    + r"\\".join(rf" a_{{{n}}} & x > b_{{{n}}} " for n in range(12))
    + r"\end{cases} $$",
    "nested cases": "$$ y = "
    + r"\begin{cases} a & x > 1 \\ " * 12
    + "b"
    + r" & \text{otherwise} \end{cases}" * 12
    + " $$",
    "a long line": "a" * 3_000_000,
    "long formula": "$$ y = " + "x" * 3_000_000 + " $$",
    "spaces": "$$ y = " + " " * 19_000 + "x $$",
    "a large power": "$$ y = 9^{9^{9^{9}}} $$",
    "powers of powers": "$$ y = " + "(" * 20 + "2" + "^{64})" * 20 + " $$",
    "powers of e": "$$ y = " + "e^{" * 20 + "9" + "}" * 20 + " $$",
    "a tower below a maximum": r"$$ y = \max(e^{e^{4000}}, |e^{e^{e^{4000}}} - 1|) $$",
    "powers of powers of e": "$$ y = " + r"\max(" + "(" * 25 + "e^{4000}" + ")^{4000}" * 25 + ", 1) $$",
    "a wave far out": "$$ y = " + r"\max(\sin(" + "(" * 25 + "e^{4000}" + ")^{4000}" * 25 + "), 1) $$",
    "the magnitude of a large number": "$$ y = |" + "(" * 25 + "e^{4000}" + ")^{4000}" * 25 + " - 1| $$",
    "hyperbolic towers": r"$$ y = \lfloor \cosh(\cosh(\cosh(\cosh(4000)))) \rfloor $$",
    "digits": "$$ y = " + "9" * 18_000 + " $$",
    "exponents": "$$ y = 1e999999999 $$",
    "many formulas": "$$ y_i = x_i $$\n\n" * 200,
    "quotes": "> " * 5_000 + "$$ y = x $$",
    "lists": "\n".join(" " * (2 * n) + "- $$" for n in range(300)),
    "dollars": "$" * 100_000,
    "backticks": "`" * 50_001 + " $$ y = x $$ " + "`" * 50_000,
    "nulls": "$$ y = x\0 $$\0",
    "bars": "| $$ y = x $$ " * 2_000 + "|\n" + "|---" * 2_000 + "|\n",
}


@pytest.mark.parametrize("kind", LARGE)
def test_size_and_depth(kind, survive):
    survive(LARGE[kind])


CODE = (
    "__import__('os').system('touch WITNESS')",
    "\\text{__import__('os').system('touch WITNESS')}(x)",
    "\\operatorname{exec}(open('WITNESS', 'w'))",
    "\\mathrm{eval}(x)",
    "x.__class__.__mro__",
    "\\input{/etc/passwd}",
    "\\write18{touch WITNESS}",
    "\\text{lambda: open('WITNESS', 'w')}",
    "{{ ''.__class__ }}",
)


@pytest.mark.parametrize("code", CODE)
def test_nothing_is_executed(code, tmp_path, survive, monkeypatch):
    witness = tmp_path / "witness"
    called = []
    monkeypatch.setattr(os, "system", called.append)
    for text in (f"$$ y = {code} $$", f"$$ {code} = x $$", f"$$ {code} $$", f"$$ y_{{{code}}} = x $$", code):
        survive(text.replace("WITNESS", str(witness)))
    assert not called
    assert not witness.exists()
