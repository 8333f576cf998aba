"""A derivation as a document: what is said, in which order, whatever the format."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sympy import Eq

from symbn.derivation.derivation import Derivation, Step
from symbn.derivation.program import name_of
from symbn.equations import notation
from symbn.errors import ArgumentError
from symbn.render.counts import operations
from symbn.render.statements import Statement, listing

#: stands for a dollar sign in words that are not ours, where ``$`` is where mathematics begins and ends
DOLLAR = "\ue000"

FORMS = ("staged", "collapsed", "both")


@dataclass(frozen=True)
class Line:
    """An equation with its label and, before it, the reason in words, in which mathematics stands between ``$``."""

    label: str
    left: Any
    right: Any
    reason: str = ""
    #: something vanishes here, which readers look for
    vanishing: bool = False


@dataclass(frozen=True)
class Block:
    """The lines that lead to one result."""

    lines: tuple[Line, ...]
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs of text with mathematics between ``$``, and blocks of equations."""

    title: str
    text: tuple[str, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """All that a derivation's page holds, in order."""

    title: str
    text: tuple[str, ...]
    forward: Section
    #: (symbol in LaTeX, shape, what it is)
    symbols: tuple[tuple[str, str, str], ...]
    sections: tuple[Section, ...]
    result: Section
    #: (form, operations in LaTeX)
    counts: tuple[tuple[str, str], ...]
    file: str
    #: (label of the equation, its lines in the file, its code)
    statements: tuple[tuple[str, str, str], ...]


def document(derivation: Derivation, form: str = "both") -> Document:
    """The document of a derivation in one of its forms; ArgumentError if there is no such form."""
    if form not in FORMS:
        raise ArgumentError(f"form: {form!r} is not one of {', '.join(FORMS)}")
    operator, collapsed = derivation.operator, derivation.collapsed
    code = listing(collapsed)
    sections = []
    number = 0
    if form != "collapsed":
        section, number = _staged(derivation, number)
        sections.append(section)
    if form != "staged":
        section, number = _collapsed(derivation, number, alone=form == "collapsed")
        sections.append(section)
    title, _, rest = operator.description.partition("\n")
    given = ", ".join(f"${notation.tex(collapsed.element(name))}$" for name in _cotangents(derivation))
    wanted = ", ".join(f"${notation.tex(collapsed.element(name))}$" for name in collapsed.outputs)
    return Document(
        title=f"The gradient of {operator.name}",
        text=(
            *([literal(title.rstrip(".") + ".")] if title else []),
            f"For a loss $L$, $\\mathrm{{d}}v$ stands for $\\partial L / \\partial v$. Given {given}, this page finds "
            f"{wanted}. Each line was checked in exact arithmetic before it was written: both of its sides were "
            "evaluated on rational numbers, at several small sizes.",
            *(
                [f"Source of the equations: {literal(source)}"]
                if (source := rest.partition("Source:")[2].strip())
                else []
            ),
        ),
        forward=Section(
            "The equations",
            (),
            (Block(tuple(_line(f"F{number}", eq) for number, eq in enumerate(operator.system, 1))),),
        ),
        symbols=tuple(_symbols(derivation)),
        sections=tuple(sections),
        result=Section(
            "The result",
            ("These equations are compiled. What they read of the forward pass is saved by it or computed again.",),
            (Block(tuple(_line(f"B{number}", eq) for number, eq in enumerate(collapsed.equations, 1))),),
        ),
        counts=tuple(
            (name, notation.tex(operations(one)))
            for name, one in (
                ("forward", operator),
                ("backward, equation by equation", derivation.staged),
                ("backward, simplified", collapsed),
            )
        ),
        file=code.file,
        statements=tuple(_statements(code.statements)),
    )


def literal(words: str) -> str:
    """Words in which nothing is mathematics."""
    return words.replace("$", DOLLAR)


def _line(label: str, eq: Eq, reason: str = "", *, vanishing: bool = False) -> Line:
    return Line(label, eq.lhs, eq.rhs, reason, vanishing)


def _staged(derivation: Derivation, number: int) -> tuple[Section, int]:
    blocks = []
    for step in derivation.steps:
        if step.rule == "chain rule":
            lines = [_line(str(number + 1), step.before, step.reason)]
            if step.after.rhs != step.before.rhs:
                lines.append(_line(str(number + 2), step.after, "With the derivatives taken:"))
            number += len(lines)
            blocks.append(Block(tuple(lines), notation.tex(step.after.lhs)))
    text = (
        "The chain rule, from the last equation to the first. What an equation defines has a gradient; each thing that "
        "the equation reads receives that gradient times a derivative, summed over the indices that it does not have "
        "itself. A bar marks the gradient of something on the way.",
    )
    return Section("One gradient for each equation", text, tuple(blocks)), number


def _collapsed(derivation: Derivation, number: int, *, alone: bool) -> tuple[Section, int]:
    blocks = []
    for _, group in groupby(derivation.steps, key=lambda step: name_of(step.after.lhs)):
        first, *rest = list(group)
        if not rest and not alone:
            continue  # there is nothing to simplify
        lines = [_line(str(number + 1), first.after, first.reason if alone else "From the chain rule:")]
        lines += [_simplified(number + place, step) for place, step in enumerate(rest, 2)]
        number += len(lines)
        blocks.append(Block(tuple(lines), notation.tex(first.after.lhs)))
    text = ("Those gradients that can be simplified. The same few rules do it for every operator.",)
    return Section("Simplified", text, tuple(blocks)), number


def _simplified(number: int, step: Step) -> Line:
    return _line(str(number), step.after, step.reason, vanishing=step.rule == "vanishing sum")


def _cotangents(derivation: Derivation) -> list[str]:
    known = {*derivation.operator.inputs, *derivation.operator.outputs}
    return [name for name in derivation.collapsed.inputs if name not in known]


def _symbols(derivation: Derivation) -> list[tuple[str, str, str]]:
    operator, collapsed, staged = derivation.operator, derivation.collapsed, derivation.staged
    rows = []
    sizes: dict[str, list[str]] = {}
    for index, extent in operator.indices.items():
        sizes.setdefault(extent, []).append(index)
    for extent, indices in sizes.items():
        names = ", ".join(f"${notation.symbol(index)[0]}$" for index in indices)
        if extent not in operator.fixed_extents:
            rows.append((notation.symbol(extent)[0], "", f"the number of values of {names}"))
    gradients = dict(zip((f"d{name}" for name in derivation.wrt), derivation.wrt, strict=True))
    forward = {one.name for one in operator.definitions}
    for source in (operator, staged, collapsed):
        for name in (*source.inputs, *(one.name for one in source.definitions)):
            tex = notation.tex(source.element(name))
            if any(tex == known for known, _, _ in rows):
                continue
            shape = r" \times ".join(notation.symbol(extent)[0] for extent in source.arrays.get(name, ()))
            if source is operator:
                what = "output" if name in operator.outputs else "on the way" if name in forward else "input"
            elif name in gradients:
                what = f"gradient with respect to ${notation.tex(operator.element(gradients[name]))}$"
            elif name in source.inputs:
                what = "gradient that is given"
            else:
                what = "gradient on the way"
            rows.append((tex, shape, what))
    return rows


def _statements(found: tuple[Statement, ...]) -> list[tuple[str, str, str]]:
    """One row for each equation and nest: the lines, and the code of the first of those that say the same."""
    rows = []
    for equation in sorted({one.equation for one in found}):
        for nest in dict.fromkeys(one.nest for one in found):
            own = [one for one in found if (one.equation, one.nest) == (equation, nest)]
            # The tail of a loop repeats the statement of its vectorized part.
            own = [one for place, one in enumerate(own) if not _repeats(one, own[:place])]
            rows += [(f"B{equation}", str(one.line), one.code) for one in own]
    return rows


def _repeats(one: Statement, before: list[Statement]) -> bool:
    return any(one.code.replace("[whole + lane]", "[q + lane]") == other.code for other in before)
