"""What does not define an operator is refused, with the equation and the symbol in the message."""

import re

import pytest
import sympy
from sympy import (
    Eq,
    FiniteSet,
    Function,
    Idx,
    Indexed,
    IndexedBase,
    Integral,
    Interval,
    Max,
    Product,
    Sum,
    Symbol,
    symbols,
)

from symbn.equations.operator import Operator
from symbn.errors import EquationError

m, n, p = symbols("m n p", integer=True, positive=True)
i, j, k = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n))
x, y, z, w, t, u, mu = map(IndexedBase, "x y z w t u mu".split())
s, epsilon = symbols("s epsilon")
MEAN = Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m)


def refused(equations, *words, outputs=("y",), **options):
    """The equations are refused, and the message has each of the words."""
    with pytest.raises(EquationError) as caught:
        Operator("op", equations, outputs=outputs, **options)
    message = str(caught.value)
    for word in words:
        assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)", message), f"{word!r} is not in: {message}"
    assert "\n" not in message
    return message


MALFORMED = {
    "not an equation": ([y[k] - x[k]], ["equation (1)", "Eq"]),
    "not an equation, second": ([Eq(t[k], x[k]), "y = t"], ["equation (2)", "y = t"]),
    "true by evaluation": ([Eq(x[k], x[k])], ["equation (1)", "Eq(a, a)"]),
    "an inequality": ([sympy.Lt(y[k], x[k])], ["equation (1)"]),
    "left side a sum of symbols": ([Eq(y[k] + z[k], x[k], evaluate=False)], ["equation (1)", "left side"]),
    "left side a number": ([Eq(sympy.Integer(3), x[k], evaluate=False)], ["equation (1)", "left side '3'"]),
    "left side an index": ([Eq(k, x[k], evaluate=False)], ["equation (1)", "left side 'k'"]),
    "left side an array without indices": ([Eq(y.label, x[k], evaluate=False)], ["equation (1)", "k", "free"]),
    "left side with a repeated index": ([Eq(y[i, i], x[i])], ["equation (1)", "y[i, i]", "repeats"]),
    "left side with a number": ([Eq(y[i, 1], x[i])], ["equation (1)", "1"]),
    "defined twice": ([Eq(y[k], x[k]), Eq(y[k], 2 * x[k])], ["equation (2)", "y", "second time", "another name"]),
    "used before its definition": ([Eq(y[k], t[k]), Eq(t[k], x[k])], ["equation (1)", "t", "before its definition"]),
    "defined by itself": ([Eq(y[k], y[k] + x[k])], ["equation (1)", "y", "before its definition"]),
    "a cycle": ([Eq(t[k], y[k] + x[k]), Eq(y[k], t[k])], ["equation (1)", "y", "before its definition"]),
    "a scalar used before its definition": ([Eq(y[k], x[k] * s), Eq(s, 2)], ["equation (1)", "s", "before"]),
    "a free index": ([Eq(y[k], x[i, k])], ["equation (1)", "i", "free"]),
    "an index free outside of its Sum": ([Eq(y[k], Sum(x[i, k], (i, 1, m)) + x[i, k])], ["(1)", "i", "free"]),
    "capture of a left side's index": ([Eq(y[i, k], Sum(x[i, k], (i, 1, m)))], ["(1)", "i", "capture"]),
    "capture in a nested Sum": ([Eq(y[k], Sum(x[i, k] * Sum(w[i], (i, 1, m)), (i, 1, m)))], ["(1)", "i", "capture"]),
    "capture by limits of one Sum": ([Eq(y[k], Sum(Sum(x[i, k], (i, 1, m)), (i, 1, m)))], ["(1)", "i", "capture"]),
    "clashing extents of an index": (
        [Eq(y[k], Sum(x[i, k], (i, 1, n)))],
        ["equation (1) y[k] = Sum", "i", "m", "n", "clashing"],
    ),
    "clashing extents in two equations": (
        [Eq(t[k], Sum(x[Symbol("l"), k], (Symbol("l"), 1, m))), Eq(y[k], Sum(x[Symbol("l"), k], (Symbol("l"), 1, p)))],
        ["equation (2)", "l", "m", "p", "clashing"],
    ),
    "clashing extents of an axis": ([Eq(y[i, k], x[i, k] + x[k, i])], ["equation (1)", "axis 1", "x", "clashing"]),
    "a declared shape that is not indexed": (
        [Eq(y[i, k], Indexed(IndexedBase("x", shape=(n, m)), i, k))],
        ["equation (1)", "x[i, k]", "shape (n, m)"],
    ),
    "a shifted index": ([Eq(y[i, k], x[i + 1, k])], ["equation (1)", "i + 1", "plain index", "an input"]),
    "a numeric index": ([Eq(y[k], x[0, k])], ["equation (1)", "0", "plain index"]),
    "an index of an index": ([Eq(y[k], x[w[k]])], ["equation (1)", "w[k]", "plain index"]),
    "a diagonal": ([Eq(y[i], x[i, i])], ["equation (1)", "x[i, i]", "repeats", "an input"]),
    "an array without its indices": (
        [Eq(y[k], x[k] + w.label), Eq(z[k], w[k])],
        ["w", "array", "scalar", "rename one"],
    ),
    "an array, later without its indices": ([Eq(y[k], x[k]), Eq(s, x.label)], ["equation (2)", "x", "indices"]),
    "an IndexedBase as a number": ([Eq(y[k], x[k] * w)], ["equation (1)", "w", "indices"]),
    "a defined array without its indices": ([Eq(t[k], x[k]), Eq(y[k], x[k] + t.label)], ["(2)", "t", "indices"]),
    "a number of indices that differs": ([Eq(y[i, k], x[i, k] + x[k])], ["equation (1)", "x", "indices"]),
    "a scalar that was defined, with indices": (
        [Eq(s, Sum(x[k], (k, 1, n))), Eq(y[k], IndexedBase("s")[k])],
        ["(2)", "s"],
    ),
    "an unknown function": ([Eq(y[k], sympy.Ei(x[k]))], ["equation (1)", "Ei", "exp"]),
    "an undefined function": ([Eq(y[k], Function("f")(x[k]))], ["equation (1)", "f", "f(x[k])"]),
    "a derivative": ([Eq(y[k], sympy.Derivative(s**2 + epsilon, s) * x[k])], ["equation (1)", "Derivative"]),
    "infinity": ([Eq(y[k], sympy.oo, evaluate=False), Eq(z[k], x[k])], ["equation (1)", "oo", "finite", "an input"]),
    "not a number": ([Eq(y[k], sympy.nan, evaluate=False), Eq(z[k], x[k])], ["equation (1)", "nan", "finite"]),
    "the imaginary unit": ([Eq(y[k], sympy.I * x[k])], ["equation (1)", "I"]),
    "complex infinity": ([Eq(y[k], Max(x[k], 0) + sympy.zoo, evaluate=False)], ["equation (1)", "zoo"]),
    "an extent that is an expression": (
        [Eq(y[k], Sum(x[j, k], (Symbol("r"), 1, 2 * m)))],
        ["equation (1) y[k] = Sum", "r", "2*m", "a mask"],
    ),
    "a start other than 0 or 1": ([Eq(y[k], Sum(x[Symbol("r"), k], (Symbol("r"), 2, m + 1)))], ["(1)", "r", "2"]),
    "a negative extent": ([Eq(y[k], Sum(x[Symbol("r"), k], (Symbol("r"), 1, -3)))], ["equation (1)", "r"]),
    "an index as a number": ([Eq(y[k], x[k] * k)], ["equation (1)", "k", "number", "an input"]),
    "an index of a Sum as a number": ([Eq(y[k], Sum(x[i, k] * i, (i, 1, m)))], ["equation (1)", "i", "number"]),
    "a plain index as a number": (
        [Eq(y[k], Sum(x[Symbol("r"), k] * Symbol("r"), (Symbol("r"), 1, m)))],
        ["equation (1)", "r", "number"],
    ),
    "a Product without limits": ([Eq(y[k], Product(x[i, k], (s, 1, m)))], ["equation (1)", "i", "free", "reduction"]),
    "an Integral": ([Eq(y[k], Integral(s, (s, 0, 1)) * x[k])], ["equation (1)", "Integral"]),
    "a Max over an index": ([Eq(y[k], Max(x[i, k], 0))], ["equation (1)", "i", "free"]),
    "two names of one identifier": (
        [Eq(y[k], IndexedBase("μ")[k] + IndexedBase("mu")[k])],
        ["μ", "mu", "C identifier"],
    ),
    "two scalars of one identifier": ([Eq(y[k], x[k] * Symbol("a b") + Symbol("a_b"))], ["a b", "a_b"]),
    "a scalar and an extent of one identifier": ([Eq(y[k], x[k] * Symbol("n "))], ["n", "n "]),
    "an extent of no input": ([Eq(y[i, k], x[k] * 2)], ["i", "m", "input"]),
    "an extent of no input in a Sum": ([Eq(y[k], Sum(x[k], (i, 1, m)))], ["i", "m", "input"]),
    "an index called like an array": ([Eq(y[Symbol("x")], x[Symbol("x")])], ["x"]),
    "an index called like an extent": ([Eq(y[k], Sum(x[Symbol("n"), k], (Symbol("n"), 1, m)))], ["n"]),
    "an array called like an extent": ([Eq(y[k], IndexedBase("n")[k])], ["n"]),
    "an index that is a scalar elsewhere": ([Eq(y[k], x[k]), Eq(s, Symbol("k") + 1)], ["k"]),
    "a definition of an extent": ([Eq(y[k], x[k]), Eq(n, 2, evaluate=False)], ["n"]),
}


