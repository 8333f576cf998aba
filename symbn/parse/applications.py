"""Names that are written as functions: softmax(x)_i, LayerNorm(x), Var[x]."""

from __future__ import annotations

import re
from dataclasses import replace

from symbn.parse.latex import Node, begin, parts, token
from symbn.parse.names import Vocabulary, Written, factors, scripted, written

#: what is written so is a function, whether brackets follow or not: \operatorname{mean}_i x_i, \mathbb{E} x
_OPERATOR = re.compile(r"\\(?:operatorname|mathbb)(?![A-Za-z])")


def subject(left: Node, vocabulary: Vocabulary) -> Written | None:
    """The name on the left side of a definition, f(x) being called f; None where there is something else."""
    run = factors(left)
    if run is None or len(run) > 2:
        return None
    name = written(run[0], vocabulary)
    if len(run) == 1 or name is None:
        return name
    return applied(name, run[1], vocabulary) if _has_brackets(run[1]) and name.exponent is None else None


def arguments(left: Node, vocabulary: Vocabulary) -> tuple[str, ...] | None:
    """What f is applied to on the left side of a definition of f(x); None where it is no function."""
    run = factors(left)
    return _names(run[1], vocabulary) if run is not None and len(run) == 2 and _has_brackets(run[1]) else None


def applied(name: Written, brackets: Node, vocabulary: Vocabulary) -> Written:
    """The name with the indices that it has, or that its brackets have, or else its arguments."""
    group, *scripts = parts(brackets)
    if scripts or name.indices:
        return scripted(name, scripts, vocabulary)
    runs = [factors(one) for one in parts(group)]
    named = [written(run[0], vocabulary) for run in runs if run is not None and len(run) == 1]
    indices = dict.fromkeys(index for one in named if one is not None for index in one.indices)
    return replace(name, below=tuple(indices))


def is_called(child: Node, behind: Node, latex: str, vocabulary: Vocabulary) -> bool:
    r"""Does a name stand before brackets as a function does?

    It does where the page defines it as a function; before parentheses that a product does not need, as they hold no
    sum; before square brackets, but for a small letter's; and as a word without indices. A space such as ``\,`` or a
    sign between them makes a product. What ``\operatorname`` or ``\mathbb`` writes needs no brackets.
    """
    name = written(child, vocabulary)
    if name is None:
        return False
    if name.name not in vocabulary.defined and _OPERATOR.match(latex, begin(child)):
        return True
    apart = latex[int(child.meta.end_pos) : begin(behind)].replace(r"\!", "").strip()
    if apart or not _has_brackets(behind):
        return False
    if name.name in vocabulary.applied:
        return True
    if name.exponent is not None:
        return False
    base = parts(child)[0]
    word = base.data == "name" and token(base).type == "WORD" and not name.indices
    square = parts(behind)[0].children[0] == "[" and not _is_small(child)
    return word or square or _are_arguments(behind, vocabulary)


def is_only_named(child: Node, behind: Node, latex: str, vocabulary: Vocabulary) -> bool:
    """Is this but an unknown function of something, as in y = LayerNorm(x)? A small letter's is one of names alone."""
    name = written(child, vocabulary)
    if name is None or name.name in vocabulary.applied or not is_called(child, behind, latex, vocabulary):
        return False
    return not _is_small(child) or bool(_names(behind, vocabulary))


def matches(brackets: Node, vocabulary: Vocabulary, known: tuple[str, ...]) -> bool:
    """Do brackets hold what a function was applied to where it was defined?"""
    return _names(brackets, vocabulary) == known


def _names(brackets: Node, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The names of the arguments where each is but a name; () where one is more."""
    found = []
    for one in parts(parts(brackets)[0]):
        run = factors(one)
        name = written(run[0], vocabulary) if run is not None and len(run) == 1 else None
        if name is None or name.exponent is not None:
            return ()
        found.append(name.name)
    return tuple(found)


def _are_arguments(brackets: Node, vocabulary: Vocabulary) -> bool:
    """Do brackets without a power hold names, or a product that needs none?"""
    group, *scripts = parts(brackets)
    runs = [factors(one) for one in parts(group)]
    plain = all(run is not None and all(one.data == "factor" and _is_plain(one) for one in run) for run in runs)
    return bool(_names(brackets, vocabulary)) or (plain and not scripts)


def _is_small(factor: Node) -> bool:
    base = parts(factor)[0]
    return base.data == "name" and token(base).type == "NAME" and token(base).islower()


def _is_plain(factor: Node) -> bool:
    return parts(factor)[0].data in ("name", "number", "accent", "differential", "braces", "group")


def _has_brackets(factor: Node) -> bool:
    return factor.data == "factor" and parts(factor)[0].data == "group"
