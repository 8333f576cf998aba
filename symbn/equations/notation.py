"""How equations are written down: LaTeX and a line of plain text, with the names as a reader knows them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sympy import Add, Eq, Indexed, Mul, Piecewise, Pow, Product, Rational, Sum, Symbol, true
from sympy.printing.latex import LatexPrinter, tex_greek_dictionary
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.pretty.pretty import PrettyPrinter
from sympy.printing.pretty.pretty_symbology import pretty_symbol, pretty_use_unicode
from sympy.printing.pretty.stringpict import prettyForm
from sympy.printing.str import StrPrinter

from symbn.equations.names import identifier
from symbn.equations.reductions import REDUCTIONS, ReduceMax, ReduceMin, is_reduction

_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi "
    "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split()
)
_ACCENTS = ("hat", "bar", "tilde", "dot")
#: a reduction in LaTeX, and on one line
_OPERATORS = {Sum: r"\sum", Product: r"\prod", ReduceMax: r"\max", ReduceMin: r"\min"}
_WORDS = {Sum: "Sum", Product: "Product", ReduceMax: "Max", ReduceMin: "Min"}


def symbol(name: str) -> tuple[str, str]:
    r"""The LaTeX of a name and of its exponent.

    A trailing ``2`` is the square that belongs to the name (``sigma2`` is \sigma^2), an accent is written out
    (``x_hat`` is \hat{x}), Greek letters are spelled, and everything else is set upright and escaped.
    """
    text = identifier(name).rstrip("_")
    behind = any(text.endswith("_" + accent) for accent in _ACCENTS)
    if text.startswith("d") and not behind and _is_known(text[1:]):
        tex, power = symbol(text[1:])
        return rf"\mathrm{{d}}{tex}", power
    numbered = re.fullmatch(r"(.*[^\d_])_(\d+)", text)
    if numbered:
        tex, power = symbol(numbered[1])
        return tex, f"{power}({numbered[2]})"
    squared = len(text) > 1 and text.endswith("2") and text[:-1] in _GREEK
    if squared:
        text = text[:-1]
    for accent in _ACCENTS:
        for stem in (text.removeprefix(accent + "_"), text.removesuffix("_" + accent)):
            if stem != text and stem:
                tex, power = symbol(stem)
                wide = {"bar": "overline", "hat": "widehat", "tilde": "widetilde"}.get(accent, accent)
                if power or (len(stem) > 1 and stem not in _GREEK):
                    return rf"\{wide}{{{tex}{f'^{{{power}}}' if power else ''}}}", "2" if squared else ""
                return rf"\{accent}{{{tex}}}", "2" if squared else ""
    if text in _GREEK:
        tex = tex_greek_dictionary.get(text, "\\" + text)
    elif len(text) == 1:
        tex = text
    else:
        tex = r"\mathrm{" + text.replace("_", r"\_") + "}"
    return tex, "2" if squared else ""


def _is_known(text: str) -> bool:
    """Does a name have a form of its own in mathematics: a letter, a Greek one, or either with a d or an accent?"""
    if not text:
        return False
    stem = re.sub(r"_\d+$", "", text)
    for accent in _ACCENTS:
        stem = stem.removeprefix(accent + "_").removesuffix("_" + accent)
    plain = stem[:-1] if stem.endswith("2") else stem
    return len(stem) == 1 or plain in _GREEK or (stem.startswith("d") and len(stem) > 1 and _is_known(stem[1:]))


def _place_in_product(factor: Any) -> tuple[int, int]:
    """Numbers, scalars, parameters, differences, gradients, reductions."""
    if is_reduction(factor):
        return 6, 0
    if isinstance(factor, Indexed):
        name = str(factor.base.label)
        return (5 if name.startswith("d") and _is_known(name[1:]) else 2), len(factor.indices)
    if factor.is_Add or (factor.is_Pow and factor.base.is_Add):
        return 4, 0
    return (0 if factor.is_Number else 1 if factor.is_Symbol or factor.is_Pow else 3), 0


def _apart(product: str) -> str:
    """A product in which the d of a gradient does not run into the factor before it."""
    product = re.sub(r"(\\mathrm\{[^{}]{2,}\}(?:_\{[^{}]*\})?) (?=[\\A-Za-z])", r"\1 \\, ", product)
    product = re.sub(r"(?<![-+=({,]) (\\mathrm\{[^{}]{2,}\})", r" \\, \1", product)
    spaced = re.sub(r"(?<![-+=({,]) \\mathrm\{d\}", r" \\, \\mathrm{d}", product)
    return re.sub(r"(\\(?:sum|prod|max|min)_\{[^{}]*\}\^\{[^{}]*\}) \\,", r"\1", spaced)


def _decimal(number: Any) -> str:
    """A number that was written with many decimals, as it was written; nothing for a fraction that a person reads."""
    binary = number.q > 2**20 and number.q & (number.q - 1) == 0
    return repr(float(number)) if binary else ""


def _is_ratio(factor: Any) -> bool:
    return bool(factor.is_Rational and not factor.is_Integer)


def is_indicator(expr: Any) -> bool:
    """Is it a choice of 1 where a condition holds, else 0: Iverson's bracket?"""
    return isinstance(expr, Piecewise) and [value for value, _ in expr.args] == [1, 0] and expr.args[1][1] == true


