"""A displayed formula as single equations: rows, what stands side by side, and remarks, which are left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lark import Token

from symbn.parse.latex import Unreadable
from symbn.parse.lexer import CLOSING, OPENING

_GAPS = frozenset("GAP AMP".split())
_SEPARATORS = frozenset("COMMA SEMICOLON PROSE AND".split()) | _GAPS
#: a row that begins, or follows one that ends, with one of these goes on with the row before
_GOES_ON = frozenset("DEFINES PLUS MINUS TIMES DIVIDE".split())
_REASONS = {
    "MATRIX": "it lays out a matrix or vector; symbn's equations are those of elements",
    "DOTS": "its dots leave elements out, so that it defines none",
    "DERIVATIVE": "it is a derivative; symbn derives gradients itself",
}
_CONDITION = ("IF", "OTHERWISE")
#: what remarks are made of, and what they say: k > 0, i in a set
_WORDS = frozenset("WORD NUMBER LPAR RPAR".split())
_SAYS = ("LT", "LE", "GT", "GE", "NE", r"\in")
_NO_DEFINITION = "it has no = and so defines nothing"


@dataclass(frozen=True)
class Statement:
    """The tokens of one equation, or the reason why it is none."""

    tokens: tuple[Token, ...]
    reason: str = ""


@dataclass
class _Part:
    """What stands between two separators; a remark where "for" leads to it."""

    tokens: list[Token]
    is_remark: bool = False

    def says(self, *kinds: str) -> bool:
        """Does one of these stand in it, outside of brackets?"""
        depth = 0
        for token in self.tokens:
            depth += (token.type in OPENING) - (token.type in CLOSING)
            if depth <= 0 and (token.type in kinds or token in kinds):
                return True
        return False

    def holds(self, *kinds: str) -> bool:
        """Does one of these stand anywhere in it?"""
        return any(token.type in kinds for token in self.tokens)


def statements(tokens: list[Token]) -> Iterator[Statement]:
    """The equations of a formula; Unreadable where something stands beside one that is neither equation nor remark."""
    for row in _rows(tokens):
        yield from _of_row(list(_parts(row)))


def _rows(tokens: list[Token]) -> list[list[Token]]:
    """The tokens between line breaks, without the punctuation at the end of each line."""
    rows: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.type in OPENING) - (token.type in CLOSING)
        if token.type == "ROW" and depth <= 0:
            rows.append([])
        elif token.type != "GAP" or depth <= 0:
            rows[-1].append(token)
    joined: list[list[Token]] = []
    for row in rows:
        while row and row[-1].type in ("PERIOD", "COMMA", "SEMICOLON"):
            row.pop()
        words = [one for one in row if one.type not in _GAPS]
        before = [one for one in joined[-1] if one.type not in _GAPS] if joined else []
        if words and before and (words[0].type in _GOES_ON or before[-1].type in _GOES_ON):
            joined[-1] += row
        elif words:
            joined.append(row)
    return joined


def _parts(row: list[Token]) -> Iterator[_Part]:
    """What stands side by side; a gap, or a mark of alignment, before or after a sign separates nothing."""
    part, depth = _Part([]), 0
    for number, token in enumerate(row):
        depth += (token.type in OPENING) - (token.type in CLOSING)
        if depth <= 0 and token.type in _GAPS:
            behind = next((one.type for one in row[number:] if one.type not in _GAPS), "")
            if behind in _GOES_ON or not part.tokens or part.tokens[-1].type in _GOES_ON:
                continue
        if depth <= 0 and token.type in _SEPARATORS | {"FOR"}:
            if part.tokens:
                yield part
            part = _Part([], is_remark=token.type == "FOR")
        else:
            part.tokens.append(token)
    if part.tokens:
        yield part


def _of_row(parts: list[_Part]) -> Iterator[Statement]:
    """The equations that stand side by side: each begins with a part that has a definition's sign."""
    groups: list[list[_Part]] = []
    for part in parts:
        if part.is_remark and groups and not part.holds(*_CONDITION):
            break
        # A condition under which alone an equation holds cannot be left out: it is handed on, and refused.
        if not groups or part.says("DEFINES") or part.holds(*_CONDITION):
            groups.append([part])
        else:
            groups[-1].append(part)
    for number, (first, *rest) in enumerate(groups):
        ellipsis = any(part.says("DOTS") for part in rest)
        if number and ellipsis:
            continue  # the range of an index: k = 1, ..., n
        reason = next((text for kind, text in _REASONS.items() if first.holds(kind)), "")
        if not reason and not first.says("DEFINES") and not first.holds(*_CONDITION):
            reason = _NO_DEFINITION
        if not reason and ellipsis:
            reason = _REASONS["DOTS"]
        if not reason:
            for part in rest:
                _check_remark(part)
        yield Statement(tuple(first.tokens), reason)


def _check_remark(part: _Part) -> None:
    """What is left out beside an equation is a word, a number in brackets, or says what an index is."""
    words = all(token.type in _WORDS for token in part.tokens)
    in_brackets = part.tokens[0].type == "LPAR" and part.holds("DOTS")
    if not words and not in_brackets and not part.says(*_SAYS):
        raise Unreadable(
            "this stands apart from the equation before it and is none itself; a product is written without a gap",
            int(part.tokens[0].start_pos or 0),
        )
