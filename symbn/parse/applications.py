"""Names that are written as functions: softmax(x)_i, LayerNorm(x), Var[x]."""

from __future__ import annotations

from dataclasses import replace

from symbn.parse.latex import Node, begin, parts, token
from symbn.parse.names import Vocabulary, Written, factors, scripted, written


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

    It does before square brackets, before parentheses that hold but a name or a list, and as a word without indices;
    a space such as ``\,`` or a sign between them makes a product.
    """
    if child.data != "factor" or not _has_brackets(behind):
        return False
    name = written(child, vocabulary)
    apart = latex[int(child.meta.end_pos) : begin(behind)].strip()
    if name is None or name.exponent is not None or apart:
        return False
    group, base = parts(behind)[0], parts(child)[0]
    is_word = base.data == "name" and token(base).type == "WORD" and not name.indices
    return is_word or group.children[0] == "[" or bool(_names(behind, vocabulary))


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


def _has_brackets(factor: Node) -> bool:
    return factor.data == "factor" and parts(factor)[0].data == "group"