def _is_tall(expr: Any) -> bool:
    """Does an expression print as a fraction or a reduction, or holds one?"""
    return expr.has(*REDUCTIONS) or any(one.exp.could_extract_minus_sign() for one in expr.atoms(Pow))


def reading_order(terms: list[Any]) -> list[Any]:
    """Terms as a reader expects them: what is added before what is subtracted, the longer before the shorter."""
    return sorted(terms, key=lambda term: (term.could_extract_minus_sign(), -term.count_ops()))


class _Latex(LatexPrinter):  # type: ignore[misc]
    """SymPy's LaTeX with the page's names: indices below, the square of a name above."""

    def _as_ordered_terms(self, expr: Any, order: str | None = None) -> list[Any]:
        return reading_order(super()._as_ordered_terms(expr, order))

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
        tex, power = symbol(str(expr.name))
        return f"{tex}^{{{power}}}" if power else tex

    def _print_Idx(self, expr: Any) -> str:
        return symbol(str(expr.name))[0]

    def _print_Indexed(self, expr: Indexed) -> str:
        tex, power = symbol(str(expr.base.label))
        below = "_{" + ",".join(self._print(index) for index in expr.indices) + "}"
        return tex + below + (f"^{{{power}}}" if power else "")

    def _print_Mul(self, expr: Any) -> str:
        """A product as it is written by hand: sums, and what holds fractions, stand after the fraction."""
        if not expr.is_Mul:
            return str(super()._print_Mul(expr))
        factors = sorted(expr.args, key=_place_in_product)
        wide = [one for one in factors if is_reduction(one) or (isinstance(one, Add) and any(map(_is_tall, one.args)))]
        rest = [one for one in factors if one not in wide]
        if wide and any((one.is_Pow and one.exp.could_extract_minus_sign()) or _is_ratio(one) for one in rest):
            texts = [self._print(one) for one in wide]
            alone = is_reduction(wide[-1])
            behind = [rf"\left({text}\right)" for text in (texts[:-1] if alone else texts)] + texts[
                len(texts) - alone :
            ]
            return _apart(" ".join([self._print(Mul(*rest)), *behind]))
        return _apart(str(super()._print_Mul(Mul(*factors, evaluate=False))))

    def _print_ReduceMax(self, expr: Any) -> str:
        body = self._print(expr.function)
        enclosed = isinstance(expr.function, Add) or expr.function.could_extract_minus_sign()
        return operator(expr) + (rf"\left({body}\right)" if enclosed else body)

    _print_ReduceMin = _print_ReduceMax

    def _print_Piecewise(self, expr: Any) -> str:
        if is_indicator(expr):
            return rf"\left[{self._print(expr.args[0][1])}\right]"
        return str(super()._print_Piecewise(expr))

    def parenthesize(self, item: Any, level: int, is_neg: bool = False, strict: bool = False) -> str:
        """A maximum binds as a product does, which SymPy says of its own sums and products alone."""
        if isinstance(item, ReduceMax | ReduceMin) and level > PRECEDENCE["Mul"]:
            return rf"\left({self._print(item)}\right)"
        return str(super().parenthesize(item, level, is_neg, strict))

    def _needs_mul_brackets(self, expr: Any, first: bool = False, last: bool = False) -> bool:
        if is_indicator(expr):
            return False
        return super()._needs_mul_brackets(expr, first, last) or (not last and expr.has(ReduceMax, ReduceMin))

    def _print_Rational(self, expr: Any) -> str:
        return _decimal(expr) or str(super()._print_Rational(expr))

    def _print_Derivative(self, expr: Any) -> str:
        (moved, _) = expr.variable_count[0]
        return rf"\frac{{\partial {self._print(expr.expr)}}}{{\partial {self._print(moved)}}}"

    def _print_Pow(self, expr: Any) -> str:
        """A power of a name that has a square of its own stands in parentheses."""
        base = expr.base.base.label if isinstance(expr.base, Indexed) else expr.base
        plain = expr.exp == Rational(1, 2) or expr.exp.could_extract_minus_sign()
        if isinstance(base, Symbol) and symbol(str(base.name))[1] and not plain:
            return rf"\left({self._print(expr.base)}\right)^{{{self._print(expr.exp)}}}"
        return str(super()._print_Pow(expr))


