"""The independent model: an operator's equations as NumPy code, which the check evaluates.

The code is generated from the equations alone; nothing of derivation, kernel or emit takes part. It is
plain NumPy and can be run as it stands (``symbn show OPERATOR --numpy``).
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable
from typing import Any

import sympy
from sympy import Indexed, Mul, Sum, Symbol
from sympy.printing.numpy import NumPyPrinter

from symbn.equations import notation
from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.equations.reductions import REDUCTIONS


def axes(operator: Operator) -> tuple[str, ...]:
    """The indices in the order in which the reference lays its arrays out: those that are reduced come last."""
    return (*(index for index in operator.indices if index not in operator.reduced), *operator.reduced)


class _Printer(NumPyPrinter):  # type: ignore[misc]
    """SymPy's NumPy printer, with array reductions and names for indexed arrays."""

    def __init__(self, order: tuple[str, ...], places: _Places) -> None:
        super().__init__({"fully_qualified_modules": True, "order": "none"})
        self.axis_order = order
        self.places = places

    def _module_format(self, fqn: str, register: bool = True) -> str:
        return fqn.replace("numpy.", "np.")

    def _print_Indexed(self, expr: Indexed) -> str:
        return self.places.variable(str(expr.base.label), tuple(str(index.name) for index in expr.indices))

    def _as_ordered_terms(self, expr: Any, order: str | None = None) -> list[Any]:
        return notation.reading_order(super()._as_ordered_terms(expr, order))

    def _print_Symbol(self, expr: Symbol) -> str:
        return identifier(str(expr.name))

    def repeated(self, text: str, expr: Any, indices: Iterable[str]) -> str:
        """The text of an expression, repeated along the indices that it does not vary with: a sum counts each."""
        used = {str(i.name) for one in expr.atoms(Indexed) for i in one.indices}
        for index in indices:
            if index not in used:
                text = f"({text}) * ones[{self.axis_order.index(index)}]"
        return text

    def _reduction(self, name: str, expr: Any) -> str:
        numbers = sorted(self.axis_order.index(str(limit[0].name)) for limit in expr.limits)
        body = self.repeated(self._print(expr.function), expr.function, [str(limit[0].name) for limit in expr.limits])
        # NumPy has no maximum of nothing; it takes one more number, which changes no other.
        initial = {"max": ", initial=-np.inf", "min": ", initial=np.inf"}.get(name, "")
        return f"np.{name}({body}, axis=({', '.join(map(str, numbers))},), keepdims=True{initial})"

    def _print_Sum(self, expr: Any) -> str:
        return self._reduction(REDUCTIONS[type(expr)], expr)

    _print_Product = _print_ReduceMax = _print_ReduceMin = _print_Sum

    def _print_Mul(self, expr: Mul) -> str:
        """A Sum divided by the extents that it goes over is a mean."""
        factors = list(expr.args)
        for total in [factor for factor in factors if isinstance(factor, Sum)]:
            counts = [1 / (limit[2] - limit[1] + 1) for limit in total.limits]
            rest = [factor for factor in factors if factor is not total]
            if all(count in rest for count in counts) and len(set(counts)) == len(counts):
                rest = [factor for factor in rest if factor not in counts]
                mean = self._reduction("mean", total)
                return f"{self.parenthesize(Mul(*rest), 50)}*{mean}" if rest else mean
        return str(super()._print_Mul(expr))

    def _print_Max(self, expr: Any) -> str:
        return self._chain("np.maximum", expr.args)

    def _print_Min(self, expr: Any) -> str:
        return self._chain("np.minimum", expr.args)

    def _chain(self, name: str, args: Any) -> str:
        result = str(self._print(args[0]))
        for arg in args[1:]:
            result = f"{name}({result}, {self._print(arg)})"
        return result

    def _print_Piecewise(self, expr: sympy.Piecewise) -> str:
        result = "np.nan"
        for value, condition in reversed(expr.args):
            text = self._print(value)
            result = (
                text if condition in (True, sympy.true) else f"np.where({self._print(condition)}, {text}, {result})"
            )
        return result

    def _print_And(self, expr: Any) -> str:
        return "(" + " & ".join(self._print(arg) for arg in expr.args) + ")"

    def _print_Or(self, expr: Any) -> str:
        return "(" + " | ".join(self._print(arg) for arg in expr.args) + ")"

    def _print_Not(self, expr: Any) -> str:
        return f"(~{self._print(expr.args[0])})"

    def _print_Relational(self, expr: Any) -> str:
        return f"({self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)})"

    def _print_Rational(self, expr: Any) -> str:
        return f"(np.longdouble({expr.p})/{expr.q})"

    def _print_Float(self, expr: Any) -> str:
        exact = sympy.Rational(expr)
        return repr(float(expr)) if sympy.Rational(float(expr)) == exact else f"(np.longdouble({exact.p})/{exact.q})"

    def _print_NumberSymbol(self, expr: Any) -> str:
        return f"np.longdouble('{sympy.N(expr, 30)}')"

    _print_Pi = _print_Exp1 = _print_GoldenRatio = _print_EulerGamma = _print_Catalan = _print_NumberSymbol

    def _print_log(self, expr: Any) -> str:
        text = f"np.log({self._print(expr.args[0])})"
        return text if len(expr.args) == 1 else f"{text}/np.log({self._print(expr.args[1])})"

    def _print_erf(self, expr: Any) -> str:
        return _of_math("erf", self._print(expr.args[0]))

    def _print_erfc(self, expr: Any) -> str:
        return _of_math("erfc", self._print(expr.args[0]))

    def _print_sign(self, expr: Any) -> str:
        return f"np.sign({self._print(expr.args[0])})"

    def _print_Abs(self, expr: Any) -> str:
        return f"np.abs({self._print(expr.args[0])})"


