"""The rules that simplify a gradient, in the order in which they are tried. They know sums, not operators.

A gradient is linear in its cotangents: each of its terms holds one, alone or inside sums. The rules never look
inside what holds none, so that a difference such as ``x - mu`` stays whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import sympy
from sympy import Add, Mul, Piecewise, Sum

from symbn.derivation.facts import Facts, maximal_sums
from symbn.derivation.program import Index, Program, bound_by, free, indices_of, is_leaf, leaves, name_of, reads, total
from symbn.equations import notation


@dataclass
class Context:
    """What the rules may use: the equations, which names are cotangents, and the gradients found so far."""

    program: Program
    marks: frozenset[str]
    facts: Facts
    #: sums that an output of the gradient holds already
    shared: Facts
    #: is it one of the gradients that the user asked for?
    output: bool = False
    #: name of a gradient -> (its target, its simplified value), to be put in its place
    found: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def marked(self, expr: Any) -> bool:
        return bool(reads(expr) & self.marks)

    def is_read(self, name: str) -> bool:
        """Does another equation read what this one defines?"""
        return any(name in reads(one.value) for one in self.program.assignments)


@dataclass(frozen=True)
class Rule:
    """A rewriting that keeps the value: returns the new expression and the reason in words, or None."""

    name: str
    apply: Callable[[Any, Context], tuple[Any, str] | None]


def _words(indices: tuple[Index, ...]) -> str:
    return " and ".join(f"${notation.symbol(str(index.name))[0]}$" for index in indices)


def _math(expr: Any) -> str:
    return f"${notation.tex(expr)}$"


# ---- substitution --------------------------------------------------------------------------------


def substitution(expr: Any, context: Context) -> tuple[Any, str] | None:
    """What was found for a gradient on the way stands in its place, but not inside a choice."""
    names: list[str] = []

    def put(part: Any) -> Any:
        if is_leaf(part):
            name = name_of(part)
            if name not in context.found:
                return part
            target, value = context.found[name]
            names.append(_math(target))
            places = dict(zip(indices_of(target), indices_of(part), strict=True))
            return context.program.rename(value, places)
        if isinstance(part, Piecewise) or not part.args or not context.marked(part):
            return part
        if isinstance(part, Sum):
            scope = bound_by(part)
            return total(context.program.distinct(put(part.function), scope), scope, context.program)
        return part.func(*map(put, part.args))

    new = put(expr)
    if not names:
        return None
    return new, f"What was found for {_list(names)} is put in."


def _list(words: list[str]) -> str:
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# ---- linearity -----------------------------------------------------------------------------------


def linearity(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A product with a sum of terms, and a sum of it, are sums of terms."""
    terms = _terms(expr, context)
    if len(terms) == len(Add.make_args(expr)):
        return None
    return Add(*terms), "A product with a sum of terms is multiplied out, and each term is summed by itself."


def _terms(expr: Any, context: Context) -> list[Any]:
    if not context.marked(expr):
        return [expr]
    if isinstance(expr, Add):
        return [term for arg in expr.args for term in _terms(arg, context)]
    if isinstance(expr, Mul):
        (holder,) = [arg for arg in expr.args if context.marked(arg)]
        rest = Mul(*(arg for arg in expr.args if arg is not holder))
        return [rest * term for term in _terms(holder, context)]
    if isinstance(expr, Sum):
        return [total(term, bound_by(expr), context.program) for term in _terms(expr.function, context)]
    return [expr]


# ---- constant factors ----------------------------------------------------------------------------


