"""Equations -> computations: each reduction on its own, each output as one expression over what is reduced.

A computation still speaks of the equations' indices; which loops visit them is the schedule's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import sympy
from sympy import Add, Idx, Indexed, Mul, Pow, Sum, Symbol
from sympy import Expr as Symbolic
from sympy.concrete.expr_with_limits import ExprWithLimits

from symbn.equations import constants, functions
from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.equations.order import in_order
from symbn.equations.reductions import REDUCTIONS, is_reduction
from symbn.kernel.expressions import chain, indices_of, loads, product, separate, substitute
from symbn.kernel.ir import Const, Expr, Load, Op, Var
from symbn.kernel.naming import Names

#: what a reduction does with its terms
Combination: TypeAlias = Literal["sum", "mean", "prod", "max", "min"]


@dataclass(frozen=True)
class Reduction:
    """``value[kept]`` = the sum, mean, product, maximum or minimum of body over the indices ``over``.

    A mean is held in two parts, ``hi`` + ``lo``, so that what is centred by it keeps every digit; anything else
    is held in ``hi`` alone.
    """

    hi: str
    lo: str
    kept: tuple[str, ...]
    over: tuple[str, ...]
    body: Expr
    op: Combination
    equation: int

    @property
    def mean(self) -> bool:
        return self.op == "mean"


@dataclass(frozen=True)
class Map:
    """``name[indices] = value``, an output."""

    name: str
    indices: tuple[str, ...]
    value: Expr
    equation: int


@dataclass(frozen=True)
class Computations:
    """What the kernel computes, in an order in which each reads only earlier ones."""

    reductions: tuple[Reduction, ...]
    maps: tuple[Map, ...]
    #: index -> extent, in the operator's order
    indices: tuple[tuple[str, str], ...]


def kept_array(name: str) -> str:
    """The workspace that keeps a value for all elements of the kept indices."""
    return f"all_{name}"


def extract(operator: Operator, names: Names) -> Computations:
    """Take an operator's equations apart into computations."""
    return _Extractor(operator, names).run()


