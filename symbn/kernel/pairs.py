"""Program -> program: arithmetic whose values are pairs of numbers, high + low, that together have twice the digits.

For data in the accumulator's own dtype, of which plain arithmetic loses some ulps. High is what the plain operation
gives; low is what it rounds away, found exactly (sum_error, product_error) or to its leading digits (quotient_error,
root_error), and what the operands' low parts add to it. What is less than low's own rounding is dropped. A store rounds
high + low once.

What has no low part (data, counts, a maximum of such) is known as the pass goes along, and costs nothing. Where the
high parts of terms cancel, the low part of their sum may be as large as its high one. For another sum or a product that
is good enough: what they drop is small beside the terms. Whatever else reads it has it made tight first, as has a
product that reads a running total, of which the terms are many.

Each local value, local array and workspace that needs one gets a companion, its name in _low. High follows IEEE 754 as
if it were alone; where it is not finite, low may be no number, and has nothing to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from fractions import Fraction

from symbn.kernel.ir import (
    Assign,
    Const,
    Expr,
    For,
    If,
    Let,
    Load,
    Local,
    Op,
    Program,
    Row,
    Stmt,
    Var,
    Walk,
    Window,
    walk,
)
from symbn.kernel.naming import Names
from symbn.kernel.sharing import prune
from symbn.kernel.slopes import SLOPES

_ZERO = Const(Fraction(0))
#: an operation -> what its results are called; those of others are values
_STEMS = {"add": "sum", "sub": "difference", "mul": "product", "div": "quotient", "sqrt": "root", "select": "choice"}


class Fit(IntEnum):
    """How large low may be."""

    #: less than high's last place
    TIGHT = 0
    #: than the last places of a few terms, of which high is the sum
    SUM = 1
    #: than those of any number of terms
    TOTAL = 2


@dataclass(frozen=True)
class Pair:
    """A value: two names, elements or numbers, perhaps with a sign. Without ``low`` it is one number."""

    high: Expr
    low: Expr | None = None
    fit: Fit = Fit.TIGHT

    @property
    def rest(self) -> Expr:
        """The low part, zero where there is none."""
        return _ZERO if self.low is None else self.low


@dataclass
class _Arrays:
    """What is known of the kernel's own arrays, by name."""

    arguments: frozenset[str]
    #: a name -> its companion's
    lows: dict[str, str]
    names: Names
    #: those that have a companion, and those of them that hold sums
    wide: set[str] = field(default_factory=set)
    totals: set[str] = field(default_factory=set)


def in_pairs(program: Program) -> Program:
    """The program in arithmetic of pairs."""
    taken = sorted(_names(program))
    names = Names(taken)
    lows = {name: names.fresh(f"{name}_low") for name in taken}
    arrays = _Arrays(frozenset(one.name for one in program.arrays if one.role != "workspace"), lows, names)
    known = -1
    # That an array needs a companion may be found after it has been read: go over it all until nothing new is found.
    while known < len(arrays.wide) + len(arrays.totals):
        known = len(arrays.wide) + len(arrays.totals)
        nests = tuple(replace(nest, body=prune(_Block(arrays).rewrite(nest.body))) for nest in program.nests)
    own = {array.name: array for array in program.arrays if array.name in arrays.wide}
    return replace(
        program,
        nests=nests,
        arrays=(*program.arrays, *(replace(own[name], name=lows[name]) for name in own)),
        workspaces=(*program.workspaces, *((lows[name], size) for name, size in program.workspaces if name in own)),
    )


def _names(program: Program) -> set[str]:
    """Every name that the program uses."""
    result = {*(array.name for array in program.arrays), *program.scalars, *program.level_extents()}
    for nest in program.nests:
        for node in walk(nest.body):
            match node:
                case Var(name) | Let(name) | Local(name) | Row(name) | For(name):
                    result.add(name)
                case Window(name, slab=slab):
                    result |= {name, slab} - {""}
                case Walk(levels, counter):
                    result |= {counter, *(level.name for level in levels)}
    return result