def constant_factor(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A factor that does not vary with an index moves out of the sum over it; sums over different indices part."""
    moved: dict[Index, None] = {}

    def pull(part: Any) -> Any:
        if isinstance(part, Sum):
            # An output's own sum keeps its divisions: of no terms it is 0, whatever they divide by.
            own = context.output and part in Mul.make_args(expr)
            return _pull(part.func(pull(part.function), *part.limits), context.program, moved, dividing=not own)
        if is_leaf(part) or not part.args or not part.has(Sum) or isinstance(part, Piecewise):
            return part
        return part.func(*map(pull, part.args))

    new = pull(expr)
    if new == expr:
        return None
    return new, f"Factors that do not vary with {_words(tuple(moved))} move out of the sum."


def _pull(one: Sum, program: Program, moved: dict[Index, None], *, dividing: bool = True) -> Any:
    """A Sum of a product as a product of sums, each over the indices that its factors vary with."""
    body, over = one.function, bound_by(one)
    if isinstance(body, Sum):
        body, over = body.function, (*over, *bound_by(body))
    groups: list[tuple[set[Index], list[Any]]] = []
    outside: list[Any] = []
    kept: list[Any] = []
    for factor in Mul.make_args(body):
        if isinstance(factor, Add):
            number, factor = program.primitive(factor)
            outside.append(number)
        indices = free(factor) & set(over)
        if not indices:
            (outside if dividing or not _divides(factor) else kept).append(factor)
            continue
        joined, factors = set(indices), [factor]
        for group in [group for group in groups if group[0] & indices]:
            groups.remove(group)
            joined |= group[0]
            factors = [*group[1], *factors]
        groups.append((joined, factors))
    idle = tuple(index for index in over if not any(index in indices for indices, _ in groups))
    outside = [factor for factor in outside if factor != 1]
    if (not outside and len(groups) + bool(idle) < 2) or (not groups and not outside):
        return total(body, over, program)
    moved.update(dict.fromkeys(over))
    if kept and groups:
        groups[0][1].extend(kept)
    else:
        outside += kept
    sums = [total(Mul(*factors), [index for index in over if index in indices], program) for indices, factors in groups]
    return Mul(*outside, *sums, total(sympy.Integer(1), idle, program))


# ---- sums that are known -------------------------------------------------------------------------


def constant_sum(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A sum of ones counts them."""
    counted = {one: Mul(*(context.program.extent(index) for index in bound_by(one))) for one in maximal_sums(expr)}
    counted = {one: count for one, count in counted.items() if one.function == 1}
    if not counted:
        return None
    words = [f"{_math(one)} = {_math(count)}".replace("$ = $", " = ") for one, count in counted.items()]
    return expr.xreplace(counted), f"A sum of ones counts them: {_list(words)}."


def vanishing_sum(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A sum without a cotangent that the definitions make zero, such as that of deviations from a mean."""
    for one in _unmarked_sums(expr, context):
        if context.facts.evaluate(one) == 0:
            return expr.xreplace({one: sympy.Integer(0)}), _why_zero(one, context)
    return None


def _why_zero(one: Sum, context: Context) -> str:
    """Why a sum vanishes, spelled out term by term."""
    over, terms = bound_by(one), Add.make_args(one.function)
    sums = [total(term, over, context.program) for term in terms]
    values = [context.facts.evaluate(term) for term in sums]
    means = [-term for term in terms if is_leaf(-term) and not free(term) & set(over)]
    what = f"This sum is zero, by the definition of {_list(_sources(one, context))}"
    if len(terms) == 2 and means:
        what = f"The deviations from {_math(means[0])} sum to zero, by its definition"
    what += ", so that the term with this factor is gone"
    if len(terms) < 2 or any(value is None for value in values):
        return f"{what}: {_math(one)} is 0."
    steps = [_signed([_pull(part, context.program, {}) for part in sums]), _signed(values)]
    return f"{what}: ${' = '.join([notation.tex(one), *steps, '0'])}$."


def _signed(terms: list[Any]) -> str:
    """Terms one after the other, what is added before what is subtracted; they may cancel."""
    result = ""
    for term in notation.reading_order(terms):
        negative = term.could_extract_minus_sign()
        text = notation.tex(-term if negative else term)
        result += f" {'-' if negative else '+'} {text}" if result else f"{'-' if negative else ''}{text}"
    return result


def _sources(one: Sum, context: Context) -> list[str]:
    names = [name for name in context.program.defined if name in reads(one)]
    return [_math(context.program.leaf(name)) for name in names] or ["its terms"]


def known_sum(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A sum without a cotangent that some definition knows: the sum of x is m times its mean."""
    for one in _unmarked_sums(expr, context):
        value = context.facts.evaluate(one)
        if value is not None and value != one:
            found = context.facts.find(one)
            why = f"by the definition of {_math(context.program.leaf(found[1]))}" if found else "by the definitions"
            return expr.xreplace({one: value}), f"{_math(one)} is known, {why}: it is {_math(value)}."
    return None


def _unmarked_sums(expr: Any, context: Context) -> list[Sum]:
    if not context.marked(expr):
        return maximal_sums(expr)
    if is_leaf(expr):
        return []
    args = [expr.function] if isinstance(expr, Sum) else expr.args
    return list(dict.fromkeys(one for arg in args for one in _unmarked_sums(arg, context)))


# ---- values that have a name ---------------------------------------------------------------------


def named_value(expr: Any, context: Context) -> tuple[Any, str] | None:
    """The right side of an equation, or a power of it, is written by its name: ``(s + eps)**(-3/2)`` as ``inv**3``."""
    program = context.program
    for equation in program.assignments:
        if (
            not context.is_read(equation.name)
            or equation.value.is_Mul
            or equation.value.is_Add
            or is_leaf(equation.value)
        ):
            continue
        base, power = equation.value.as_base_exp() if equation.value.is_Pow else (equation.value, sympy.Integer(1))
        for part in _parts(expr, context):
            own, exponent = part.as_base_exp() if equation.value.is_Pow else (part, sympy.Integer(1))
            if type(own) is not type(base) or not (exponent / power).is_Integer:
                continue
            names = program.match(base, equation.indices, own, free(expr))
            if names is not None:
                name = program.rename(equation.target, names)
                why = f"{_math(part)} is written by its name: it is {_math(name ** (exponent / power))}."
                return expr.xreplace({part: name ** (exponent / power)}), why
    return None


def named_product(expr: Any, context: Context) -> tuple[Any, str] | None:
    """Factors that make up the right side of an equation are written by its name: ``(x - mu)*r`` as ``x_hat``."""
    program = context.program
    for equation in program.assignments:
        if not context.is_read(equation.name) or not equation.value.is_Mul or equation.value.has(Sum):
            continue
        wanted = equation.value.as_powers_dict()
        for part in _parts(expr, context):
            for names in program.renamings(equation.indices, part) if part.is_Mul else ():
                there = part.as_powers_dict()
                factors = {program.rename(base, names): exponent for base, exponent in wanted.items()}
                if all(_holds(there.get(base, 0), exponent) for base, exponent in factors.items()):
                    name = program.rename(equation.target, names)
                    left = Mul(*(base ** (e - factors.get(base, 0)) for base, e in there.items()))
                    why = f"{_math(program.rename(equation.value, names))} is {_math(name)}."
                    return expr.xreplace({part: left * name}), why
    return None


def _holds(there: Any, wanted: Any) -> bool:
    """Is a power in a product as large as the one that is wanted, and of its sign?"""
    return bool(there * wanted > 0 and abs(there) >= abs(wanted))


def _parts(expr: Any, context: Context) -> list[Any]:
    """The parts of an expression, the largest first, but not those that hold a cotangent in a choice."""
    if is_leaf(expr) or not expr.args or isinstance(expr, Piecewise):
        return []
    args = [expr.function] if isinstance(expr, Sum) else expr.args
    return list(dict.fromkeys([expr, *(part for arg in args for part in _parts(arg, context))]))


# ---- order ---------------------------------------------------------------------------------------


def shared_reduction(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A sum that an output holds already is read from there."""
    for one in maximal_sums(expr):
        found = context.shared.find(one)
        if found is not None:
            holders = [_math(leaf) for leaf in leaves(found[0]) if name_of(leaf) == found[1]]
            already = _list(holders or [found[1]])
            why = f"{_math(one)} has been summed for {already} already: it equals {_math(found[0])}."
            return expr.xreplace({one: found[0]}), why
    return None


def common_factor(expr: Any, context: Context) -> tuple[Any, str] | None:
    """What all terms share, and the extents that any divides by, go in front."""
    terms = Add.make_args(expr)
    if len(terms) < 2:
        return None
    powers = [_powers(term, context) for term in terms]
    front: dict[Any, Any] = {}
    for base in dict.fromkeys(base for one in powers for base in one):
        exponents = [one.get(base, sympy.Integer(0)) for one in powers]
        if base in context.program.extents and min(exponents) < 0:
            front[base] = max(one for one in exponents if one < 0)
        elif all(exponent > 0 for exponent in exponents):
            front[base] = min(exponents)
        elif all(exponent < 0 for exponent in exponents):
            front[base] = max(exponents)
    if not front:
        return None
    numbers = [term.as_coeff_Mul()[0] for term in terms]
    number = reduce(sympy.gcd, numbers) if all(one.is_Rational for one in numbers) else sympy.Integer(1)
    common = Mul(number, *(base**exponent for base, exponent in front.items()))
    inside = []
    for term, one in zip(terms, powers, strict=True):
        left = {
            base: one.get(base, 0) - front.get(base, 0) for base in (*one, *(base for base in front if base not in one))
        }
        marked = [factor for factor in Mul.make_args(term) if context.marked(factor)]
        inside.append(
            Mul(term.as_coeff_Mul()[0] / number, *marked, *(base**exponent for base, exponent in left.items()))
        )
    return Mul(common, Add(*inside)), f"{_math(common)} is common to all terms."


def division_inside(expr: Any, context: Context) -> tuple[Any, str] | None:
    """A sum of no terms is 0, but not once it is divided by a statistic that nothing defines."""
    sums = [factor for factor in Mul.make_args(expr) if isinstance(factor, Sum)]
    if len(sums) != 1 or isinstance(sums[0].function, Add):
        return None
    divisors = [factor for factor in Mul.make_args(expr) if _divides(factor)]
    if not divisors or set(bound_by(sums[0])) & set().union(*map(free, divisors)):
        return None
    rest = Mul(*(factor for factor in Mul.make_args(expr) if factor not in (*sums, *divisors)))
    inside = total(Mul(sums[0].function, *divisors), bound_by(sums[0]), context.program)
    moved = _list([_math(factor) for factor in divisors])
    why = f"{moved} moves inside: then a sum over no samples is 0, whatever stands there."
    return rest * inside, why


def _divides(factor: Any) -> bool:
    """Is it a division by something that a kernel is given or computes, not by an extent?"""
    return bool(factor.is_Pow and factor.exp.could_extract_minus_sign() and free(factor) and not factor.has(Sum))


def _powers(term: Any, context: Context) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for factor in Mul.make_args(term):
        if not context.marked(factor) and not factor.is_Number:
            base, exponent = factor.as_base_exp()
            if not exponent.is_Rational:
                base, exponent = factor, sympy.Integer(1)
            result[base] = result.get(base, sympy.Integer(0)) + exponent
    return result


# ---- branches --------------------------------------------------------------------------------------


def same_branches(expr: Any, context: Context) -> tuple[Any, str] | None:
    """Terms that choose by the same conditions are one choice."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for term in Add.make_args(expr):
        if isinstance(term, Piecewise):
            groups.setdefault(tuple(condition for _, condition in term.args), []).append(term)
    merged = {term for terms in groups.values() if len(terms) > 1 for term in terms}
    if not merged:
        return None
    rest = [term for term in Add.make_args(expr) if term not in merged]
    for conditions, terms in groups.items():
        if len(terms) > 1:
            values = [Add(*(term.args[place][0] for term in terms)) for place in range(len(conditions))]
            rest.append(Piecewise(*zip(values, conditions, strict=True)))
    return Add(*rest), "Terms that choose by the same conditions are one choice."


#: Tried in this order, again and again, until none applies: they write a gradient as a sum of simple terms.
EXPANDING = (
    Rule("substitution", substitution),
    Rule("linearity", linearity),
    Rule("constant factor", constant_factor),
    Rule("constant sum", constant_sum),
    Rule("vanishing sum", vanishing_sum),
    Rule("known sum", known_sum),
    Rule("named value", named_value),
    Rule("shared reduction", shared_reduction),
    Rule("same branches", same_branches),
)
#: Then, on what the user asked for, these put in front what all terms share, and a division within a sum.
FACTORING = (
    Rule("named product", named_product),
    Rule("common factor", common_factor),
    Rule("division inside", division_inside),
)
RULES = (*EXPANDING, *FACTORING)
