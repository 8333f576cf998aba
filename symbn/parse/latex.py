"""LaTeX as a tree: the grammar over the lexer's tokens, and what is said where a formula does not follow it.

The parser goes through a formula once, without recursion. What walks the tree afterwards is recursive, so that
nesting has a limit here, as the length of a formula has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedToken
from lark.lexer import Lexer

LONGEST = 1000
DEEPEST = 30

Node: TypeAlias = "Tree[Token]"


class Unreadable(Exception):
    """A formula that cannot be read; ``offset`` is the place in its LaTeX."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class _Given(Lexer):
    """The tokens are there already: they are what is parsed."""

    def __init__(self, _: Any) -> None:
        pass

    def lex(self, data: Any) -> Iterator[Token]:  # type: ignore[override]
        return iter(data)


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer=_Given, start=["equation", "factor"], propagate_positions=True)


def parse(tokens: Iterable[Token], start: str = "equation") -> Node:
    """The tree of an equation, or of a name (``start="factor"``).

    Raises
    ------
    Unreadable
        Where it does not follow the grammar, is too long or too deeply nested.
    """
    tokens = list(tokens)
    if len(tokens) > LONGEST:
        raise Unreadable(f"this formula has more than {LONGEST} symbols; split it", int(tokens[LONGEST].start_pos or 0))
    try:
        tree = _parser().parse(tokens, start=start)
    except UnexpectedToken as error:
        raise _explain(error, tokens) from None
    _measure(tree)
    return tree


def parts(tree: Node) -> list[Node]:
    """The subtrees of a tree, without brackets and signs."""
    return [child for child in tree.children if isinstance(child, Tree)]


def token(tree: Node) -> Token:
    """The token that a name, a number or a function begins with."""
    first = tree.children[0]
    assert isinstance(first, Token)
    return first


def begin(tree: Node) -> int:
    """Where a tree begins in its formula."""
    return int(tree.meta.start_pos)


def _measure(tree: Node) -> None:
    """Refuse what is nested too deeply: a product in brackets in a product ... is six trees deep each time."""
    waiting: list[tuple[Node, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        depth += node.data in _NESTING
        if depth > DEEPEST:
            raise Unreadable(f"brackets, fractions and functions are nested more than {DEEPEST} deep here", begin(node))
        waiting += [(child, depth) for child in parts(node)]


_NESTING = frozenset(
    "fraction root accent differential braces group magnitude floor ceiling script cases call reduction applied".split()
)

_WORD_FOR_BRACE = "an opening brace {"
#: what a token is to who writes LaTeX; tokens that one word covers have the same
_WORDS = {
    "a name, a number or an opening bracket": "NAME NUMBER WORD LPAR LBRACK LSET LABS LFLOOR LCEIL FRAC SQRT FUNC SUM "
    "PROD ACCENT DIFFERENTIAL CASES",
    "an operator such as +": "PLUS MINUS TIMES DIVIDE",
    _WORD_FOR_BRACE: "LBRACE",
    "a closing brace }": "RBRACE",
    "a closing )": "RPAR",
    "a closing ]": "RBRACK",
    r"a closing \}": "RSET",
    "a closing |": "RABS",
    r"a closing \rfloor": "RFLOOR",
    r"a closing \rceil": "RCEIL",
    r"\end{cases}": "END",
    "a comma": "COMMA",
    "an = sign": "DEFINES",
    "a condition's < or >": "LT LE GT GE NE",
    r"& before the condition, or \text{if}": "AMP IF OTHERWISE",
    "the end of the formula": "$END",
}
_MEANING = {kind: words for words, kinds in _WORDS.items() for kind in kinds.split()}
_HINTS = {
    "IF": r"a definition under a condition is written with \begin{cases} .. \end{cases}",
    "OTHERWISE": r"a definition under a condition is written with \begin{cases} .. \end{cases}",
    "AMP": "& aligns equations, or stands before a condition in cases",
    "MATRIX": "matrices and vectors are not read; write the equation of an element",
    "SUB": "a second index below; put both into one pair of braces, as in x_{i,k}",
    "SUP": "there is nothing that this ^ could belong to",
    r"\in": r"a sum over a set; give its index limits, as in \sum_{i=1}^{m}",
    r"\odot": "a product of arrays; write the equation of an element, with indices",
    r"\circ": "a product of arrays; write the equation of an element, with indices",
    r"\otimes": "a product of arrays; write the equation of an element, with indices",
    r"\top": "a transpose; write the equation of an element, with indices",
    **dict.fromkeys((r"\|", r"\lVert", r"\Vert"), r"a norm; write it as a sum, as in \sqrt{\sum_i x_i^2}"),
    **dict.fromkeys((r"\approx", r"\sim", r"\propto", r"\to"), "this is no definition's sign; expected = or :="),
}


def _explain(error: UnexpectedToken, tokens: list[Token]) -> Unreadable:
    found = error.token
    if found.type == "$END":
        offset = int(tokens[-1].end_pos or 0) if tokens else 0
        what = "the formula ends here"
    else:
        offset = int(found.start_pos or 0)
        what = f"'{found}' is not expected here"
        hint = _HINTS.get(found.type) or _HINTS.get(found.strip())
        if hint:
            return Unreadable(f"'{found}': {hint}", offset)
        if found.type == "PROSE":
            known = "if, when, otherwise, else, and, or, for"
            return Unreadable(f"'{found}': words in a formula; symbn reads of those {known}", offset)
        if found.type == "UNKNOWN":
            return Unreadable(f"'{found}' is not LaTeX that symbn reads in a formula", offset)
    expected = dict.fromkeys(_MEANING[kind] for kind in sorted(error.accepts or error.expected) if kind in _MEANING)
    if len(expected) > 1:
        expected.pop(_WORD_FOR_BRACE, None)  # where a name can stand, braces can
    # A closing bracket that is missing says more than all that could stand before it.
    closing = [words for words in expected if words.startswith(("a closing", r"\end"))]
    named = closing or [*expected]
    return Unreadable(f"{what}; expected {' or '.join(named)}" if named else what, offset)
