"""A displayed formula as single equations: rows, what stands side by side, and remarks, which are left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lark import Token

from symbn.parse.lexer import CLOSING, OPENING

_SEPARATORS = frozenset("COMMA SEMICOLON GAP PROSE AND".split())
#: a row that begins, or follows one that ends, with one of these goes on with the row before
_GOES_ON = frozenset("DEFINES PLUS MINUS TIMES DIVIDE".split())
_REASONS = {
    "MATRIX": "it lays out a matrix or vector; symbn's equations are those of elements",
    "DOTS": "its dots leave elements out, so that it defines none",
    "DERIVATIVE": "it is a derivative; symbn derives gradients itself",
}
_NO_DEFINITION = "it has no = and so defines nothing"


@dataclass(frozen=True)
class Statement:
    """The tokens of one equation, or the reason why it is none; a condition or two for which it holds are no part."""

    tokens: tuple[Token, ...]
    reason: str = ""


@dataclass
class _Part:
    """What stands between two separators, and the word that leads to it."""

    tokens: list[Token]
    word: str


def statements(tokens: list[Token]) -> Iterator[Statement]:
    """The equations of a formula."""
    for row in _rows(tokens):
        yield from _of_row(list(_parts(row)))


def _rows(tokens: list[Token]) -> list[list[Token]]:
    """The tokens between line breaks; alignment marks and a full stop at the end are gone."""
    rows: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.type in OPENING) - (token.type in CLOSING)
        if depth > 0 or token.type not in ("ROW", "AMP"):
            rows[-1].append(token)
        elif token.type == "ROW":
            rows.append([])
    joined: list[list[Token]] = []
    for row in rows:
        while row and row[-1].type in ("PERIOD", "COMMA", "SEMICOLON"):
            row.pop()
        words = [one for one in row if one.type != "GAP"]
        before = [one for one in joined[-1] if one.type != "GAP"] if joined else []
        if words and before and (words[0].type in _GOES_ON or before[-1].type in _GOES_ON):
            joined[-1] += words
        elif words:
            joined.append(row)
    return joined


def _parts(row: list[Token]) -> Iterator[_Part]:
    part, depth = _Part([], ""), 0
    for token in row:
        depth += (token.type in OPENING) - (token.type in CLOSING)
        if depth > 0 and token.type == "GAP":
            continue
        if depth <= 0 and token.type in _SEPARATORS | {"FOR"}:
            if part.tokens:
                yield part
            part = _Part([], token.type if token.type == "FOR" else "")
        else:
            part.tokens.append(token)
    if part.tokens:
        yield part


def _of_row(parts: list[_Part]) -> Iterator[Statement]:
    """The equations that stand side by side: each begins with a part that has a definition's sign."""
    groups: list[list[_Part]] = []
    for part in parts:
        if part.word and groups and not _is_condition(part):
            break
        if not groups or _has(part, "DEFINES") or _is_condition(part):
            groups.append([part])
        else:
            groups[-1].append(part)
    for number, (first, *rest) in enumerate(groups):
        kinds = {token.type for token in first.tokens}
        if number and any(_has(part, "DOTS") for part in rest):
            continue  # the range of an index: k = 1, ..., n
        reason = next((text for kind, text in _REASONS.items() if kind in kinds), "")
        if not reason and "DEFINES" not in kinds and not _is_condition(first):
            reason = _NO_DEFINITION
        if not reason and any(_has(part, "DOTS") for part in rest):
            reason = _REASONS["DOTS"]
        if not number or not reason:
            yield Statement(tuple(first.tokens), reason)


def _is_condition(part: _Part) -> bool:
    """A condition at which only an equation holds cannot be left out: it is handed on, and refused."""
    return any(token.type in ("IF", "OTHERWISE") for token in part.tokens)


def _has(part: _Part, kind: str) -> bool:
    return any(token.type == kind for token in part.tokens)
