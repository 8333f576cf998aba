"""What a kernel does, in words: its steps, what each visit of the data computes, and which loops run when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from symbn.dtypes import DType
from symbn.equations.operator import Operator
from symbn.kernel.clusters import Cluster
from symbn.kernel.computations import Reduction
from symbn.kernel.expressions import indices_of, loads
from symbn.kernel.groups import Group, Pass
from symbn.kernel.ir import Alternative, Program
from symbn.kernel.schedule import Lowering
from symbn.kernel.summation import BLOCK, LANES, START
from symbn.kernel.traffic import Traffic, traffic

_WORDS = {"prod": "product", "max": "maximum", "min": "minimum"}


def explain(operator: Operator, dtype: DType, *, copy_rate: float, operation_rate: float) -> str:
    """The schedule of an operator, for a reader.

    ``copy_rate`` is how many bytes a core reads and writes in a second, ``operation_rate`` how many operations it does:
    what bounds the kernel's time.
    """
    lowering = Lowering(operator, dtype.compensated)
    lines = [operator.description, ""] if operator.description else []
    lines.append(
        f"Arithmetic in float64; sums in blocks of {BLOCK} terms with {LANES} lanes"
        + (
            ", each operation with its rounding error."
            if dtype.compensated
            else ", the blocks with their rounding errors."
        )
    )
    moved = traffic(lowering, dtype)
    steps = zip(lowering.work, lowering.program.steps, moved, strict=True)
    for number, (clusters, alternatives, own) in enumerate(steps, 1):
        lines += ["", f"Step {number}{', in one visit of the data where memory allows' if len(clusters) > 1 else ''}"]
        for one in clusters:
            lines += [f"  {line}" for line in _cluster(one)]
        lines += [f"  {line}" for line in _alternatives(lowering.program, alternatives)]
        lines += [f"  {line}" for line in _bound(own, dtype, copy_rate, operation_rate)]
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
            where.append("there is a part of the work for each thread")
        if one.keeps is not None:
            where.append("what it reads again stays in cache")
        runs = "runs as" if number == 0 else "else as"
        yield f"{runs} {', '.join(one.nests)}" + (f" where {_listed(where)}" if where else "")


def _bound(own: Traffic, dtype: DType, copy_rate: float, operation_rate: float) -> Iterator[str]:
    """What is moved and computed for an element of the largest arrays, and how long that takes at the least."""
    if not (own.reads or own.writes):
        return
    arrays = [f"read {_listed(name for name, _ in own.reads)}"] if own.reads else []
    arrays += [f"write {_listed(own.writes)}"] if own.writes else []
    copy = 2 * dtype.itemsize
    memory = f"{own.cached} bytes, {own.cached / copy:g} times a copy's"
    if own.streamed > own.cached:
        memory += f" ({own.streamed} bytes, {own.streamed / copy:g} times, where what is visited again left the cache)"
    yield f"for an element: {' and '.join(arrays)}, {memory}; {own.operations} operations"
    moving, computing = 1e9 * own.cached / copy_rate, 1e9 * own.operations / operation_rate
    limit = "memory" if moving > computing else "arithmetic"
    yield (
        f"at the least {max(moving, computing):.2g} ns on a core of this machine: {moving:.2g} to move it, "
        f"{computing:.2g} to compute; {limit} is the limit"
    )


def _listed(words: Iterable[str]) -> str:
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
