r"""Where displayed formulas stand in a Markdown page.

Displayed are ``$$ .. $$``, ``\[ .. \]``, a ```` ```math ```` fence and environments such as ``align``, in paragraphs,
lists, quotes and tables. Code is never a formula, nor is an inline ``$ .. $``, which only speaks of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

#: what opens a displayed formula, and what closes it
_DISPLAYED = {"$$": "$$", r"\[": r"\]"}
_INLINE = {r"\(": r"\)", "$": "$"}
_ENVIRONMENT = re.compile(r"\\begin\{((?:align|alignat|equation|gather|multline|flalign|eqnarray)\*?)\}")
#: what may follow a displayed formula on its line: punctuation, a number
_REST = re.compile(r"\s*[.,;:]?\s*(\([\w.:*-]+\))?\s*")
_TOKEN = "displayed_formula"


@dataclass(frozen=True)
class Displayed:
    """A formula's LaTeX, and where each of its lines begins in the file: (line, column), both from 1."""

    latex: str
    starts: tuple[tuple[int, int], ...]

    def place(self, offset: int) -> tuple[int, int]:
        """The line and column in the file of a place in the LaTeX."""
        before = self.latex[:offset]
        line, column = self.starts[min(before.count("\n"), len(self.starts) - 1)]
        return line, column + len(before) - (before.rfind("\n") + 1)


@dataclass(frozen=True)
class Unclosed:
    """A delimiter that opens a formula which nothing closes."""

    delimiter: str
    line: int
    column: int


def formulas(source: str) -> Iterator[Displayed | Unclosed]:
    """The displayed formulas of a page, in order, and delimiters that open one that never ends."""
    parser = MarkdownIt("commonmark").enable("table")
    interrupts = {"alt": ["paragraph", "blockquote", "list"]}
    parser.block.ruler.before("fence", _TOKEN, _block, interrupts)  # type: ignore[arg-type]
    parser.inline.ruler.before("escape", _TOKEN, _inline)
    lines = source.split("\n")
    environment: dict[str, Any] = {"failed": set(), "unclosed": {}}
    found: list[Displayed] = []
    for token in parser.parse(source, environment):
        if token.type == _TOKEN:
            found.append(token.meta["formula"])
        elif token.type == "fence" and token.map and token.info.split()[:1] == ["math"]:
            content = token.content.removesuffix("\n")
            found.append(Displayed(content, _starts(content, lines, token.map[0] + 1)))
        elif token.type == "inline" and token.map:
            starts = _starts(token.content, lines, token.map[0])
            whole = Displayed(token.content, starts)
            for child in token.children or ():
                if child.type == _TOKEN:
                    begin = child.meta["offset"]
                    later = starts[token.content.count("\n", 0, begin) + 1 :]
                    found.append(Displayed(child.content, (whole.place(begin), *later)))
    yield from sorted((*found, *environment["unclosed"].values()), key=_line)


def _line(one: Displayed | Unclosed) -> tuple[int, int]:
    return (one.line, one.column) if isinstance(one, Unclosed) else one.starts[0]


def _starts(content: str, lines: list[str], first: int) -> tuple[tuple[int, int], ...]:
    """Where the lines of a block's content begin in the file: each stands there behind an indent or a mark."""
    starts = []
    for number, text in enumerate(content.split("\n"), first):
        there = lines[number] if number < len(lines) else ""
        # In the cell of a table a bar is escaped.
        found = max(there.rfind(text.strip()), there.rfind(text.strip().replace("|", r"\|")), 0)
        starts.append((number + 1, found + 1 - (len(text) - len(text.lstrip()))))
    return tuple(starts)


def _block(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """A formula that begins a line, and that nothing but punctuation follows."""
    begin = state.bMarks[first] + state.tShift[first]
    head = state.src[begin : state.eMarks[first]]
    environment = _ENVIRONMENT.match(head)
    opening = environment[0] if environment else head[:2]
    closing = rf"\end{{{environment[1]}}}" if environment else _DISPLAYED.get(opening)
    if closing is None:
        return False
    parts, starts = [], []
    for line in range(first, end):
        start = state.bMarks[line] + state.tShift[line] + (len(opening) if line == first else 0)
        text = state.src[start : state.eMarks[line]]
        if line > first and text and state.sCount[line] < state.blkIndent:
            break
        starts.append((line + 1, start - state.src.rfind("\n", 0, start)))
        content, closed, rest = text.partition(closing)
        parts.append(content)
        if closed:
            if not _REST.fullmatch(rest):
                return False
            if not silent:
                token = state.push(_TOKEN, "math", 0)
                token.map = [first, line + 1]
                token.meta = {"formula": Displayed("\n".join(parts), tuple(starts))}
                state.line = line + 1
            return True
        if (closing, end, state.level) in state.env["failed"]:
            break
    else:
        state.env["failed"].add((closing, end, state.level))
    state.env["unclosed"].setdefault(closing, Unclosed(opening, first + 1, begin - state.src.rfind("\n", 0, begin)))
    return False


def _inline(state: StateInline, silent: bool) -> bool:
    """A formula within a paragraph's text."""
    for opening, closing in (_DISPLAYED | _INLINE).items():
        begin = state.pos + len(opening)
        if not state.src.startswith(opening, state.pos) or (opening == "$" and state.src[begin : begin + 1].isspace()):
            continue
        end = -1 if (closing, state.src) in state.env["failed"] else state.src.find(closing, begin)
        if end < 0:
            state.env["failed"].add((closing, state.src))
            continue
        if not silent and opening in _DISPLAYED:
            token = state.push(_TOKEN, "math", 0)
            token.content = state.src[begin:end]
            token.meta = {"offset": begin}
        state.pos = end + len(closing)
        return True
    return False
