"""What the two loop nests of a group share: blocks of the reduced indices, totals, the loop over the kept ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from symbn.kernel.computations import Reduction
from symbn.kernel.expressions import chain, loads
from symbn.kernel.groups import Group, Pass, Store
from symbn.kernel.ir import Assign, Comment, Const, Expr, For, If, Int, Let, Level, Load, Op, Stmt, Var, add, mul, sub
from symbn.kernel.levels import Levels, size, unflatten
from symbn.kernel.naming import Names
from symbn.kernel.summation import BLOCK, START, Slot, partial
from symbn.kernel.workspaces import Workspaces


class NestBuilder:
    """The names, levels and loops that both kinds of nest are built from."""

    def __init__(
        self, group: Group, levels: Levels, workspaces: Workspaces, names: Names, *, compensated: bool
    ) -> None:
        self.group = group
        self.levels = levels
        self.workspaces = workspaces
        self.names = names
        self.compensated = compensated
        self.kept = levels.of(group.kept)
        self.reduced = levels.of(group.reduced)
        #: how many elements a reduction goes over, and in how many blocks
        self.total_count = size(self.reduced)
        self.blocks = blocks_of(self.total_count)
        self.block, self.start, self.count = names.fresh("block"), names.fresh("start"), names.fresh("count")
        self.lane, self.flat = names.fresh("lane"), names.fresh("place")

    def terms(self, one: Pass) -> Expr:
        """How many elements a pass goes over."""
        return Op("imin", (Int(START), self.total_count)) if one.first else self.total_count

    def blocks_in(self, one: Pass) -> Expr:
        """In how many blocks a pass goes over them."""
        return Op("imin", (Int(1), self.blocks)) if one.first else self.blocks

    def block_bounds(self, one: Pass) -> list[Stmt]:
        """Where the current block of a pass starts, and how many elements it has."""
        return block_bounds(self.block, self.start, self.count, self.terms(one))

    def over_kept(self, body: list[Stmt]) -> list[Stmt]:
        """The loop over the elements of the kept indices, shared out to the threads."""
        return over(self.kept, self.flat, body)

    def targets(self, stores: Iterable[Store]) -> list[Load]:
        """The elements of outputs at the current place."""
        return [Load(store.array, self.levels.subscripts(store.indices)) for store in stores]

    def outputs(self, stage: int, written: Callable[[Expr], Expr]) -> list[Stmt]:
        """The outputs on the kept indices alone that are known after a pass, their values as the nest has them."""
        stores = [store for store in self.group.stores if store.stage == stage]
        values = [written(store.value) for store in stores]
        assigns = assign(self.targets(stores), values, self.names.branch())
        return [Comment(labels(stores)), *assigns] if stores else []

    def total(self, reduction: Reduction) -> Slot:
        """A reduction's running total over the blocks; a sum's with compensation, where not all arithmetic is so."""
        low = None if self.compensated else Load(f"{reduction.hi}_rest", ())
        return partial(reduction, Load(f"{reduction.hi}_total", ()), low)

    def lanes(self, reduction: Reduction, subscripts: tuple[Expr, ...]) -> Slot:
        """One of the interleaved partial results within a block."""
        return partial(reduction, Load(f"{reduction.hi}_lanes", subscripts))


def assign(targets: Sequence[Load], values: Sequence[Expr], names: Names) -> list[Stmt]:
    """Stores at one place, once all their values are known: an output may be the memory of an input."""
    lets: list[Stmt] = []
    assigns: list[Stmt] = []
    for target, value in zip(targets, values, strict=True):
        if assigns and any(loads(value)):
            name = names.fresh(f"{target.array}_value")
            lets.append(Let(name, value))
            value = Var(name)
        assigns.append(Assign(target, value))
    return [*lets, *assigns]


def blocks_of(count: Expr, length: Expr | int = BLOCK) -> Expr:
    """In how many blocks so many terms are gone through: those of a sum, if nothing else is said."""
    if isinstance(length, int):
        return Op("idiv", (add(count, Int(length - 1)), Int(length)))
    return Op("idiv", (sub(add(count, length), Int(1)), length))


def block_bounds(block: str, start: str, count: str, total: Expr, length: int = BLOCK) -> list[Stmt]:
    """Where a block of so many terms in all starts, and how many it has."""
    return [
        Let(start, mul(Var(block), Int(length)), "index"),
        Let(count, Op("imin", (Int(length), sub(total, Var(start)))), "index"),
    ]


def over(levels: tuple[Level, ...], flat: str, body: list[Stmt]) -> list[Stmt]:
    """One loop over all positions of several levels, shared out to the threads; ``flat`` counts them."""
    if not levels:
        return body
    if len(levels) == 1:
        (level,) = levels
        return [For(level.name, Int(0), Var(level.extent), tuple(body), kind="parallel")]
    return [For(flat, Int(0), size(levels), (*unflatten(Var(flat), levels), *body), kind="parallel")]


def needed(flags: Iterable[Expr], body: list[Stmt]) -> list[Stmt]:
    """What is done only where one of some values is not 0; where there are none, always."""
    conditions = [Op("gt", (flag, Const(Fraction(0)))) for flag in flags]
    return [If(chain("or", conditions), tuple(body))] if conditions else body


def labels(entries: Iterable[Reduction | Store]) -> str:
    """The numbers of the equations that some statements come from."""
    return ", ".join(f"({number})" for number in sorted({entry.equation for entry in entries}))
