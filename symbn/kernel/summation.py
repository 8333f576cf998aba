"""The tree in which a reduction is formed: a sum, a mean, a product, a maximum or a minimum.

It depends on the order of the terms alone, so that the bits of the result depend on neither memory layout nor
number of threads: blocks of BLOCK terms; within a block LANES interleaved partial results, then the lanes
pairwise; then the blocks in order, a sum's with compensation.

Error: with u the accumulator's unit roundoff, a sum of m terms t differs from the exact one by at most
(BLOCK/LANES + 5) u sum|t| to first order, for any m; in arithmetic of pairs by terms in u^2. A product
of m factors is rounded m - 1 times, a maximum or minimum never. The check counts on it (symbn.run.tracked).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from symbn.kernel.computations import Reduction
from symbn.kernel.ir import Assign, Comment, Const, Expr, For, Int, Let, Load, Op, Stmt, Var, add, sub

#: terms in one block
BLOCK = 512
#: interleaved partial results within a block
LANES = 16
#: how many lanes are left in turn when the upper half is combined with the lower
HALVES = tuple(LANES >> step for step in range(1, LANES.bit_length()))
#: terms whose mean others are taken about (symbn.kernel.shifting); a part of a block
START = 64

ZERO = Const(Fraction(0))
#: what a reduction does with its terms -> the operation that combines two, and the result for none
_STEPS: dict[str, tuple[str, Expr]] = {
    "sum": ("add", ZERO),
    "mean": ("add", ZERO),
    "prod": ("mul", Const(Fraction(1))),
    "max": ("max", Op("neg", (Op("inf", ()),))),
    "min": ("min", Op("inf", ())),
}


@dataclass(frozen=True)
class Slot:
    """Where a partial result is kept, and the sum of its rounding errors if that is kept too.

    ``step`` is the operation that combines two of them, ``start`` the result for no terms.
    """

    step: str
    start: Expr
    high: Load
    low: Load | None

    def parts(self) -> list[tuple[Load, Expr]]:
        """What is kept, each with what it is for no terms."""
        return [(self.high, self.start)] if self.low is None else [(self.high, self.start), (self.low, ZERO)]


def partial(reduction: Reduction, high: Load, low: Load | None = None) -> Slot:
    """The slot of a partial result; ``low`` is kept where the rounding errors are a sum."""
    step, start = _STEPS[reduction.op]
    return Slot(step, start, high, low if step == "add" else None)


#: place in an array of partial results -> the slot of that one
Slots = Callable[[Expr], Slot]


def accumulate(slot: Slot, value: Expr, stem: str) -> list[Stmt]:
    """Combine a slot with a value; what an addition rounds away goes to the low part (Knuth's TwoSum)."""
    if slot.low is None:
        return [Assign(slot.high, Op(slot.step, (slot.high, value)))]
    term, total, back = Var(f"{stem}_term"), Var(f"{stem}_next"), Var(f"{stem}_back")
    error = Op("add", (sub(slot.high, sub(total, back)), sub(term, back)))
    return [
        Let(term.name, value),
        Let(total.name, Op("add", (slot.high, term))),
        Let(back.name, sub(total, slot.high)),
        Assign(slot.low, Op("add", (slot.low, error))),
        Assign(slot.high, total),
    ]


def merge(into: Slot, other: Slot, stem: str) -> list[Stmt]:
    """Combine a slot with another that has no low part."""
    return accumulate(into, other.high, stem)


def fold(
    slots: list[tuple[str, Slots]], lane: str, along: Callable[[list[Stmt]], list[Stmt]] = lambda body: body
) -> list[Stmt]:
    """Combine the lanes pairwise: the upper half onto the lower, then a quarter, down to lane 0.

    ``along`` wraps a body in the loops over the elements of a lane, where it has several.
    """
    result: list[Stmt] = []
    for half in HALVES:
        near = Var(lane) if half > 1 else Int(0)
        body = [statement for stem, slot in slots for statement in merge(slot(near), slot(add(near, Int(half))), stem)]
        result += [For(lane, Int(0), Int(half), tuple(along(body)))] if half > 1 else along(body)
    return result


def finish(reduction: Reduction, total: Slot, count: Expr) -> list[Stmt]:
    """A reduction's value from its total; a mean is divided in two parts, hi + lo."""
    high, low = total.high, total.low
    result: list[Stmt] = [Comment(f"({reduction.equation})")]
    if low is None and not reduction.mean:
        return [*result, Let(reduction.hi, high)]
    if low is not None and not reduction.mean:
        # Where a total is not finite its low part is not a number, and has nothing to say.
        rest = Op("select", (Op("isfinite", (high,)), low, ZERO))
        return [*result, Let(reduction.hi, Op("add", (high, rest)))]
    leading, samples = Var(reduction.hi), Op("real", (count,))
    quotient: Expr = Op("div", (high, samples))
    if low is None:
        # In arithmetic of pairs the total has its low part within.
        quotient, remainder = Op("leading", (quotient,)), sub(high, Op("mul", (leading, samples)))
    else:
        remainder = Op("add", (Op("fma", (Op("neg", (leading,)), samples, high)), low))
    rest = Op("select", (Op("isfinite", (leading,)), Op("div", (remainder, samples)), ZERO))
    return [*result, Let(reduction.hi, quotient), Let(reduction.lo, rest)]
