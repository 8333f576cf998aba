r"""How LaTeX writes names: which part of ``\hat{\sigma}_{B,k}^2`` is the name, which an index, which a power.

- An accent, ``\mathrm{d}``, and below: a capital letter, a Greek one, a number or a word belong to the name
  (``\mu_B``, ``\epsilon_0``, ``\mu_{\text{old}}``).
- A small Latin letter below is an index, as is what stands above in parentheses, and what a sum of the page goes
  over. Those above come first: ``x_k^{(i)}`` is ``x[i, k]``.
- A square belongs to the name where the page defines the square (``\sigma_k^2 = ..``), or where the caller says so;
  else it is a power. Where the square is defined and the name is not, the name means the root.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from symbn.parse.latex import Node, Unreadable, begin, parts, token


@dataclass(frozen=True)
class Vocabulary:
    """What a page says about its names, and what its reader does."""

    #: indices of sums
    bound: frozenset[str] = frozenset()
    #: letters that stand in one run with those, as t and i in x_{tilm} with sums over l and m
    beside: frozenset[str] = frozenset()
    #: what equations define
    defined: frozenset[str] = frozenset()
    #: names whose square is a name: sigma where there is a sigma2
    squared: frozenset[str] = frozenset()
    #: name -> what it is applied to where it is defined: softmax(x)
    applied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: name -> what to call it
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """A name as a formula writes it."""

    letters: str
    ending: str = ""
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    exponent: Node | None = None

    @property
    def name(self) -> str:
        return self.letters + self.ending

    @property
    def square(self) -> str:
        """The name that the square has where it is one."""
        return f"{self.letters}2{self.ending}"

    @property
    def indices(self) -> tuple[str, ...]:
        return self.above + self.below

    @property
    def is_squared(self) -> bool:
        exponent = None if self.exponent is None else _lone(self.exponent)
        return exponent is not None and exponent.data == "number" and token(exponent) == "2"


def written(factor: Node, vocabulary: Vocabulary) -> Written | None:
    """The name that a factor is, with its indices and its exponent; None where it is something else."""
    if factor.data != "factor":
        return None
    base, *scripts = parts(factor)
    found = _base(base, vocabulary)
    if found is None or (found.exponent is not None and scripts):
        return None
    return scripted(found, scripts, vocabulary)


def scripted(found: Written, scripts: list[Node], vocabulary: Vocabulary) -> Written:
    """A name with what stands above and below it."""
    for script in scripts:
        if script.children[0] == "_":
            found = _below(found, parts(script), vocabulary)
        elif not parts(script):
            found = replace(found, ending=found.ending + "_prime")
        else:
            found = _above(found, parts(script), script, vocabulary)
    return found


def factors(tree: Node) -> list[Node] | None:
    """The factors of something that is but a product of factors without signs."""
    while tree.data in ("comparison", "sum") and len(tree.children) == 1:
        (tree,) = parts(tree)
    inner = parts(tree)
    plain = tree.data == "product" and len(inner) == len(tree.children)
    return inner if plain and all(one.data in ("factor", "call") for one in inner) else None


def _lone(tree: Node) -> Node | None:
    """The one thing without scripts that a tree holds, however it is wrapped; None where it holds more."""
    while tree.data in ("comparison", "sum", "product", "factor", "braces"):
        inner = parts(tree)
        if len(inner) != 1 or (tree.data != "braces" and len(tree.children) != 1):
            return None
        (tree,) = inner
    return tree


def _base(tree: Node, vocabulary: Vocabulary) -> Written | None:
    if tree.data == "name":
        return Written(str(token(tree)))
    if tree.data == "braces":
        inner = factors(parts(tree)[0])
        return written(inner[0], vocabulary) if inner is not None and len(inner) == 1 else None
    if tree.data not in ("accent", "differential"):
        return None
    found = _base(parts(tree)[0], vocabulary)
    if found is not None and found.is_squared:
        found = replace(found, letters=found.letters + "2", exponent=None)
    if found is None or found.exponent is not None:
        raise Unreadable("an accent belongs over one name, and a d before one", begin(tree))
    if tree.data == "differential":
        return replace(found, letters="d" + found.letters)
    return replace(found, ending=f"_{token(tree)}{found.ending}")


def _below(found: Written, items: list[Node], vocabulary: Vocabulary) -> Written:
    for item in items:
        run = list(_atoms(item))
        letters = [str(token(one)) for one in run if one.data == "name"]
        if (
            len(run) > 2
            and len(letters) == len(run)
            and not (vocabulary.bound | vocabulary.beside).intersection(letters)
        ):
            word = "".join(letters)
            raise Unreadable(
                f"'{word}' below {found.name}: is it a word or {len(word)} indices? Write \\text{{{word}}} for a word, "
                f"{','.join(letters)} for indices",
                begin(item),
            )
        for one in run:
            text = str(token(one))
            if text in vocabulary.bound or (one.data == "name" and len(text) == 1 and text.islower()):
                found = replace(found, below=(*found.below, text))
            else:
                found = replace(found, ending=f"{found.ending}_{text}")
    return found


def beside(tree: Node, bound: frozenset[str]) -> set[str]:
    """The letters below names that stand in one run of three or more with an index of a sum."""
    found: set[str] = set()
    for node in tree.iter_subtrees():
        if node.data == "script" and node.children[0] == "_":
            names = [one for item in parts(node) for one in factors(item) or () if one.data == "factor"]
            lone = [_lone(one) for one in names]
            letters = {
                str(token(one)) for one in lone if one is not None and one.data == "name" and len(token(one)) == 1
            }
            found |= letters if len(letters) > 2 and letters & bound else set()
    return found


def _atoms(item: Node) -> Iterator[Node]:
    """The names, numbers and words in a subscript."""
    if item.data in ("name", "number", "word"):
        yield item
        return
    run = factors(item) if item.data != "factor" else [item]
    for factor in run or ():
        lone = _lone(factor)
        if lone is None or lone.data not in ("name", "number", "group"):
            run = None
            break
        yield from [lone] if lone.data != "group" else (one for part in parts(lone) for one in _atoms(part))
    if run is None:
        raise Unreadable("an index is one letter: nothing is added to it, and it has no index of its own", begin(item))


def _above(found: Written, items: list[Node], script: Node, vocabulary: Vocabulary) -> Written:
    """Indices in parentheses, letters of sums, words and numbers in parentheses; all else is the exponent."""
    if len(items) > 1:
        raise Unreadable("a list above a name; indices stand there in parentheses, as in x^{(i)}", begin(items[1]))
    (item,) = items
    run = [item] if item.data in ("name", "number", "word") else factors(item)
    rest = []
    for one in run or ():
        lone = _lone(one) if one.data == "factor" else one
        inside = _in_parentheses(lone) if lone is not None else None
        if lone is not None and lone.data == "name" and (token(lone) in vocabulary.bound or token(lone).type == "WORD"):
            inside = [lone]
        if inside is None:
            rest.append(one)
        for part in inside or ():
            text = str(token(part))
            index = part.data == "name" and token(part).type == "NAME"
            if index:
                found = replace(found, above=(*found.above, text))
            else:
                found = replace(found, ending=f"{found.ending}_{text}")
    if run is not None and not rest:
        return found
    if found.exponent is not None:
        raise Unreadable("a second exponent", begin(script))
    if run is not None and len(rest) not in (1, len(run)):
        raise Unreadable("indices above stand in parentheses, before or after one exponent", begin(script))
    exponent = item if run is None or len(rest) == len(run) else rest[0]
    transposed = _lone(exponent)
    if transposed is not None and transposed.data == "name" and token(transposed) == "T":
        raise Unreadable("a transpose; symbn's equations are those of elements", begin(script))
    return replace(found, exponent=exponent)


def _in_parentheses(tree: Node) -> list[Node] | None:
    """The indices or the number in parentheses; None where there is something else."""
    if tree.data != "group" or tree.children[0] != "(":
        return None
    found: list[Node] = []
    for part in parts(tree):
        run = [_lone(one) for one in factors(part) or ()]
        found += [one for one in run if one is not None and one.data in ("name", "number")]
        if not run or len(found) < len(run):
            return None
    return found
