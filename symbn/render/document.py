"""A derivation as a document: what is said, in which order, whatever the format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sympy import Eq, Piecewise, Product

from symbn.derivation.derivation import Derivation, Step
from symbn.derivation.expressions import indices_of, name_of
from symbn.equations import notation
from symbn.equations.reductions import ReduceMax, ReduceMin
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
    about_counts: str
    #: (form, operations in LaTeX)
    counts: tuple[tuple[str, str], ...]
    #: the generated file, and what a reader should know of it
    file: str
    about_file: str
    #: (label of the equation, its lines in the file, its code)
    statements: tuple[tuple[str, str, str], ...]


def document(derivation: Derivation, form: str = "both") -> Document:
    """The document of a derivation in one of its forms; ArgumentError if there is no such form."""
    if form not in FORMS:
        raise ArgumentError(f"form: {form!r} is not one of {', '.join(FORMS)}")
    operator, staged, collapsed = derivation.operator, derivation.staged, derivation.collapsed
    sections, number = [], 0
    if form != "collapsed":
        section, number = _staged(derivation)
        sections.append(section)
    if form != "staged":
        sections += _collapsed(derivation, number, alone=form == "collapsed")
    result = staged if form == "staged" else collapsed
    code = None if form == "staged" else listing(collapsed)
    title, _, rest = operator.description.partition("\n")
    source = rest.partition("Source:")[2].strip()
    given = ", ".join(f"${notation.tex(collapsed.element(name))}$" for name in _cotangents(derivation))
    wanted = ", ".join(f"${notation.tex(collapsed.element(name))}$" for name in collapsed.outputs)
    counted = [("forward", operator), ("backward, one gradient for each equation", staged)]
    if form != "staged":
        counted.append(("backward, simplified", collapsed))
    return Document(
        title=f"The gradient of {operator.name}",
        text=(
            *([literal(title.rstrip(".") + ".")] if title else []),
            f"For a loss $L$, $\\mathrm{{d}}v$ stands for $\\partial L / \\partial v$. Given {given}, this page finds "
            f"{wanted}. Each line was checked before it was written: both of its sides were evaluated in rational "
            "arithmetic, at several small sizes.",
            *([f"Source of the equations: {literal(source)}"] if source else []),
        ),
        forward=Section("The equations", _conventions(derivation), (_numbered("F", derivation.forward),)),
        symbols=tuple(_symbols(derivation)),
        sections=tuple(sections),
        result=Section(
            "The result",
            ("What these equations read of the forward pass was saved by it, or is computed again.",),
            (_numbered("B", result.equations),),
        ),
        about_counts=(
            "Additions, multiplications, divisions and roots. What varies with fewer indices is computed once for each "
            "of them, and what occurs twice is computed once."
        ),
        counts=tuple((name, notation.tex(operations(one))) for name, one in counted),
        file=code.file if code else "",
        about_file=(
            "The file holds a loop nest for each order of the arrays in memory, and each nest computes every equation."
        ),
        statements=tuple(_statements(code.statements)) if code else (),
    )


def _conventions(derivation: Derivation) -> tuple[str, ...]:
    """What is said of the notation, where it occurs."""
    lines = [*derivation.forward, *(step.after for step in derivation.steps)]
    choices = frozenset().union(*(one.atoms(Piecewise) for one in lines))
    kinds = {type(one.rhs) for one in derivation.forward}
    said = []
    if any(map(notation.is_indicator, choices)):
        said.append("$[\\ldots]$ is 1 where what stands in it holds, and 0 where it does not.")
    if kinds & {ReduceMax, ReduceMin}:
        said.append("A maximum or minimum shares its gradient equally among the terms that are equal to it.")
    if Product in kinds:
        said.append(
            "The gradient of a product takes the product of the other terms: that of all terms divided by this one, "
            "or where this one alone is zero that of all terms which are not."
        )
    return tuple(said)


def _numbered(letter: str, equations: Iterable[Eq]) -> Block:
    return Block(tuple(_line(f"{letter}{number}", eq) for number, eq in enumerate(equations, 1)))


def literal(words: str) -> str:
    """Words in which nothing is mathematics."""
    return words.replace("$", DOLLAR)


def spelled(words: str, plain: Callable[[str], str], mathematics: Callable[[str], str]) -> str:
    """Words with mathematics between ``$``, each part as a format writes it."""
    parts = words.split("$")
    return "".join((mathematics if number % 2 else plain)(part) for number, part in enumerate(parts))


def _line(label: str, eq: Eq, reason: str = "", *, vanishing: bool = False) -> Line:
    return Line(label, eq.lhs, eq.rhs, reason, vanishing)


def _staged(derivation: Derivation) -> tuple[Section, int]:
    """The chain rule for each gradient: the line with its derivatives, these, and the line with them put in."""
    blocks = []
    number = 0
    for step in derivation.steps:
        if step.rule != "chain rule":
            continue
        slopes = derivation.slopes.get(name_of(step.after.lhs), ())
        entries = [(step.before, step.reason), *((eq, "") for eq in slopes), (step.after, "Put in:")]
        if slopes:
            entries[1] = slopes[0], "The derivatives:" if len(slopes) > 1 else "The derivative:"
        elif step.after.rhs == step.before.rhs:
            del entries[-1]
        lines = [_line(str(number + place), eq, reason) for place, (eq, reason) in enumerate(entries, 1)]
        number += len(lines)
        blocks.append(Block(tuple(lines), notation.tex(step.after.lhs)))
    text = (
        "This is the chain rule, from the last equation to the first. A gradient that is known flows back through an "
        "equation to everything that the equation reads: it is multiplied by a derivative, and summed over the indices "
        "that the receiver does not have. A bar marks the gradient of an intermediate.",
        "$\\partial v / \\partial u$ is the derivative of the one equation that defines $v$; what else that equation "
        "reads is held fixed. Where it sums over an index of $u$, only the term with this $u$'s own index contains it.",
    )
    return Section("One gradient for each equation", text, tuple(blocks)), number


def _collapsed(derivation: Derivation, number: int, *, alone: bool) -> list[Section]:
    """The steps that make each gradient simpler; no section where there are none."""
    blocks = []
    for _, group in groupby(derivation.steps, key=lambda step: name_of(step.after.lhs)):
        first, *rest = list(group)
        if not rest and not alone:
            continue
        lines = [_line(str(number + 1), first.after, first.reason if alone else "From the chain rule:")]
        lines += [_simplified(number + place, step) for place, step in enumerate(rest, 2)]
        number += len(lines)
        blocks.append(Block(tuple(lines), notation.tex(first.after.lhs)))
    text = ["The same few rules simplify the gradients of every operator. Each line says which one was used."]
    if alone:
        text.append("Each gradient begins with what the chain rule gives. A bar marks the gradient of an intermediate.")
    return [Section("Simplification", tuple(text), tuple(blocks))] if blocks else []


def _simplified(number: int, step: Step) -> Line:
    return _line(str(number), step.after, step.reason, vanishing=step.rule == "vanishing sum")


def _cotangents(derivation: Derivation) -> list[str]:
    known = {*derivation.operator.inputs, *(name_of(eq.lhs) for eq in derivation.forward)}
    return [name for name in derivation.collapsed.inputs if name not in known]


def _symbols(derivation: Derivation) -> list[tuple[str, str, str]]:
    operator = derivation.operator
    rows = []
    sizes: dict[str, list[str]] = {}
    for index, extent in operator.indices.items():
        sizes.setdefault(extent, []).append(index)
    for extent, indices in sizes.items():
        names = ", ".join(f"${notation.symbol(index)[0]}$" for index in indices)
        if extent not in operator.fixed_extents:
            rows.append((notation.symbol(extent)[0], "", f"the number of values of {names}"))
    gradients = dict(zip(derivation.collapsed.outputs, derivation.wrt, strict=True))
    meanings: dict[str, tuple[Any, str]] = {name: (operator.element(name), "input") for name in operator.inputs}
    system = iter(operator.system)
    for eq in derivation.forward:
        own = eq if name_of(eq.lhs) in derivation.introduced else next(system)
        what = "output" if name_of(own.lhs) in operator.outputs else "intermediate"
        meanings.setdefault(name_of(eq.lhs), (eq.lhs, what))
    for source in (derivation.staged, derivation.collapsed):
        for name in (*source.inputs, *(one.name for one in source.definitions)):
            if name in gradients:
                what = f"gradient with respect to ${notation.tex(operator.element(gradients[name]))}$"
            else:
                what = "gradient that is given" if name in source.inputs else "gradient of an intermediate"
            meanings.setdefault(name, (source.element(name), what))
    extents = {**operator.indices, **derivation.collapsed.indices}
    for leaf, what in meanings.values():
        shape = r" \times ".join(notation.symbol(extents[str(index.name)])[0] for index in indices_of(leaf))
        rows.append((notation.tex(leaf), shape, what))
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
