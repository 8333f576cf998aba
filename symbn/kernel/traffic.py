"""How much data a kernel moves, and how much it computes, for each element of its largest arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from symbn.dtypes import DType
from symbn.kernel.clusters import Cluster
from symbn.kernel.expressions import loads
from symbn.kernel.groups import Group, Pass
from symbn.kernel.ir import Expr, Op
from symbn.kernel.schedule import Lowering


@dataclass(frozen=True)
class Traffic:
    """What a step does for each element of the arrays with most indices."""

    #: arrays that are read, each with the number of its visits, and arrays that are written
    reads: tuple[tuple[str, int], ...]
    writes: tuple[str, ...]
    #: bytes to and from memory where what is visited again is still in cache, and where it is not
    cached: int
    streamed: int
    #: operations in float64, conversions included
    operations: int


def traffic(lowering: Lowering, dtype: DType) -> tuple[Traffic, ...]:
    """The traffic of each step."""
    arrays = [array for array in lowering.program.arrays if array.role != "workspace" and array.kind == "data"]
    rank = max((len(lowering.operator.written[array.name]) for array in arrays if array.axes), default=0)
    largest = {array.name for array in arrays if len(lowering.operator.written[array.name]) == rank}
    return tuple(_step(step, largest, dtype) for step in lowering.work)


def _step(clusters: tuple[Cluster, ...], largest: set[str], dtype: DType) -> Traffic:
    reads: dict[str, int] = {}
    writes: dict[str, None] = {}
    operations = 0
    for one in _visits(group for cluster in clusters for group in cluster.groups):
        read = {load for expr in one.expressions() for load in loads(expr) if load.array in largest}
        written = [store.array for store in one.stores if store.array in largest]
        if not (read or written):
            continue
        for array in sorted({load.array for load in read}):
            reads[array] = reads.get(array, 0) + 1
        writes |= dict.fromkeys(written)
        computed = {part for expr in one.expressions() for part in _parts(expr)}
        conversions = 0 if dtype.compensated else len(read) + len(written)
        operations += len(computed) + len(one.reductions) + len(one.crossing) + conversions
    size = dtype.itemsize
    return Traffic(
        tuple(reads.items()),
        tuple(writes),
        size * (len(reads) + len(writes)),
        size * (sum(reads.values()) + len(writes)),
        operations,
    )


def _visits(groups: Iterator[Group]) -> Iterator[Pass]:
    """The passes that go over everything whatever the data."""
    return (one for group in groups for one in group.passes if not (one.first or one.needed))


def _parts(expr: Expr) -> Iterator[Expr]:
    """The operations of an expression."""
    if isinstance(expr, Op) and expr.args and expr.name != "extent":
        yield expr
        for arg in expr.args:
            yield from _parts(arg)
