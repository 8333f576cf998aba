"""Operators: what is read off their equations, and the variants of notation that are accepted."""

import os
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest
import sympy
from sympy import Eq, Idx, IndexedBase, Interval, Max, Min, Piecewise, Sum, Symbol, sqrt, symbols

import symbn
from symbn import equations
from symbn.equations.names import identifier
from symbn.equations.operator import Operator

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, gamma, beta, mu, var, y, t, w = map(IndexedBase, ("x", "gamma", "beta", "mu", "sigma2", "y", "t", "w"))
eps = Symbol("epsilon", positive=True)


@pytest.fixture
def batch_norm():
    """A user's batch normalization, with nothing but equations and outputs given."""
    return symbn.Operator(
        "batch_norm",
        [
            Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
            Eq(var[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m),
            Eq(y[i, k], gamma[k] * (x[i, k] - mu[k]) / sqrt(var[k] + eps) + beta[k]),
        ],
        outputs=[y, mu, var],
    )


# ---- what is read off the equations --------------------------------------------------------------------


def test_inputs_and_outputs_in_order(batch_norm):
    assert batch_norm.inputs == ("x", "gamma", "beta", "epsilon")
    assert batch_norm.outputs == ("y", "mu", "sigma2")


def test_the_shipped_operator_is_what_a_user_writes(batch_norm):
    shipped = symbn.operators.batch_norm
    assert shipped.inputs == batch_norm.inputs
    assert shipped.outputs == batch_norm.outputs
    assert shipped.equations == batch_norm.equations


def test_indices_arrays_and_scalars(batch_norm):
    assert dict(batch_norm.indices) == {"i": "m", "k": "n"}
    assert batch_norm.arrays["x"] == ("m", "n")
    assert batch_norm.arrays["gamma"] == ("n",)
    assert batch_norm.written["y"] == ("i", "k")
    assert batch_norm.scalars == ("epsilon",)


def test_outputs_that_are_read_are_statistics(batch_norm):
    assert batch_norm.statistics == {"mu", "sigma2"}


def test_assumptions_become_domains(batch_norm):
    assert batch_norm.domains["epsilon"] == Interval.open(0, sympy.oo)
    inference = symbn.operators.batch_norm_inference
    assert inference.domains["epsilon"] == Interval(0, sympy.oo)


def test_equations_are_sympys(batch_norm):
    assert all(isinstance(eq, Eq) for eq in batch_norm.equations)


def test_repr_shows_signature_and_equations(batch_norm):
    first, *lines = repr(batch_norm).splitlines()
    assert first == "Operator batch_norm(x, gamma, beta, epsilon) -> y, mu, sigma2"
    assert lines[0] == "  (1) mu[k] = Sum(x[i, k], i=1..m)/m"
    assert len(lines) == 3


def test_latex_is_an_align_environment_with_the_equations_numbers(batch_norm):
    tex = batch_norm.latex()
    assert tex.startswith("\\begin{align*}\n")
    assert tex.endswith("\\end{align*}")
    assert r"\mu_{k} &= \frac{1}{m} \sum_{i=1}^{m} x_{i,k} \tag{1}" in tex
    assert [f"\\tag{{{number}}}" in tex for number in (1, 2, 3, 4)] == [True, True, True, False]
    assert tex.count("\\sigma_{k}^{2}") == 2
    assert batch_norm._repr_latex_() == tex


def test_operators_cannot_be_changed(batch_norm):
    with pytest.raises(FrozenInstanceError):
        batch_norm.name = "other"
    with pytest.raises(TypeError):
        batch_norm.defaults["epsilon"] = 1.0


def test_operators_can_be_compared_and_hashed(batch_norm):
    again = Operator("batch_norm", batch_norm.equations, outputs=batch_norm.outputs)
    assert again == batch_norm
    assert hash(again) == hash(batch_norm)
    assert batch_norm != symbn.operators.batch_norm_inference


def test_options_by_name_or_by_symbol():
    one = Eq(y[k], x[k] * eps)
    by_symbol = Operator(
        "op", [one], [y], inputs=[eps, x], defaults={eps: 1}, statistics=[x], domains={eps: Interval(0, 1)}
    )
    by_name = Operator(
        "op",
        [one],
        ["y"],
        inputs=["epsilon", "x"],
        defaults={"epsilon": 1},
        statistics=["x"],
        domains={"epsilon": Interval(0, 1)},
    )
    for operator in (by_symbol, by_name):
        assert operator.inputs == ("epsilon", "x")
        assert operator.defaults == {"epsilon": 1.0}
        assert operator.statistics == {"x"}
        assert operator.domains == {"epsilon": Interval(0, 1)}


def test_an_output_may_be_given_as_one_name():
    assert Operator("op", [Eq(y[k], x[k])], "y").outputs == ("y",)


def test_default_order_of_inputs():
    """Arrays with more indices first, then by equation, innermost first; scalars last."""
    operator = Operator("op", [Eq(t[k], w[k] + eps), Eq(y[i, k], beta[k] + gamma[k] * x[i, k] + t[k])], outputs=[y])
    assert operator.inputs == ("x", "w", "gamma", "beta", "epsilon")


# ---- the same on every run -----------------------------------------------------------------------------

_SCRIPT = """
from sympy import Eq, Idx, IndexedBase, Sum, Symbol, symbols
from symbn import dtypes, pipeline
from symbn.equations.operator import Operator
a, b, c, d = map(IndexedBase, "abcd")
x, y, t = map(IndexedBase, "xyt")
m, n, p = symbols("m n p")
i, j, k = symbols("i j k")
op = Operator("op", [
    Eq(t[k], Sum(x[i, j, k] * a[i] * b[j] + c[k] * d[j, i], (i, 1, m), (j, 1, n)) / (m * n)),
    Eq(y[i, j, k], (x[i, j, k] - t[k]) * Symbol("q") + Symbol("r") / Symbol("s")),
], outputs=[y, t])
print(op.indices, op.arrays, op.written, op.scalars, op.inputs, op.latex())
for dtype in dtypes.DTYPES.values():
    source = pipeline.emit(op, dtype)
    print(source.header, source.text)
"""


def test_nothing_depends_on_the_order_of_sets():
    texts = set()
    for seed in ("0", "1", "42"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        result = subprocess.run(
            [sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        texts.add(result.stdout)
    assert len(texts) == 1


# ---- accepted variants ---------------------------------------------------------------------------------


def test_indices_counted_from_zero():
    a, b = Idx("a", (0, m - 1)), Idx("b", (0, n - 1))
    operator = Operator("op", [Eq(t[b], Sum(x[a, b], (a, 0, m - 1)) / m)], outputs=[t])
    assert dict(operator.indices) == {"a": "m", "b": "n"}


def test_indices_of_an_extent():
    """``Idx("i", m)`` runs from 0 to m - 1."""
    a, b = Idx("a", m), Idx("b", n)
    operator = Operator("op", [Eq(t[b], Sum(x[a, b], (a, 0, m - 1)))], outputs=[t])
    assert dict(operator.indices) == {"a": "m", "b": "n"}


def test_plain_symbols_as_indices():
    """Where no range is written, the extent has a name of its own."""
    a, b = symbols("a b")
    operator = Operator("op", [Eq(t[b], Sum(x[a, b], (a, 1, m)))], outputs=[t])
    assert operator.indices["a"] == "m"
    assert operator.indices["b"] == "b_extent"
    assert operator.scalars == ()


def test_extents_that_are_numbers():
    a = Idx("a", (1, 4))
    operator = Operator("op", [Eq(t[k], Sum(x[a, k], (a, 1, 4)) / 4)], outputs=[t])
    assert operator.fixed_extents == {"4": 4}
    assert operator.arrays["x"] == ("4", "n")


def test_a_range_that_a_later_equation_gives():
    a = symbols("a")
    operator = Operator("op", [Eq(y[a], x[a] ** 2), Eq(Symbol("s"), Sum(y[a], (a, 1, m)))], outputs=["s"])
    assert operator.indices["a"] == "m"


def test_scalar_definitions():
    s = Symbol("s")
    operator = Operator("op", [Eq(s, Sum(x[i], (i, 1, m))), Eq(y[i], x[i] / s)], outputs=[y, s])
    assert operator.arrays["s"] == ()
    assert operator.inputs == ("x",)


def test_an_array_without_axes_is_a_scalar_input():
    s = Symbol("s")
    assert Operator("op", [Eq(y[k], x[k] * s)], outputs=[y]).scalars == ("s",)


def test_intermediate_equations_are_no_outputs(batch_norm):
    x_hat = IndexedBase("x_hat")
    operator = Operator(
        "op",
        [
            *batch_norm.equations[:2],
            Eq(x_hat[i, k], (x[i, k] - mu[k]) / sqrt(var[k] + eps)),
            Eq(y[i, k], gamma[k] * x_hat[i, k]),
        ],
        outputs=[y],
    )
    assert operator.outputs == ("y",)
    assert "x_hat" not in operator.inputs
    assert operator.statistics == frozenset()


def test_an_array_may_be_read_with_other_indices_of_the_same_extent():
    j = Idx("j", (1, m))
    operator = Operator("op", [Eq(y[i, j], w[i] * w[j])], outputs=[y])
    assert operator.written["w"] in (("i",), ("j",))
    assert operator.arrays["y"] == ("m", "m")


def test_an_extent_may_be_used_as_a_number():
    operator = Operator("op", [Eq(y[k], x[k] * n)], outputs=[y])
    assert operator.scalars == ()


def test_a_declared_shape_that_fits():
    a = IndexedBase("a", shape=(m, n))
    assert Operator("op", [Eq(y[i, k], a[i, k])], outputs=[y]).inputs == ("a",)


def test_functions_and_conditions():
    expr = Piecewise((Max(x[k], 0), (x[k] > 1) & ~sympy.Eq(x[k], 3)), (Min(x[k], 0) + sympy.exp(x[k]), True))
    assert Operator("op", [Eq(y[k], expr)], outputs=[y]).inputs == ("x",)


NAMES = ["int", r"\hat{x}", "λ", "lambda", "y0", "I", "gamma", "E", "S", "N", "x_1", "x'", "Größe", "2nd", "NULL"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_not_identifiers(name):
    """As an array, as a scalar and as an index: each becomes an identifier of C and Python."""
    array = IndexedBase(Symbol(name))
    assert Operator("op", [Eq(t[k], array[k])], outputs=[t]).inputs == (name,)
    assert Operator("op", [Eq(t[k], w[k] * Symbol(name))], outputs=[t]).inputs == ("w", name)
    index = Idx(Symbol(name, integer=True), (1, m))
    assert dict(Operator("op", [Eq(t[index], w[index])], outputs=[t]).indices) == {name: "m"}
    assert identifier(name).isidentifier()


# ---- the shipped operators -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", equations.names())
def test_a_shipped_operator_is_called_as_its_file(name):
    operator, _ = equations.load(name)
    assert operator.name == name
    assert "Source:" in operator.description
