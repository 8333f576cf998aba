"""What a kernel does, in words: its steps, what each visit of the data computes, and which loops run when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from symbn.equations.operator import Operator
from symbn.kernel.clusters import Cluster
from symbn.kernel.computations import Reduction
from symbn.kernel.expressions import indices_of, loads
from symbn.kernel.groups import Group, Pass
from symbn.kernel.ir import Alternative, Program
from symbn.kernel.schedule import Lowering
from symbn.kernel.summation import BLOCK, LANES, START

_WORDS = {"prod": "product", "max": "maximum", "min": "minimum"}


def explain(operator: Operator, *, compensated: bool) -> str:
    """The schedule of an operator, for a reader."""
    lowering = Lowering(operator, compensated)
    lines = [operator.description, ""] if operator.description else []
    lines.append(
        f"Arithmetic in float64; sums in blocks of {BLOCK} terms with {LANES} lanes"
        + (", each operation with its rounding error." if compensated else ", the blocks with their rounding errors.")
    )
    for number, (clusters, alternatives) in enumerate(zip(lowering.work, lowering.program.steps, strict=True), 1):
        lines += ["", f"Step {number}{', in one visit of the data where memory allows' if len(clusters) > 1 else ''}"]
        for one in clusters:
            lines += [f"  {line}" for line in _cluster(one)]
        lines += [f"  {line}" for line in _alternatives(lowering.program, alternatives)]
    return "\n".join(lines) + "\n"


def _cluster(one: Cluster) -> Iterator[str]:
    if len(one.groups) == 1:
        yield from _group(one.groups[0], ())
        return
    yield f"for each {_listed(one.outer)}, while its data is in cache:"
    for group in one.groups:
        yield from (f"  {line}" for line in _group(group, one.outer))


def _group(group: Group, outer: tuple[str, ...]) -> Iterator[str]:
    kept = [index for index in group.kept if index not in outer]
    pad = ""
    if kept:
        yield f"for each {_listed(kept)}:"
        pad = "  "
    yield from (f"{pad}{line}" for line in _between(group, 0))
    for number, one in enumerate(group.passes, 1):
        yield f"{pad}{_visit(one, _listed(group.reduced))}: {'; '.join(_work(one))}"
        yield from (f"{pad}{line}" for line in _between(group, number))


def _between(group: Group, number: int) -> Iterator[str]:
    stores = [store for store in group.stores if store.stage == number]
    if stores:
        yield f"write {_listed(f'{store.array} ({store.equation})' for store in stores)}"


def _visit(one: Pass, indices: str) -> str:
    if one.first:
        return f"visit the first {START} terms of {indices}"
    return f"where the shift lies far from the mean, visit {indices}" if one.needed else f"visit {indices}"


def _work(one: Pass) -> Iterator[str]:
    read = [load.array for expr in one.expressions() for load in loads(expr) if indices_of(load)]
    if read:
        yield f"read {_listed(read)}"
    if one.reductions:
        purpose = ", the shift about which sums are taken" if one.first else " again" if one.needed else ""
        yield _listed(map(_reduction, one.reductions)) + purpose
    if one.stores:
        yield f"write {_listed(f'{store.array} ({store.equation})' for store in one.stores)}"


def _reduction(one: Reduction) -> str:
    return f"a {_WORDS.get(one.op, one.op)} for ({one.equation})"


def _alternatives(program: Program, alternatives: tuple[Alternative, ...]) -> Iterator[str]:
    for number, one in enumerate(alternatives):
        unit = [pair for name in one.nests for pair in program.nest(name).unit]
        where = []
        for level in dict.fromkeys(level for _, level in unit):
            arrays = list(dict.fromkeys(array for array, own in unit if own == level))
            where.append(f"{_listed(arrays)} {'is' if len(arrays) == 1 else 'are'} contiguous along {level}")
        if one.avoid:
            where.append(f"{one.avoid[0]} is not along {one.avoid[1]}")
        if one.tasks is not None:
            where.append("there is a block of rows for each thread")
        runs = "runs as" if number == 0 else "else as"
        yield f"{runs} {', '.join(one.nests)}" + (f" where {_listed(where)}" if where else "")


def _listed(words: Iterable[str]) -> str:
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