class _Plain(StrPrinter):  # type: ignore[misc]
    """SymPy's one-line form, with a reduction's limits in words."""

    def _as_ordered_terms(self, expr: Any, order: str | None = None) -> list[Any]:
        return reading_order(super()._as_ordered_terms(expr, order))

    def _print_Rational(self, expr: Any) -> str:
        return _decimal(expr) or str(super()._print_Rational(expr))

    def _print_Sum(self, expr: Any) -> str:
        limits = ", ".join(f"{index}={lower}..{upper}" for index, lower, upper in expr.limits)
        return f"{_WORDS[type(expr)]}({self._print(expr.function)}, {limits})"

    _print_Product = _print_ReduceMax = _print_ReduceMin = _print_Sum


class _Pretty(PrettyPrinter):  # type: ignore[misc]
    """SymPy's two-dimensional form for terminals, with Greek letters for indexed names too."""

    def _as_ordered_terms(self, expr: Any, order: str | None = None) -> list[Any]:
        return reading_order(super()._as_ordered_terms(expr, order))

    def _print_Indexed(self, expr: Indexed) -> Any:
        name = str(expr.base.label)
        letter = name[:-1] if name.endswith("2") and name[:-1] in _GREEK else name
        square = "" if letter == name else "²"
        indices = ", ".join(str(index.name) for index in expr.indices)
        text = pretty_symbol(letter) if letter in _GREEK else letter
        return prettyForm(f"{text}{square}[{indices}]")

    def _print_ReduceMax(self, expr: Any) -> Any:
        """The word between its limits, as a Sum's sign is."""
        body = self._print(expr.function)
        if isinstance(expr.function, Add) or expr.function.could_extract_minus_sign():
            body = prettyForm(*body.parens())
        for index, lower, upper in expr.limits:
            head = prettyForm(_WORDS[type(expr)].lower())
            head = prettyForm(*head.above(self._print(upper)))
            height = head.height()
            head = prettyForm(*head.below(self._print(Eq(index, lower, evaluate=False))))
            head.baseline = height - 1
            body = prettyForm(*prettyForm(*head.right(" ")).right(body), binding=prettyForm.MUL)
        return body

    _print_ReduceMin = _print_ReduceMax


def pretty(eq: Eq) -> str:
    """One equation over several lines, for a terminal."""
    before = pretty_use_unicode(True)
    try:
        return str(_Pretty({"use_unicode": True, "wrap_line": False, "order": "none"}).doprint(eq))
    finally:
        pretty_use_unicode(before)


def terminal(equations: Iterable[Eq]) -> str:
    """Equations for a terminal, each with its number at the left."""
    blocks = []
    for number, eq in enumerate(equations, 1):
        lines = [line.rstrip() for line in pretty(eq).splitlines()]
        middle = next(place for place, line in enumerate(lines) if " = " in line)
        labels = [f"({number})  " if place == middle else " " * (len(str(number)) + 4) for place in range(len(lines))]
        blocks.append("\n".join(label + line for label, line in zip(labels, lines, strict=True)))
    return "\n\n".join(blocks)


def operator(reduction: Any) -> str:
    """The sign of a reduction with its limits, in LaTeX, to be followed by the body."""
    sign = _OPERATORS[type(reduction)]
    return "".join(f"{sign}_{{{tex(index)}={tex(low)}}}^{{{tex(high)}}} " for index, low, high in reduction.limits)


def tex(expr: Any) -> str:
    """An expression in LaTeX, without delimiters."""
    return str(_Latex({"order": "none"}).doprint(expr))


def latex(eq: Eq) -> str:
    """One equation in LaTeX, without delimiters."""
    return f"{tex(eq.lhs)} = {tex(eq.rhs)}"


def align(equations: Iterable[Eq]) -> str:
    """Equations as one LaTeX ``align*`` environment, tagged (1), (2), ... as in the generated C."""
    lines = []
    for number, eq in enumerate(equations, 1):
        left, right = latex(eq).split(" = ", 1)
        lines.append(rf"{left} &= {right} \tag{{{number}}}")
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"


def plain(eq: Eq) -> str:
    """One equation on one line of ASCII-compatible text, fit for a C comment."""
    return comment(f"{_Plain().doprint(eq.lhs)} = {_Plain().doprint(eq.rhs)}")


def plain_text(expr: Any) -> str:
    """An expression on one line."""
    return str(_Plain().doprint(expr))


def comment(text: str) -> str:
    """Text that cannot begin or end a C comment, on one line."""
    return re.sub(r"/(?=\*)", "/ ", re.sub(r"\*(?=/)", "* ", re.sub(r"\s+", " ", text)))