@pytest.mark.parametrize(("equations", "words"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_equations(equations, words):
    refused(equations, *words)


def test_no_equations():
    refused([], "equations", "empty")


OPTIONS = {
    "unknown output": ({"outputs": ["q"]}, ["outputs", "q", "mu, y"]),
    "an input as output": ({"outputs": ["x"]}, ["outputs", "x"]),
    "an output twice": ({"outputs": ["y", y]}, ["outputs", "y", "twice"]),
    "no outputs": ({"outputs": []}, ["outputs", "empty"]),
    "an output that is no name": ({"outputs": [3]}, ["outputs", "3", "int"]),
    "an element as output": ({"outputs": [y[i, k]]}, ["outputs", "y[i, k]", "Indexed"]),
    "an input left out": ({"inputs": ["x"]}, ["inputs", "epsilon"]),
    "an input too many": ({"inputs": ["x", "epsilon", "gamma"]}, ["inputs", "gamma"]),
    "an input twice": ({"inputs": ["x", "x", "epsilon"]}, ["inputs", "x, x"]),
    "an output as input": ({"inputs": ["x", "epsilon", "mu"]}, ["inputs", "mu"]),
    "statistics that are no array": ({"statistics": ["q"]}, ["statistics", "q"]),
    "a scalar as a statistic": ({"statistics": [epsilon]}, ["statistics", "epsilon"]),
    "a default of no input": ({"defaults": {"q": 1}}, ["defaults", "q"]),
    "a default of an output": ({"defaults": {y: 1}}, ["defaults", "y"]),
    "a default that is no number": ({"defaults": {epsilon: "small"}}, ["defaults", "epsilon", "small"]),
    "a default of nan": ({"defaults": {epsilon: None}}, ["defaults", "epsilon", "None"]),
    "a domain of an array": ({"domains": {x: Interval(0, 1)}}, ["domains", "x"]),
    "a domain that is no set": ({"domains": {epsilon: (0, 1)}}, ["domains", "(0, 1)", "epsilon"]),
    "a domain of nothing": ({"domains": {"q": FiniteSet(0, 1)}}, ["domains", "q"]),
}


@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=OPTIONS)
def test_options(options, words):
    equations = [MEAN, Eq(y[i, k], x[i, k] - mu[k] + epsilon)]
    refused(equations, *words, **{"outputs": ["y"], **options})


@pytest.mark.parametrize("name", ["", "batch norm", "1st", "int", "größe", "a-b", "μ", None, 3, "_", "a\nb", "main"])
def test_names_that_no_c_function_can_have(name):
    with pytest.raises(EquationError, match="name"):
        Operator(name, [Eq(y[k], x[k])], outputs=[y])


def test_errors_are_value_errors():
    with pytest.raises(ValueError, match="free"):
        Operator("op", [Eq(y[k], x[i, k])], outputs=[y])


def test_the_message_shows_the_whole_equation():
    message = refused([Eq(t[k], x[k]), Eq(y[k], x[i, k])], outputs=["y"])
    assert message.startswith("equation (2) y[k] = x[i, k]: ")