class _Block:
    """Rewrites the statements of one scope."""

    def __init__(self, arrays: _Arrays, outer: _Block | None = None) -> None:
        self.arrays = arrays
        self.names: Names = outer.names.branch() if outer else arrays.names.branch()
        #: local values in scope
        self.values: dict[str, Pair] = dict(outer.values) if outer else {}
        #: pairs of them -> the same, tight
        self.tightened: dict[Pair, Pair] = dict(outer.tightened) if outer else {}
        #: a view -> its array
        self.views: dict[str, str] = dict(outer.views) if outer else {}
        self.result: list[Stmt] = []

    def rewrite(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        for statement in body:
            self.statement(statement)
        return tuple(self.result)

    # ---- statements ------------------------------------------------------------------------------

    def statement(self, statement: Stmt) -> None:
        lows = self.arrays.lows
        match statement:
            case Let(name, value, "value"):
                self.values[name] = self.value(value, name)
            case Assign(target, value):
                self.assign(target, value)
            case For() | Walk() | Window():
                self.within(statement)
            case If(condition, body):
                self.result.append(If(self.condition(condition), _Block(self.arrays, self).rewrite(body)))
            case Local(name, _, initial):
                self.result.append(statement)
                if name in self.arrays.wide:
                    self.result.append(replace(statement, name=lows[name], initial=initial and _ZERO))
            case Row(name, array):
                self.result.append(statement)
                self.views[name] = array
                if array in self.arrays.wide:
                    self.result.append(replace(statement, name=lows[name], array=lows[array]))
            case _:
                self.result.append(statement)

    def within(self, statement: For | Walk | Window) -> None:
        """A statement with a body of its own; a window of an array with a companion is one of that too."""
        if isinstance(statement, Window):
            self.views[statement.name] = statement.array
        body = _Block(self.arrays, self).rewrite(statement.body)
        if isinstance(statement, Window) and statement.array in self.arrays.wide:
            lows = self.arrays.lows
            low = replace(statement, name=lows[statement.name], array=lows[statement.array], body=body)
            body = (replace(low, slab=lows[statement.slab]) if statement.slab else low,)
        self.result.append(replace(statement, body=body))

    def assign(self, target: Load, value: Expr) -> None:
        array = self.views.get(target.array, target.array)
        if array in self.arrays.arguments:
            self.result.append(Assign(target, self.one(self.value(value))))
            return
        pair = self.value(value)
        if pair.low is not None:
            self.arrays.wide.add(array)
        if pair.fit:
            self.arrays.totals.add(array)
        self.result.append(Assign(target, pair.high))
        if array in self.arrays.wide:
            self.result.append(Assign(self.companion(target), pair.rest))

    def companion(self, element: Load) -> Load:
        return Load(self.arrays.lows[element.array], element.subscripts)

    # ---- values ----------------------------------------------------------------------------------

    def value(self, expr: Expr, name: str = "") -> Pair:
        """The pair of an expression, called ``name`` if it is given one."""
        match expr:
            case Const(value):
                pair = _constant(value)
            case Var(known):
                pair = self.values.get(known, Pair(expr))
            case Load():
                pair = self.element(expr)
            case Op("real" | "inf" | "nan"):
                pair = Pair(expr)
            case Op("neg", (arg,)):
                pair = _negative(self.value(arg))
            case Op("lt" | "le" | "gt" | "ge" | "eq" | "ne" | "and" | "or" | "not"):
                pair = Pair(self.condition(expr))
            case Op("leading", (arg,)):
                pair = Pair(self.tight(self.value(arg, name)).high)
                if pair.high == Var(name):
                    return pair
            case Op(operation, args):
                return self.operation(operation, args, name)
            case _:
                raise TypeError(f"{expr} is no value")
        return self.keep(name, pair.high, pair.low, pair.fit) if name else pair

    def element(self, load: Load) -> Pair:
        array = self.views.get(load.array, load.array)
        low = self.companion(load) if array in self.arrays.wide else None
        return Pair(load, low, Fit.TOTAL if array in self.arrays.totals else Fit.TIGHT)

    def let(self, name: str, value: Expr) -> Var:
        self.result.append(Let(name, value))
        return Var(name)

    def keep(self, name: str, high: Expr, low: Expr | None, fit: Fit = Fit.TIGHT) -> Pair:
        """A pair as local values."""
        return self.with_low(self.let(name, high), low, fit)

    def with_low(self, high: Var, low: Expr | None, fit: Fit = Fit.TIGHT) -> Pair:
        """A local value and what its low part is."""
        if low is None:
            return Pair(high)
        name = self.arrays.lows.get(high.name) or self.names.fresh(f"{high.name}_low")
        return Pair(high, self.let(name, low), fit)

    def tight(self, pair: Pair) -> Pair:
        """The same value, its low part less than the high one's last place."""
        if pair.fit is Fit.TIGHT or pair.low is None:
            return pair
        if pair in self.tightened:
            return self.tightened[pair]
        high = self.let(self.names.fresh("tight"), Op("rounded", (pair.high, pair.low)))
        result = self.with_low(high, Op("sum_error", (pair.high, pair.low, high)))
        if isinstance(pair.high, Var):
            # An element changes, a local value does not.
            self.tightened[pair] = result
        return result

    def one(self, pair: Pair) -> Expr:
        """A pair as one number, rounded once."""
        return pair.high if pair.low is None else Op("rounded", (pair.high, pair.low))

    # ---- operations ------------------------------------------------------------------------------

    def operation(self, operation: str, args: tuple[Expr, ...], name: str) -> Pair:
        name = name or self.names.fresh(_STEMS.get(operation, f"{operation}_value"))
        if operation == "select":
            condition, *values = args
            return self.choice(name, self.condition(condition), *map(self.value, values))
        pairs = [self.value(arg) for arg in args]
        if operation in ("add", "sub"):
            first, second = pairs
            return self.sum(name, first, second, operation)
        if operation == "mul":
            return self.product(name, *(self.tight(pair) if pair.fit is Fit.TOTAL else pair for pair in pairs))
        pairs = [self.tight(pair) for pair in pairs]
        match operation, pairs:
            case "div", (a, b):
                high = self.let(name, Op("div", (a.high, b.high)))
                return self.with_low(high, Op("quotient_error", (a.high, a.rest, b.high, b.rest, high)))
            case "sqrt", (a,):
                high = self.let(name, Op("sqrt", (a.high,)))
                return self.with_low(high, Op("root_error", (a.high, a.rest, high)))
            case "fabs", (a,):
                low = None if a.low is None else _select(Op("lt", (a.high, _ZERO)), _negative(Pair(a.low)).high, a.low)
                return self.keep(name, Op("fabs", (a.high,)), low)
            case "max" | "min", (a, b):
                low = None
                if not (a.low is None and b.low is None):
                    low = _select(compare("gt" if operation == "max" else "lt", a, b), a.rest, b.rest)
                return self.keep(name, Op(operation, (a.high, b.high)), low)
            case "floor" | "ceil", (a,):
                high = self.let(name, Op(operation, (a.high,)))
                # Where high is a whole number low decides.
                whole = Op("eq", (high, a.high))
                low = None if a.low is None else _select(whole, Op(operation, (a.rest,)), _ZERO)
                return self.with_low(high, low, Fit.SUM)
            case "sign", (a,):
                return self.keep(name, Op("sign", (a.high,)), None)
        return self.function(name, operation, pairs)

    def sum(self, name: str, a: Pair, b: Pair, operation: str) -> Pair:
        high = self.let(name, Op(operation, (a.high, b.high)))
        low: Expr = Op("sum_error" if operation == "add" else "difference_error", (a.high, b.high, high))
        if a.low is None and b.low is None:
            return self.with_low(high, low)
        if a.low is None:
            low = Op(operation, (low, b.rest))
        else:
            low = Op("add", (low, a.low if b.low is None else Op(operation, (a.low, b.low))))
        return self.with_low(high, low, max(a.fit, b.fit, Fit.SUM))

    def product(self, name: str, a: Pair, b: Pair) -> Pair:
        high = self.let(name, Op("mul", (a.high, b.high)))
        low: Expr = Op("product_error", (a.high, b.high, high))
        for one, other in ((a.high, b.low), (b.high, a.low)):
            if other is not None:
                low = Op("add", (low, Op("mul", (one, other))))
        return self.with_low(high, low)

    def choice(self, name: str, condition: Expr, yes: Pair, no: Pair) -> Pair:
        low = None if yes.low is None and no.low is None else _select(condition, yes.rest, no.rest)
        return self.keep(name, _select(condition, yes.high, no.high), low, max(yes.fit, no.fit))

    def function(self, name: str, function: str, args: list[Pair]) -> Pair:
        """A function of <math.h>, its own error unknown: low is what the arguments' low parts are worth."""
        high = self.let(name, Op(function, tuple(arg.high for arg in args)))
        low: Expr | None = None
        for arg, slope in zip(args, SLOPES[function](*(arg.high for arg in args), high), strict=True):
            if arg.low is not None:
                part = Op("mul", (slope, arg.low))
                low = part if low is None else Op("add", (low, part))
        if low is None:
            return Pair(high)
        finite = Op("isfinite", (args[0].high,))
        for arg in args[1:]:
            finite = Op("and", (finite, Op("isfinite", (arg.high,))))
        return self.with_low(high, _select(finite, low, _ZERO))

    def condition(self, expr: Expr) -> Expr:
        match expr:
            case Op("and" | "or" | "not" as name, args):
                return Op(name, tuple(self.condition(arg) for arg in args))
            case Op("isfinite", (arg,)):
                return Op("isfinite", (self.value(arg).high,))
            case Op("ile" | "igt"):
                return expr
            case Op(name, (left, right)):
                return compare(name, self.tight(self.value(left)), self.tight(self.value(right)))
        # One that is known before the loop.
        return self.value(expr).high


def _constant(value: Fraction) -> Pair:
    """A number and what its rounding to a double leaves."""
    try:
        high = Fraction(float(value))
    except OverflowError:
        return Pair(Const(value))
    return Pair(Const(high), None if value == high else Const(value - high))


def _negative(pair: Pair) -> Pair:
    return Pair(_minus(pair.high), None if pair.low is None else _minus(pair.low), pair.fit)


def _minus(expr: Expr) -> Expr:
    match expr:
        case Const(value):
            return Const(-value)
        case Op("neg", (arg,)):
            return arg
    return Op("neg", (expr,))


def _select(condition: Expr, yes: Expr, no: Expr) -> Expr:
    return Op("select", (condition, yes, no))


def compare(name: str, a: Pair, b: Pair) -> Expr:
    """A comparison of tight pairs: where the high parts are equal the low ones decide, if they are numbers."""
    high = Op(name, (a.high, b.high))
    if a.low is None and b.low is None:
        return high
    less, greater = Op("lt", (a.rest, b.rest)), Op("gt", (a.rest, b.rest))
    equal = Op("eq", (a.high, b.high))
    match name:
        case "lt" | "gt":
            return Op("or", (high, Op("and", (equal, less if name == "lt" else greater))))
        case "le" | "ge":
            return Op("and", (high, Op("not", (Op("and", (equal, greater if name == "le" else less)),))))
        case "eq":
            return Op("and", (high, Op("not", (Op("or", (less, greater)),))))
        case "ne":
            return Op("or", (high, Op("or", (less, greater))))
    raise TypeError(f"{name} is no comparison")
