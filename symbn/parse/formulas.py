"""The formulas of a page, each with what it defines or the reason why it defines nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lark import Token
from sympy import Symbol

from symbn.errors import ArgumentError, PageError
from symbn.parse import lexer, markdown
from symbn.parse.applications import arguments, subject
from symbn.parse.expressions import Definition, Expressions, Findings
from symbn.parse.extents import complete
from symbn.parse.latex import Node, Unreadable, parse, parts
from symbn.parse.markdown import Displayed, Unclosed
from symbn.parse.names import Vocabulary, beside, written
from symbn.parse.ranges import bound
from symbn.parse.source import Source
from symbn.parse.statements import Statement, statements

_LONGEST = 20_000
_POWER = "its left side is a power; an index above stands in parentheses, as in x^{(i)}"


@dataclass(frozen=True)
class Formula:
    """An equation of a page: where it is, how it is written, what it defines; or else why it does not."""

    line: int
    column: int
    latex: str
    definition: Definition | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Parsed:
    """An equation that follows the grammar."""

    formula: Formula
    displayed: Displayed
    tree: Node


def read(source: Source, names: Mapping[str, str] | None = None, squared: Iterable[str] = ()) -> tuple[Formula, ...]:
    """The formulas of a page in order.

    Parameters
    ----------
    source
    names
        LaTeX of a name -> what to call it, such as ``{r"\\sigma^2": "var"}``.
    squared
        Names whose square is a name of its own, besides those that the page defines so.

    Raises
    ------
    PageError
        With every formula that cannot be read: file, line, column, the line and a caret.
    """
    complaints: list[tuple[int, int, str]] = []
    found: list[Formula | _Parsed] = []
    for displayed in markdown.formulas(source.text):
        if isinstance(displayed, Unclosed):
            message = f"'{displayed.delimiter}' opens a formula that nothing closes"
            complaints.append((displayed.line, displayed.column, message))
            continue
        try:
            if len(displayed.latex) > _LONGEST:
                raise Unreadable(f"a formula of more than {_LONGEST} characters", 0)
            found += [_parsed(displayed, one) for one in statements(lexer.tokens(displayed.latex))]
        except Unreadable as error:
            complaints.append((*displayed.place(error.offset), str(error)))
    try:
        result = _defined([one for one in found if isinstance(one, _Parsed)], _renamings(names or {}), squared)
    except _Complaints as errors:
        complaints += errors.complaints
    if complaints:
        raise PageError("\n".join(source.complaint(*one) for one in sorted(complaints)))
    return tuple(result[id(one)] if isinstance(one, _Parsed) else one for one in found)


class _Complaints(Exception):
    def __init__(self, complaints: list[tuple[int, int, str]]) -> None:
        super().__init__(complaints)
        self.complaints = complaints


def _parsed(displayed: Displayed, statement: Statement) -> Formula | _Parsed:
    first, last = statement.tokens[0], statement.tokens[-1]
    begin, end = int(first.start_pos or 0), int(last.end_pos or 0)
    latex = " ".join(displayed.latex[begin:end].split())
    formula = Formula(*displayed.place(begin), latex, reason=statement.reason)
    if statement.reason:
        return formula
    tree = parse(statement.tokens)
    if _is_set(tree):
        return replace(formula, reason="it names a set; symbn's equations are those of elements")
    return _Parsed(formula, displayed, tree)


def _is_set(tree: Node) -> bool:
    r"""Is the right side but \{ .. \}?"""
    node = parts(tree)[1]
    while node.data in ("sum", "product", "factor") and len(node.children) == 1:
        (node,) = parts(node)
    return node.data == "group" and isinstance(node.children[0], Token) and node.children[0].type == "LSET"


def _renamings(names: Mapping[str, str]) -> Vocabulary:
    """What a caller says about names, as a vocabulary."""
    squared, renamed = set(), {}
    for latex, name in names.items():
        try:
            key = written(parse(lexer.tokens(latex), "factor"), Vocabulary())
        except Unreadable as error:
            raise ArgumentError(f"names: {latex!r} cannot be read: {error}") from None
        if key is None or (key.exponent is not None and not key.is_squared):
            raise ArgumentError(f"names: {latex!r} is not a name in LaTeX, such as \\mu_B or \\sigma^2")
        if not isinstance(name, str) or not name.isidentifier():
            raise ArgumentError(f"names: {name!r} for {latex!r} cannot be a name; use letters, digits and _")
        if key.is_squared:
            squared.add(key.name)
        renamed[key.square if key.is_squared else key.name] = name
    return Vocabulary(squared=frozenset(squared), renamed=renamed)


def _defined(equations: list[_Parsed], said: Vocabulary, squared: Iterable[str]) -> dict[int, Formula]:
    """Each equation with its definition: first what the page says about names, then about indices, then all of it."""
    complaints: dict[int, tuple[int, int, str]] = {}

    def complain(one: _Parsed, error: Unreadable) -> None:
        complaints[id(one)] = (*one.displayed.place(error.offset), str(error))

    vocabulary = replace(said, squared=said.squared | set(squared))
    for one in equations:
        try:
            vocabulary = replace(vocabulary, bound=vocabulary.bound | bound(one.tree))
        except Unreadable as error:
            complain(one, error)
    runs = [beside(one.tree, vocabulary.bound) for one in equations]
    vocabulary = replace(vocabulary, beside=frozenset().union(*runs))
    result: dict[int, Formula] = {}
    for one in equations:
        try:
            left = parts(one.tree)[0]
            name = subject(left, vocabulary)
            if name is None:
                result[id(one)] = replace(one.formula, reason="its left side is not one name")
            elif name.exponent is not None and not name.is_squared:
                result[id(one)] = replace(one.formula, reason=_POWER)
            else:
                vocabulary = _with(vocabulary, left)
        except Unreadable as error:
            complain(one, error)
    readable = [one for one in equations if id(one) not in complaints and id(one) not in result]
    found = Findings()
    for _ in range(2):
        # The second time every extent is known.
        for one in readable:
            try:
                definition = Expressions(one.displayed.latex, vocabulary, found).definition(one.tree)
                reason = "" if definition else "it names a function, and does not say what that is"
                result[id(one)] = replace(one.formula, definition=definition, reason=reason)
            except Unreadable as error:
                complain(one, error)
        found.extents = complete(found)
    if complaints:
        raise _Complaints([*complaints.values()])
    return {key: _without_values(one, vocabulary, found) for key, one in result.items()}


def _with(vocabulary: Vocabulary, left: Node) -> Vocabulary:
    """The vocabulary, and what a left side adds to it."""
    name = subject(left, vocabulary)
    assert name is not None
    if name.is_squared:
        vocabulary = replace(vocabulary, squared=vocabulary.squared | {name.name})
    own = name.square if name.is_squared else name.name
    vocabulary = replace(vocabulary, defined=vocabulary.defined | {own})
    inside = arguments(left, vocabulary)
    if inside is None:
        return vocabulary
    return replace(vocabulary, applied={**vocabulary.applied, own: inside})


def _without_values(formula: Formula, vocabulary: Vocabulary, found: Findings) -> Formula:
    """A formula that gives a value to an index or an extent defines nothing: those are read off the arrays."""
    definition = formula.definition
    if definition is None or not isinstance(definition.left, Symbol):
        return formula
    extents = {str(extent) for extent in found.extents.values()}
    if definition.name in vocabulary.bound | extents:
        return replace(formula, definition=None, reason=f"the size of '{definition.name}' is read off the arrays")
    return formula