class _Extractor:
    def __init__(self, operator: Operator, names: Names) -> None:
        self.operator = operator
        self.names = names
        self.extents = frozenset(operator.indices.values())
        self.reductions: list[Reduction] = []
        #: defined name -> (its indices, its value); what reads it gets the value in its place
        self.values: dict[str, tuple[tuple[str, ...], Expr]] = {}
        #: those that are products without a reduction: (their indices, the product) as the equations have it
        self.products: dict[str, tuple[tuple[str, ...], Mul]] = {}
        self.number = 0
        self.target = ""

    def run(self) -> Computations:
        maps = []
        for number, (name, kept, right) in enumerate(self.operator.definitions, 1):
            self.number = number
            self.target = identifier(name)
            value = self.convert(right)
            self.values[name] = (kept, value)
            if right.is_Mul and not right.has(ExprWithLimits):
                self.products[name] = (kept, right)
            if name in self.operator.outputs:
                maps.append(Map(identifier(name), kept, self.values[name][1], self.number))
        order = {identifier(name): place for place, name in enumerate(self.operator.outputs)}
        maps.sort(key=lambda entry: order[entry.name])
        return Computations(
            tuple(share_parts(self.needed(maps))),
            tuple(maps),
            tuple((i, e) for i, e in self.operator.indices.items()),
        )

    def needed(self, maps: list[Map]) -> list[Reduction]:
        """The reductions that some output depends on."""
        wanted: set[str] = set()
        reads = [entry.value for entry in maps]
        while reads:
            expr = reads.pop()
            if isinstance(expr, Op):
                reads.extend(expr.args)
            elif isinstance(expr, Load):
                for reduction in self.reductions:
                    if expr.array in (reduction.hi, reduction.lo) and reduction.hi not in wanted:
                        wanted.add(reduction.hi)
                        reads.append(reduction.body)
        return [reduction for reduction in self.reductions if reduction.hi in wanted]

    # ---- expressions -----------------------------------------------------------------------------

    def convert(self, expr: Any) -> Expr:
        if expr.is_Number or expr.is_NumberSymbol:
            return Const(constants.fraction(expr))
        if isinstance(expr, Indexed):
            return self.indexed(expr)
        if isinstance(expr, Symbol):
            return self.symbol(expr)
        if is_reduction(expr):
            return self.reduce(expr, REDUCTIONS[type(expr)])
        if isinstance(expr, Add):
            return self.add(expr)
        if isinstance(expr, Mul):
            return self.mul(expr)
        if isinstance(expr, Pow):
            return self.pow(expr.base, expr.exp)
        if isinstance(expr, sympy.Piecewise):
            return self.piecewise(expr)
        if isinstance(expr, sympy.And | sympy.Or):
            name = "and" if isinstance(expr, sympy.And) else "or"
            return chain(name, [self.convert(arg) for arg in _ordered(expr.args)])
        if isinstance(expr, sympy.Not):
            return Op("not", (self.convert(expr.args[0]),))
        if type(expr) in functions.RELATIONS:
            return Op(functions.RELATIONS[type(expr)], (self.convert(expr.lhs), self.convert(expr.rhs)))
        name = functions.ELEMENTWISE[type(expr)]
        args = [self.convert(arg) for arg in expr.args]
        if name in ("max", "min"):
            return chain(name, [self.convert(arg) for arg in _ordered(expr.args)])
        if name == "log" and len(args) == 2:
            return Op("div", (Op("log", (args[0],)), Op("log", (args[1],))))
        return Op(name, tuple(args))

    def indexed(self, expr: Indexed) -> Expr:
        name = str(expr.base.label)
        here = tuple(str(index.name) for index in expr.indices)
        if name in self.values:
            written, value = self.values[name]
            return substitute(value, dict(zip(written, here, strict=True)))
        return Load(identifier(name), tuple(Var(index) for index in here))

    def symbol(self, expr: Symbol) -> Expr:
        name = str(expr.name)
        if name in self.values:
            return self.values[name][1]
        if name in self.extents:
            return Op("extent", (Var(name),))
        return Var(identifier(name))

    def add(self, expr: Add) -> Expr:
        """A sum from left to right: what is added, what is subtracted, and last the low parts of means."""
        plus: list[tuple[str, Expr]] = []
        minus: list[tuple[str, Expr]] = []
        low: list[tuple[str, Expr]] = []
        for term in _ordered(expr.args):
            negative = term.could_extract_minus_sign()
            value = self.convert(-term if negative else term)
            name = "sub" if negative else "add"
            leading, lost = self.parts(value)
            (minus if negative else plus).append((name, leading))
            if lost is not None:
                low.append((name, lost))
        # Data first: a mean is to be taken from the sample before anything else is.
        plus.sort(key=lambda entry: -len(indices_of(entry[1])))
        first, *rest = plus + minus + low
        result = first[1] if first[0] == "add" else Op("neg", (first[1],))
        for name, value in rest:
            result = Op(name, (result, value))
        return result

    def parts(self, value: Expr) -> tuple[Expr, Expr | None]:
        """A value as one number, or as two where it is a mean."""
        match value:
            case Op("add", (Load(high) as leading, Load(low) as rest)):
                if any((one.hi, one.lo) == (high, low) for one in self.reductions):
                    return leading, rest
        return value, None

    def mul(self, expr: Mul) -> Expr:
        """A product; factors that vary with fewer indices are multiplied first, so that they can be hoisted."""
        numerators: list[Expr] = []
        denominators: list[Expr] = []
        left = self.factors(expr)
        sums = [factor for factor in left if isinstance(factor, Sum)]
        for total in sums:
            counts = [limit[2] - limit[1] + 1 for limit in total.limits]
            if all(left.count(1 / count) >= counts.count(count) for count in counts):
                for factor in [total, *(1 / count for count in counts)]:
                    left.remove(factor)
                numerators.append(self.reduce(total, "mean"))
            elif len(counts) > 1 and 1 / Mul(*counts) in left:
                left.remove(total)
                left.remove(1 / Mul(*counts))
                numerators.append(self.reduce(total, "mean"))
        negative = False
        for factor in _ordered(left):
            if factor == -1:
                negative = not negative
            elif isinstance(factor, sympy.Rational) and not factor.is_Integer:
                if factor.p != 1:
                    numerators.append(Const(Fraction(int(factor.p))))
                denominators.append(Const(Fraction(int(factor.q))))
            elif isinstance(factor, Pow) and factor.exp.could_extract_minus_sign():
                denominators.append(self.pow(factor.base, -factor.exp))
            else:
                numerators.append(self.convert(factor))
        result = product([*((one, False) for one in numerators), *((one, True) for one in denominators)])
        return Op("neg", (result,)) if negative else result

    def factors(self, expr: Any) -> list[Any]:
        """The factors of a product, those that are names for products written out: who names a part changes no bit."""
        written = [self.written_out(factor) for factor in Mul.make_args(expr)]
        return [
            part
            for factor, whole in zip(Mul.make_args(expr), written, strict=True)
            for part in ([factor] if factor is whole else self.factors(whole))
        ]

    def written_out(self, factor: Any) -> Any:
        name = str(factor.base.label) if isinstance(factor, Indexed) else str(factor)
        if name not in self.products:
            return factor
        written, product = self.products[name]
        here = dict(zip(written, getattr(factor, "indices", ()), strict=True))
        return product.xreplace({index: here[str(index)] for index in product.atoms(Symbol, Idx) if str(index) in here})

    def pow(self, base: Symbolic, exponent: Symbolic) -> Expr:
        if exponent.could_extract_minus_sign():
            return Op("div", (Const(Fraction(1)), self.pow(base, -exponent)))
        value = self.convert(base)
        if exponent == sympy.Rational(1, 2):
            return Op("sqrt", (value,))
        if exponent.is_Integer and int(exponent) <= 16:
            return _power(value, int(exponent))
        if exponent.is_Rational and exponent.q == 2 and exponent.p <= 32:
            return Op("mul", (_power(value, int(exponent.p) // 2), Op("sqrt", (value,))))
        return Op("pow", (value, self.convert(exponent)))

    def piecewise(self, expr: sympy.Piecewise) -> Expr:
        result: Expr = Op("nan", ())
        for value, condition in reversed(expr.args):
            if condition in (True, sympy.true):
                result = self.convert(value)
            else:
                result = Op("select", (self.convert(condition), self.convert(value), result))
        return result

    # ---- reductions ------------------------------------------------------------------------------

    def reduce(self, expr: Any, op: Combination) -> Expr:
        """A reduction's value as one number, at the indices where it stands."""
        bound = [str(limit[0].name) for limit in reversed(expr.limits)]
        return self.reduced(self.convert(expr.function), bound, op)

    def reduced(self, body: Expr, bound: list[str], op: Combination) -> Expr:
        """A body reduced over some indices."""
        outside, inside, over = separate(body, bound) if op == "sum" else ([], [], [])
        if over:
            # What varies with few of the indices is taken out of the sum over the others, which may be shared.
            within = [index for index in bound if index not in over]
            part = self.reduced(product(inside), within, op)
            extents = [Op("extent", (Var(self.operator.indices[index]),)) for index in within]
            filled = chain("and", [Op("gt", (extent, Const(Fraction(0)))) for extent in extents])
            body = Op("select", (filled, product([*outside, (part, False)]), Const(Fraction(0))))
            bound = [index for index in bound if index in over]
        names = self.common_names(indices_of(body) | set(bound))
        # In the operator's order once they are renamed: a group keeps what it computes in that order.
        order = list(self.operator.indices)
        kept = sorted((index for index in names if index not in bound), key=lambda index: order.index(names[index]))
        reduction = Reduction(
            "",
            "",
            tuple(names[index] for index in kept),
            tuple(names[index] for index in bound),
            substitute(body, names),
            op,
            self.number,
        )
        reduction = self.known(reduction)
        subs = tuple(Var(index) for index in kept)
        leading = Load(reduction.hi, subs)
        return Op("add", (leading, Load(reduction.lo, subs))) if reduction.mean else leading

    def known(self, new: Reduction) -> Reduction:
        """The reduction among those that there are; it is added where it is none of them."""
        for one in self.reductions:
            if (one.kept, one.over, one.body, one.op) == (new.kept, new.over, new.body, new.op):
                return one
        high = self.names.stem(f"{self.target}_{'hi' if new.mean else new.op}")
        self.reductions.append(replace(new, hi=high, lo=self.names.stem(f"{self.target}_lo")))
        return self.reductions[-1]

    def common_names(self, indices: Iterable[str]) -> dict[str, str]:
        """For each index the operator's first free one of the same extent, so that equal reductions look equal."""
        extents = self.operator.indices
        names: dict[str, str] = {}
        for index in (one for one in extents if one in set(indices)):
            alike = [one for one in extents if extents[one] == extents[index]]
            names[index] = next(one for one in alike if one not in names.values())
        return names


def share_parts(reductions: Iterable[Reduction]) -> list[Reduction]:
    """A reduction over some indices combines those over fewer, where another computes these; in order."""
    reductions = list(reductions)
    result = []
    for one in reductions:
        parts = [
            other
            for other in reductions
            if not one.mean and (other.op, other.body) == (one.op, one.body) and set(other.over) < set(one.over)
        ]
        if parts:
            part = max(parts, key=lambda other: len(other.over))
            load = Load(part.hi, tuple(Var(index) for index in part.kept))
            over = tuple(index for index in one.over if index not in part.over)
            one = replace(one, over=over, body=load)
        result.append(one)
    parts_of = {one.hi: one for one in result} | {one.lo: one for one in result}
    return in_order(
        result,
        lambda one: one.hi,
        lambda one: {parts_of[load.array].hi for load in loads(one.body) if load.array in parts_of},
    )


def _power(value: Expr, exponent: int) -> Expr:
    if exponent == 0:
        return Const(Fraction(1))
    if exponent == 1:
        return value
    half = _power(value, exponent // 2)
    square = Op("mul", (half, half))
    return Op("mul", (square, value)) if exponent % 2 else square


def _ordered(args: Any) -> list[Any]:
    return sorted(args, key=sympy.default_sort_key)
