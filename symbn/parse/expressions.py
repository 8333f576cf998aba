"""Trees of formulas as SymPy equations. Nothing is evaluated that a page could make large."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sympy
from lark import Token, Tree
from sympy import Eq, Idx, Indexed, IndexedBase, Piecewise, Symbol
from sympy.codegen import cfunctions

from symbn.parse.applications import applied, is_called, is_only_named, matches, subject
from symbn.parse.latex import Node, Unreadable, begin, parts, token
from symbn.parse.names import Vocabulary, Written, factors, written
from symbn.parse.ranges import ranges, scripts_of

#: a number's power may have so many bits, and an exponent may be so large
_BITS, _EXPONENT = 2000, 4096
#: SymPy compares the arguments of these with each other
_MOST_ARGUMENTS = 12
_LONGEST_NUMBER = 40
#: who writes names so means vectors and matrices
_BOLD = re.compile(r"\\(?:mathbf|boldsymbol|bm|pmb|vec)(?![A-Za-z])")
#: the others are too large, or too slow to evaluate, for a constant such as e^{4000}
_OF_ANY_CONSTANT = frozenset(("log", "max", "min", "abs", "sign"))

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(sympy, name) for name in "exp log sin cos tan sinh cosh tanh asin acos atan".split()},
    **{name: getattr(sympy, name) for name in "asinh acosh atanh erf erfc sign floor".split()},
    "max": sympy.Max,
    "min": sympy.Min,
    "abs": sympy.Abs,
    "ceil": sympy.ceiling,
    "relu": lambda x: sympy.Max(x, 0),
    "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
}
_RELATIONS: dict[str, Any] = {
    "DEFINES": sympy.Eq, "LT": sympy.Lt, "LE": sympy.Le, "GT": sympy.Gt, "GE": sympy.Ge, "NE": sympy.Ne,
}  # fmt: skip


@dataclass(frozen=True)
class Definition:
    """``left = right = ..``: what is defined, and every expression that is said to be its value."""

    left: Any
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        return str(self.left.base.label if isinstance(self.left, Indexed) else self.left.name)

    @property
    def equation(self) -> Eq:
        return Eq(self.left, self.values[0], evaluate=False)


@dataclass
class Findings:
    """What the formulas of a page say about indices."""

    #: index -> extent, a Symbol or an Integer, for the indices whose limits are written
    extents: dict[str, Any] = field(default_factory=dict)
    #: array -> the indices with which it occurs
    arrays: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)


class Expressions:
    """Reads the trees of one page.

    Parameters
    ----------
    latex
        The formula that the trees are of.
    vocabulary
        What its names mean.
    found
        What other formulas said about indices; what this one says is added.
    """

    def __init__(self, latex: str, vocabulary: Vocabulary, found: Findings) -> None:
        self.latex = latex
        self.vocabulary = vocabulary
        self.found = found

    # ---- equations -------------------------------------------------------------------------------

    def definition(self, tree: Node) -> Definition | None:
        """What an equation defines; None where it is but a function's name for something."""
        left, *values = parts(tree)
        target = subject(left, self.vocabulary)
        assert target is not None
        told = [value for value in values if not self._is_a_functions_name(value)]
        if not told:
            return None
        return Definition(self._leaf(target, squared=target.is_squared), tuple(map(self._guarded, told)))

    def _guarded(self, tree: Node) -> Any:
        try:
            value = self.expression(tree)
        except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
            raise Unreadable(f"SymPy cannot form this: {error}", begin(tree)) from None
        if value.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I):
            raise Unreadable("this divides by zero, or is no real number", begin(tree))
        return value

    def _is_a_functions_name(self, tree: Node) -> bool:
        """Is a side but an unknown function of something, another name for what is defined?"""
        run = factors(tree)
        return run is not None and len(run) == 2 and is_only_named(run[0], run[1], self.latex, self.vocabulary)

    # ---- expressions -----------------------------------------------------------------------------

    def expression(self, tree: Node) -> Any:
        """The SymPy expression of a tree."""
        return getattr(self, f"_{tree.data}")(tree)

    def _comparison(self, tree: Node) -> Any:
        if len(tree.children) > 1:
            raise Unreadable("a comparison stands only in cases", begin(tree))
        return self.expression(parts(tree)[0])

    def _sum(self, tree: Node) -> Any:
        terms, sign = [], 1
        for child in tree.children:
            if isinstance(child, Token):
                sign = -1 if child.type == "MINUS" else 1
            else:
                terms.append(sign * self.expression(child))
                sign = 1
        return sympy.Add(*terms)

    def _product(self, tree: Node) -> Any:
        self._refuse_arrays(tree)
        result: list[Any] = []
        sign, below = "", False
        before: Node | None = None
        children = iter(enumerate(tree.children))
        for number, child in children:
            if isinstance(child, Token):
                sign = child.type
                continue
            if before is not None and not sign:
                self._refuse_ambiguous(before, child, below)
            behind = tree.children[number + 1] if number + 1 < len(tree.children) else None
            before = child
            if isinstance(behind, Tree) and is_called(child, behind, self.latex, self.vocabulary):
                value, before = self._function_of_page(child, behind), behind
                next(children)
            else:
                value = self.expression(child)
            below = sign == "DIVIDE"
            result.append(1 / value if below else value)
            sign = ""
        return sympy.Mul(*result)

    def _function_of_page(self, child: Node, brackets: Node) -> Any:
        """The value of f(x), where the page has defined f(x)."""
        name = written(child, self.vocabulary)
        assert name is not None
        known = self.vocabulary.applied.get(name.name)
        if known is None:
            raise Unreadable(
                f"'{name.name}' stands here as a function does, but symbn knows no function of that name; "
                f"known are {', '.join(sorted(_FUNCTIONS))}. A product is written with \\cdot",
                begin(child),
            )
        if not matches(brackets, self.vocabulary, known):
            raise Unreadable(f"'{name.name}' is defined for {', '.join(known) or 'something else'} only", begin(child))
        return self._value(applied(name, brackets, self.vocabulary), child)

    def _refuse_arrays(self, tree: Node) -> None:
        """A product of bold names is one of vectors or matrices, unless each has its indices."""
        names = [(one, written(one, self.vocabulary)) for one in parts(tree)]
        bold = [(one, name) for one, name in names if name and _BOLD.search(self.latex, begin(one), _end_of_base(one))]
        if len(bold) > 1 and not all(name.indices for _, name in bold):
            raise Unreadable(
                "a product of vectors or matrices, as they are bold; write the equation of an element, with indices",
                begin(bold[1][0]),
            )

    def _refuse_ambiguous(self, before: Node, child: Node, below: bool) -> None:
        if below and child.data != "reduction":
            raise Unreadable("is this still below the / or not? Write \\frac, or \\cdot before it", begin(child))
        while before.data == "call":
            name, before = token(before), parts(before)[-1]
            if before.data == "factor" and parts(before)[0].data in ("name", "number", "fraction", "root", "accent"):
                raise Unreadable(
                    f"is this still an argument of '{name}' or not? Put the argument into parentheses", begin(child)
                )

    def _factor(self, tree: Node) -> Any:
        name = written(tree, self.vocabulary)
        if name is not None:
            return self._value(name, tree)
        base, *scripts = parts(tree)
        return self._to_the_power(self.expression(base), scripts)

    def _to_the_power(self, value: Any, scripts: list[Node]) -> Any:
        if len(scripts) > 1:
            raise Unreadable("a second exponent", begin(scripts[1]))
        return self._power(value, self._exponent(scripts[0]), scripts[0]) if scripts else value

    def _exponent(self, script: Node) -> Any:
        if script.children[0] != "^" or len(parts(script)) != 1:
            raise Unreadable("only a name has indices or a prime", begin(script))
        return self.expression(parts(script)[0])

    def _power(self, base: Any, exponent: Any, at: Node) -> Any:
        if not exponent.free_symbols and not (exponent.is_Rational and abs(exponent) <= _EXPONENT):
            raise Unreadable("this exponent is too large, or a constant that is no fraction", begin(at))
        if base.is_Rational and exponent.is_Rational:
            bits = max(int(base.p).bit_length(), int(base.q).bit_length()) * abs(exponent)
            if bits > _BITS:
                raise Unreadable("this power is too large a number", begin(at))
        return base**exponent

    # ---- names -----------------------------------------------------------------------------------

    def _value(self, name: Written, at: Node) -> Any:
        """A name's value, with its exponent."""
        exponent = sympy.Integer(1) if name.exponent is None else self.expression(name.exponent)
        defined, squared = name.name in self.vocabulary.defined, name.name in self.vocabulary.squared
        if name.name == "e" and not name.indices and not defined and name.exponent is not None:
            return self._power(sympy.E, exponent, at)
        if name.name == "pi" and not name.indices and not defined:
            return self._power(sympy.pi, exponent, at)
        if squared and name.is_squared:
            exponent = sympy.Integer(1)
        elif squared and not defined:
            exponent = exponent / 2
        else:
            squared = False
        return self._power(self._leaf(name, squared=squared), exponent, at)

    def _leaf(self, name: Written, *, squared: bool) -> Any:
        """A name on its indices; a scalar is a Symbol."""
        own = name.square if squared else name.name
        called = self.vocabulary.renamed.get(own, own)
        self.found.arrays.setdefault(called, set()).add(name.indices)
        if name.indices:
            return IndexedBase(called)[tuple(map(self._index, name.indices))]
        extent = Symbol(called, integer=True, positive=True)
        if extent in self.found.extents.values():
            return extent
        # A page says in words that its epsilon is a small positive number.
        small = own.partition("_")[0] == "epsilon" and own not in self.vocabulary.defined
        return Symbol(called, positive=True) if small else Symbol(called)

    def _index(self, name: str) -> Idx:
        extent = self.found.extents.get(name)
        return Idx(name) if extent is None else Idx(name, (1, extent))

    # ---- what stands in formulas -------------------------------------------------------------------

    def _name(self, tree: Node) -> Any:
        return self._value(Written(str(token(tree))), tree)

    def _accent(self, tree: Node) -> Any:
        name = written(Tree("factor", [tree], tree.meta), self.vocabulary)
        assert name is not None
        return self._value(name, tree)

    _differential = _accent

    def _number(self, tree: Node) -> Any:
        text = str(token(tree))
        digits, _, power = text.lower().partition("e")
        if len(digits) > _LONGEST_NUMBER or len(power) > 4:
            raise Unreadable(f"this number has more than {_LONGEST_NUMBER} digits or a large exponent", begin(tree))
        return sympy.Rational(text)

    def _word(self, tree: Node) -> Any:
        raise Unreadable(f"the function '{token(tree)}' has no argument here", begin(tree))

    def _braces(self, tree: Node) -> Any:
        return self.expression(parts(tree)[0])

    def _group(self, tree: Node) -> Any:
        if len(parts(tree)) > 1:
            raise Unreadable("a list with commas; only the arguments of a function are one", begin(parts(tree)[1]))
        return self.expression(parts(tree)[0])

    def _fraction(self, tree: Node) -> Any:
        above, below = map(self.expression, parts(tree))
        return above / below

    def _root(self, tree: Node) -> Any:
        *degree, inner = parts(tree)
        order = self.expression(degree[0]) if degree else sympy.Integer(2)
        if not isinstance(order, Symbol) and not (order.is_Integer and 0 < order <= _EXPONENT):
            raise Unreadable("the degree of a root is a whole number or a name", begin(tree))
        return self._power(self.expression(inner), 1 / order, tree)

    def _magnitude(self, tree: Node) -> Any:
        return self._call_of("abs", [self.expression(parts(tree)[0])], tree)

    def _floor(self, tree: Node) -> Any:
        return self._call_of("floor", [self.expression(parts(tree)[0])], tree)

    def _ceiling(self, tree: Node) -> Any:
        return self._call_of("ceil", [self.expression(parts(tree)[0])], tree)

    # ---- functions ---------------------------------------------------------------------------------

    def _call(self, tree: Node) -> Any:
        *scripts, argument = parts(tree)
        base, *outer = parts(argument)
        while base.data == "braces":
            inner = factors(parts(base)[0])
            if inner is None or len(inner) != 1 or len(parts(inner[0])) != 1:
                break
            (base,) = parts(inner[0])
        if argument.data != "factor" or base.data != "group":
            return self._of_function(tree, scripts, [self.expression(argument)])
        # What stands above the parentheses of f(x)^2 is a power of the whole.
        value = self._of_function(tree, scripts, [self.expression(one) for one in parts(base)])
        return self._to_the_power(value, outer)

    def _applied(self, tree: Node) -> Any:
        *scripts, argument = parts(tree)
        return self._of_function(tree, scripts, [self.expression(argument)])

    def _of_function(self, tree: Node, scripts: list[Node], arguments: list[Any]) -> Any:
        """A function with what stands at it: the base of a logarithm, the index of a maximum, an exponent."""
        name = str(token(tree))
        below, above = scripts_of(scripts)
        if below is not None and len(arguments) > 1:
            raise Unreadable(f"'{name}' has {len(arguments)} arguments; with something below it has one", begin(tree))
        if name in ("max", "min") and below is not None:
            return self._reduce(name, scripts, arguments[0], tree)
        if name == "log" and below is not None:
            base = self._base(below)
            known = {2: cfunctions.log2, 10: cfunctions.log10}.get(base)
            value = known(arguments[0]) if known else self._call_of("log", arguments, tree) / sympy.log(base)
        elif below is not None:
            raise Unreadable(f"'{name}' has nothing below it", begin(below))
        else:
            value = self._call_of(name, arguments, tree)
        if above is not None:
            exponent = self._exponent(above)
            if exponent.could_extract_minus_sign():
                raise Unreadable(f"the inverse function or 1/{name}? Write the one that is meant", begin(above))
            value = self._power(value, exponent, above)
        return value

    def _base(self, script: Node) -> Any:
        if len(parts(script)) != 1:
            raise Unreadable("a logarithm has one base", begin(script))
        return self.expression(parts(script)[0])

    def _call_of(self, name: str, arguments: list[Any], at: Node) -> Any:
        several = name in ("max", "min")
        if len(arguments) > (_MOST_ARGUMENTS if several else 1) or (several and len(arguments) < 2):
            expected = f"2 to {_MOST_ARGUMENTS} arguments, or an index below" if several else "one argument"
            raise Unreadable(f"'{name}' has {len(arguments)}; expected {expected}", begin(at))
        for one in arguments:
            small = one.is_Rational and abs(one) <= _EXPONENT
            if not one.free_symbols and not small and name not in _OF_ANY_CONSTANT:
                raise Unreadable(f"'{name}' of a large number, or of a constant that is no fraction", begin(at))
        return _FUNCTIONS[name](*arguments)

    def _reduction(self, tree: Node) -> Any:
        *scripts, body = parts(tree)
        kind = "sum" if token(tree).type == "SUM" else "product"
        return self._reduce(kind, scripts, self.expression(body), tree)

    def _reduce(self, kind: str, scripts: list[Node], body: Any, at: Node) -> Any:
        limits = []
        for one in ranges(scripts, at):
            if one.upper is not None:
                self._learn(one.index, one.lower, one.upper, at)
            extent = self.found.extents.get(one.index, Symbol(f"{one.index}_extent", integer=True, positive=True))
            limits.append((self._index(one.index), 1, extent))
        return _reduction(kind, at)(body, *limits)

    def _learn(self, index: str, first: Node | None, last: Node, at: Node) -> None:
        """Note the extent that a sum gives to its index."""
        lower = sympy.Integer(1) if first is None else self.expression(first)
        extent = sympy.expand(self.expression(last) - lower + 1)
        if lower not in (0, 1) or not (isinstance(extent, Symbol) or (extent.is_Integer and extent > 0)):
            raise Unreadable(
                f"index '{index}' runs over {extent} values from {lower} on; an index starts at 1 (or 0), and its "
                "extent is a name or a number",
                begin(at),
            )
        if isinstance(extent, Symbol):
            extent = Symbol(str(extent.name), integer=True, positive=True)
        known = self.found.extents.setdefault(index, extent)
        if known != extent:
            raise Unreadable(
                f"index '{index}' runs over {extent} values here, but over {known} elsewhere on the page; use "
                "another index",
                begin(at),
            )

    # ---- cases -------------------------------------------------------------------------------------

    def _cases(self, tree: Node) -> Any:
        rows = parts(tree)
        if len(rows) > _MOST_ARGUMENTS:
            raise Unreadable(f"more than {_MOST_ARGUMENTS} cases", begin(rows[_MOST_ARGUMENTS]))
        return Piecewise(*(tuple(map(self._of_case, parts(row))) for row in rows))

    def _of_case(self, tree: Node) -> Any:
        if tree.data == "sum":
            return self.expression(tree)
        if tree.data == "worded":
            return self._of_case(parts(tree)[0]) if parts(tree) else sympy.true
        joins = {child.type for child in tree.children if isinstance(child, Token)}
        if len(joins) > 1:
            raise Unreadable("'and' together with 'or' in one condition", begin(tree))
        conditions = [self._relation(one) for one in parts(tree)]
        return sympy.Or(*conditions) if joins == {"OR"} else sympy.And(*conditions)

    def _relation(self, tree: Node) -> Any:
        signs = [child.type for child in tree.children if isinstance(child, Token)]
        if not signs:
            raise Unreadable("expected a condition such as x > 0", begin(tree))
        sides = [self.expression(one) for one in parts(tree)]
        pairs = zip(signs, sides, sides[1:], strict=False)
        return sympy.And(*(_RELATIONS[sign](one, other) for sign, one, other in pairs))


def _end_of_base(factor: Node) -> int:
    return int(parts(factor)[0].meta.end_pos)


def _reduction(kind: str, at: Node) -> Any:
    """SymPy's class for a reduction, or symbn's own."""
    if kind == "sum":
        return sympy.Sum
    if kind == "product":
        return sympy.Product
    try:
        reductions = importlib.import_module("symbn.equations.reductions")
    except ImportError:
        raise Unreadable(f"symbn has no '{kind}' over an index", begin(at)) from None
    return {"max": reductions.ReduceMax, "min": reductions.ReduceMin}[kind]
