"""What a sum goes over: its indices and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from lark import Token

from symbn.parse.latex import Node, Unreadable, begin, parts, token
from symbn.parse.names import factors


@dataclass(frozen=True)
class Range:
    """An index that a sum goes over, and its limits where they are written."""

    index: str
    lower: Node | None
    upper: Node | None


def scripts_of(scripts: list[Node]) -> tuple[Node | None, Node | None]:
    """What stands below and what stands above a sum or a function; no more than one of each."""
    below, above = ([one for one in scripts if one.children[0] == sign] for sign in ("_", "^"))
    if len(below) > 1 or len(above) > 1 or len(below) + len(above) < len(scripts):
        raise Unreadable("a sum or a function has one thing below, one above and no prime", begin(scripts[-1]))
    return (below[0] if below else None), (above[0] if above else None)


def ranges(scripts: list[Node], at: Node) -> list[Range]:
    r"""The indices of a reduction: ``_{i=1}^{m}``, ``_i``, ``_{i,j}``, ``_{ij}`` or ``_{1 \le i \le m}``."""
    below, above = scripts_of(scripts)
    if below is None:
        raise Unreadable(f"'{token(at)}' has no index; write its limits, as in \\sum_{{i=1}}^{{m}}", begin(at))
    items = parts(below)
    upper = parts(above)[0] if above is not None else None
    found: list[Range] = []
    for item in items:
        signs = [
            child.type
            for child in item.children
            if isinstance(child, Token) and child.type in ("DEFINES", "LT", "LE", "GT", "GE", "NE")
        ]
        sides = parts(item) if item.data == "comparison" else [item]
        if signs == ["DEFINES"] and len(items) == 1 and upper is not None:
            found += [Range(one, sides[1], upper) for one in _letters(sides[0])]
        elif signs == ["LE", "LE"] and upper is None:
            found += [Range(one, sides[0], sides[2]) for one in _letters(sides[1])]
        elif not signs and (upper is None or len(items) == 1):
            found += [Range(one, None, upper) for one in _letters(sides[0])]
        else:
            found = []
            break
    if not found or (upper is not None and len(found) > 1):
        raise Unreadable(
            "expected an index with its limits, as in _{i=1}^{m}, or indices alone, as in _{i,j}", begin(items[0])
        )
    return found


def _letters(tree: Node) -> list[str]:
    """The index, or indices, below a sum."""
    run = [tree] if tree.data == "name" else [parts(one)[0] for one in factors(tree) or () if len(parts(one)) == 1]
    if not run or any(one.data != "name" or len(token(one)) != 1 for one in run):
        return []
    return [str(token(one)) for one in run]


def bound(tree: Node) -> set[str]:
    """The indices that the reductions of a formula go over."""
    found: set[str] = set()
    for node in tree.iter_subtrees():
        if node.data == "reduction" or (node.data in ("call", "applied") and token(node) in ("max", "min")):
            scripts = [one for one in parts(node) if one.data == "script"]
            if node.data == "reduction" or any(one.children[0] == "_" for one in scripts):
                found |= {one.index for one in ranges(scripts, node)}
    return found
