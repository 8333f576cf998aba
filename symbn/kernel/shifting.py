"""A mean and the sum of squares about it in one visit of the data.

The squares are taken about a shift s that lies near the mean mu, the mean of the first few samples:

    sum (x - mu)^2 = sum (x - s)^2 - m (mu - s)^2.

The second term is subtracted from the first, which costs digits where s is far from the mean: by more than half
of the standard deviation, about. There, and only there, the squares are summed about the mean itself, in
another visit (T. Chan, G. Golub, R. LeVeque, Algorithms for computing the sample variance, 1983). The mean is of the
samples themselves: their sum rounds less than one about a shift that an outlier among the first has drawn away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from symbn.kernel.computations import Reduction
from symbn.kernel.expressions import chain
from symbn.kernel.groups import Group, Pass, Value
from symbn.kernel.ir import Const, Expr, Op, Var, sub
from symbn.kernel.naming import Names

#: the squares are summed again where the second term is more than this part of the first
LIMIT = Fraction(1, 4)

_ZERO = Const(Fraction(0))


def shifted(group: Group, extents: Mapping[str, str], names: Names) -> Group:
    """The group with each mean and the squares about it in one pass, where nothing else needs the second one.

    ``extents`` has the extent of each index.
    """
    for number, (first, second) in enumerate(zip(group.passes, group.passes[1:], strict=False), 1):
        pairs = [(mean, square) for square in second.reductions for mean in first.reductions if _about(mean, square)]
        if pairs and len(pairs) == len(second.reductions) and not (second.stores or second.needed):
            return shifted(_merged(group, number, [_Shifted(*pair, extents, names) for pair in pairs]), extents, names)
    return group


def _about(mean: Reduction, square: Reduction) -> bool:
    """Is the second the sum or mean of squares about the first?"""
    deviation = sub(sub(mean.body, Var(mean.hi)), Var(mean.lo))
    return mean.mean and square.op in ("mean", "sum") and square.body == Op("mul", (deviation, deviation))


def _merged(group: Group, number: int, found: list[_Shifted]) -> Group:
    first = group.passes[number - 1]
    known = [value for one in found for value in one.values(number)]

    def later(stage: int) -> int:
        return stage if stage < number else stage + 1

    passes = (
        *group.passes[: number - 1],
        Pass(tuple(one.start for one in found), (), first=True),
        Pass((*first.reductions, *(one.squares for one in found)), first.stores, first.crossing),
        Pass(tuple(one.again for one in found), (), needed=tuple(one.far for one in found)),
        *(
            replace(one, stores=tuple(replace(store, stage=later(store.stage)) for store in one.stores))
            for one in group.passes[number + 1 :]
        ),
    )
    values = [replace(value, stage=later(value.stage)) for value in group.values]
    stores = tuple(replace(store, stage=later(store.stage)) for store in group.stores)
    # What a value reads stands before it.
    ordered = sorted([*known, *values], key=lambda value: value.stage)
    return replace(group, passes=passes, values=tuple(ordered), stores=stores)


class _Shifted:
    """The reductions and values by which the squares about a mean are found while it is."""

    def __init__(self, mean: Reduction, square: Reduction, extents: Mapping[str, str], names: Names) -> None:
        def stem(of: Reduction, what: str) -> str:
            return names.stem(f"eq{of.equation}_{what}")

        self.mean, self.square = mean, square
        self.shift, self.offset = stem(mean, "shift"), stem(square, "offset")
        self.excess, self.far, self.total = stem(square, "excess"), stem(square, "far"), stem(square, "total")
        deviation = sub(mean.body, Var(self.shift))
        self.start = replace(mean, hi=stem(mean, "start"), lo=stem(mean, "start_lo"))
        squared = Op("mul", (deviation, deviation))
        self.squares = replace(
            square, hi=stem(square, "squares"), lo=stem(square, "squares_lo"), op="sum", body=squared
        )
        self.again = replace(square, hi=stem(square, "again"), lo=stem(square, "again_lo"), op="sum")
        self.count = chain("mul", [Op("extent", (Var(extents[index]),)) for index in mean.over])

    def values(self, number: int) -> Iterator[Value]:
        """What is found after the first block, after the whole pass, and after the squares are summed again."""
        mean, square = self.mean, self.square

        def value(name: str, expr: Expr, after: int, of: Reduction) -> Value:
            return Value(name, expr, number + after, of.equation)

        start, offset, total = Var(self.start.hi), Var(self.offset), Var(self.total)
        yield value(self.shift, _finite(start, start), 0, mean)
        about = sub(Var(mean.hi), Var(self.shift))
        yield value(self.offset, Op("add", (about, Var(mean.lo))), 1, square)
        yield value(self.excess, Op("mul", (Op("mul", (offset, offset)), self.count)), 1, square)
        limit = Op("mul", (Const(LIMIT), Var(self.squares.hi)))
        far = Op("gt", (Var(self.excess), limit))
        yield value(self.far, Op("select", (far, Const(Fraction(1)), _ZERO)), 1, square)
        about_shift = sub(Var(self.squares.hi), Var(self.excess))
        again = Op("gt", (Var(self.far), _ZERO))
        yield value(self.total, Op("select", (again, Var(self.again.hi), about_shift)), 2, square)
        if not square.mean:
            yield value(square.hi, total, 2, square)
            return
        leading = Var(square.hi)
        yield value(square.hi, Op("div", (total, self.count)), 2, square)
        rest = Op("div", (Op("fma", (Op("neg", (leading,)), self.count, total)), self.count))
        yield value(square.lo, _finite(leading, rest), 2, square)


def _finite(of: Expr, value: Expr) -> Expr:
    return Op("select", (Op("isfinite", (of,)), value, _ZERO))