def _of_math(name: str, text: str) -> str:
    """A function that NumPy lacks and Python's math has, element by element."""
    return f'np.positive(np.frompyfunc(math.{name}, 1, 1)({text}), dtype=float, casting="unsafe")'


class _Places:
    """The variables that hold arrays on the reference's axes: one for each way in which an array is indexed."""

    def __init__(self, operator: Operator) -> None:
        self.written = operator.written
        reads = [
            (str(one.base.label), tuple(str(index.name) for index in one.indices))
            for eq in operator.equations
            for one in sorted(eq.rhs.atoms(Indexed), key=sympy.default_sort_key)
        ]
        #: array -> the ways in which it is indexed; a definition's own comes first
        self.uses: dict[str, list[tuple[str, ...]]] = {}
        for name, indices in [
            *((name, self.written[name]) for name in operator.arrays if name not in operator.inputs),
            *reads,
        ]:
            uses = self.uses.setdefault(name, [])
            if indices not in uses:
                uses.append(indices)

    def variable(self, name: str, indices: tuple[str, ...]) -> str:
        if len(self.uses[name]) == 1:
            return identifier(name)
        # No identifier has two underscores in a row: this one cannot be taken.
        return f"{identifier(name)}__{'_'.join(identifier(index) for index in indices)}"


def numpy_source(operator: Operator) -> str:
    """The operator as a NumPy function of its inputs; arrays have one axis for each index, as written."""
    order = axes(operator)
    places = _Places(operator)
    printer = _Printer(order, places)
    arguments = ", ".join(identifier(name) for name in operator.inputs)
    lines = [f"def reference({arguments}):", f'    """{operator.name}, evaluated with NumPy.', ""]
    lines += [f"    ({number}) {notation.plain(eq)}" for number, eq in enumerate(operator.equations, 1)]
    where = ", ".join(order)
    lines += ['    """', f"    # Arrays are laid out on the axes ({where}), with length 1 where they do not vary."]
    read = {str(one.base.label) for eq in operator.equations for one in eq.rhs.atoms(Indexed)}
    text = [
        printer.repeated(printer.doprint(right), right, indices if name in read else ())
        for name, indices, right in operator.definitions
    ]
    words = set(re.findall(r"\w+", " ".join(text)))
    repeats = "ones" in words
    if "math" in words:
        lines.append("    import math")
    lines += _extents(operator, None if repeats else words)
    if repeats:
        shapes = ", ".join(
            f"({'1, ' * number}int({identifier(operator.indices[index])}),{' 1,' * (len(order) - number - 1)})"
            for number, index in enumerate(order)
        )
        lines.append(f"    ones = [np.ones(shape) for shape in [{shapes}]]")
    for name in operator.inputs:
        for indices in places.uses.get(name, ()):
            laid = _place(identifier(name), indices, order)
            if laid != places.variable(name, indices):
                lines.append(f"    {places.variable(name, indices)} = {laid}")
    for number, ((name, _, _), right) in enumerate(zip(operator.definitions, text, strict=True), 1):
        indices, *others = places.uses[name]
        lines.append(f"    {places.variable(name, indices)} = {right}  # ({number})")
        for other in others:
            here, there = [order.index(index) for index in indices], [order.index(index) for index in other]
            source = places.variable(name, indices)
            lines.append(f"    {places.variable(name, other)} = np.moveaxis({source}, {here}, {there})")
    results = [places.variable(name, operator.written[name]) for name in operator.outputs]
    lines.append(f"    return {', '.join(results)}{',' if len(results) == 1 else ''}")
    return "\n".join(lines) + "\n"


def _extents(operator: Operator, words: set[str] | None) -> list[str]:
    """Code that reads the extents among the words (or all of them) off the inputs."""
    lines = []
    for extent in dict.fromkeys(operator.indices.values()):
        if words is None or identifier(extent) in words:
            found = [
                f"{identifier(name)}.shape[{axis}]"
                for name in operator.inputs
                for axis, one in enumerate(operator.arrays.get(name, ()))
                if one == extent
            ]
            size = operator.fixed_extents.get(extent)
            lines.append(f"    {identifier(extent)} = np.longdouble({found[0] if size is None else size})")
    return lines


def _place(name: str, indices: tuple[str, ...], order: tuple[str, ...]) -> str:
    """Code that moves an array's axes into the reference's order."""
    present = [index for index in order if index in indices]
    numbers = [indices.index(index) for index in present]
    text = name if numbers == sorted(numbers) else f"{name}.transpose({', '.join(map(str, numbers))})"
    if len(present) == len(order):
        return text
    keys = ", ".join(":" if index in indices else "None" for index in order)
    return f"{text}[{keys}]"


def compile_reference(source: str) -> Callable[..., tuple[Any, ...]]:
    """The function of a reference's source."""
    import numpy as np

    module = types.ModuleType("symbn_reference")
    module.__dict__["np"] = np
    exec(compile(source, "<reference>", "exec"), module.__dict__)
    function: Callable[..., tuple[Any, ...]] = module.__dict__["reference"]
    return function
