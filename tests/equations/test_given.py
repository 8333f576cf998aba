"""What an operator knows of its inputs: equations between them, and extents that nothing else has."""

import pickle

import numpy as np
import pytest
from sympy import Eq, Idx, IndexedBase, Sum, symbols

import symbn
from symbn.equations.operator import Operator
from symbn.equations.order import in_order
from symbn.errors import EquationError

pytestmark = pytest.mark.usefixtures("compiled_quickly")

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, mu, y, w, d = map(IndexedBase, ("x", "mu", "y", "w", "d"))
MEAN = Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m)


def test_a_gradient_goes_through_what_is_given():
    """y = x - mu, with mu known to be the mean: its gradient is centred, and mu has none of its own."""
    alone = Operator("centred", [Eq(y[i, k], x[i, k] - mu[k])], outputs=[y], statistics=[mu])
    known = Operator("centred", [Eq(y[i, k], x[i, k] - mu[k])], outputs=[y], statistics=[mu], given=[MEAN])
    assert "Sum" not in str(alone.gradient().equations[0])
    assert "Sum(dy" in str(known.gradient().equations[0])
    assert known.gradient().outputs == ("dx",)
    dy = np.arange(6.0).reshape(3, 2)
    kernel = symbn.build(known.gradient(), dtype="float64")
    np.testing.assert_allclose(kernel(dy=dy), dy - dy.mean(0))


def test_what_is_given_comes_before_what_reads_it():
    known = Operator("centred", [Eq(y[i, k], x[i, k] - mu[k])], outputs=[y], given=[MEAN])
    assert known.system == (MEAN, *known.equations)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([Eq(mu[k], y[i, k])], "given: these read each other: mu, y"),
        ([Eq(x[i, k], mu[k]), MEAN], "given: these read each other: x, mu"),
        ([Eq(mu[k], w[i])], "index 'i' of w"),
    ],
)
def test_equations_that_cannot_be_given(given, message):
    with pytest.raises(EquationError) as caught:
        Operator("centred", [Eq(y[i, k], x[i, k] - mu[k])], outputs=[y], given=given)
    assert message in str(caught.value)


def test_an_input_for_its_extents_alone():
    """The gradient of a sum does not read x, but has its shape."""
    operator = Operator("spread", [Eq(y[i, k], d[k])], outputs=[y], inputs=[d, x[i, k]])
    assert operator.inputs == ("d", "x")
    assert operator.arrays["x"] == ("m", "n")
    kernel = symbn.build(operator, dtype="float64")
    values = np.array([1.0, 2.0, 3.0])
    assert np.array_equal(kernel(d=values, x=np.full((4, 3), np.nan)), np.broadcast_to(values, (4, 3)))
    with pytest.raises(symbn.ArgumentError, match="expected"):
        kernel(d=values, x=np.ones((4, 2)))


def test_an_input_that_no_equation_reads_is_named_with_its_indices():
    with pytest.raises(EquationError, match="its extent m is not that of an axis of any input"):
        Operator("spread", [Eq(y[i, k], d[k])], outputs=[y])
    with pytest.raises(EquationError, match="inputs: d, x was given, but the equations read d"):
        Operator("doubled", [Eq(y[k], 2 * d[k])], outputs=[y], inputs=["d", "x"])


@pytest.mark.parametrize("optional", [{"y": "nothing"}, {"nothing": "x"}, {"mu": "x"}])
def test_optional_names_an_output_and_an_input(optional):
    with pytest.raises(EquationError, match=r"must be an output and .* an input"):
        Operator("doubled", [Eq(mu[k], w[k]), Eq(y[i, k], x[i, k] + mu[k])], outputs=[y], optional=optional)


@pytest.mark.parametrize("name", ["batch_norm_backward", "batch_norm"])
def test_derived_operators_survive_pickling(name):
    operator = getattr(symbn.operators, name).gradient()
    again = pickle.loads(pickle.dumps(operator))
    assert again == operator
    assert (again.given, again.optional, again.inputs) == (operator.given, operator.optional, operator.inputs)


def test_inputs_for_their_extents_survive_pickling():
    operator = Operator("spread", [Eq(y[i, k], d[k])], outputs=[y], inputs=[d, x[i, k]])
    assert pickle.loads(pickle.dumps(operator)).arrays == operator.arrays


def test_order_is_kept_where_it_can_be():
    reads = {"a": {"c"}, "b": set(), "c": set(), "d": {"a", "b"}}
    assert in_order("dabc", lambda one: one, reads.get) == ["b", "c", "a", "d"]
    with pytest.raises(ValueError, match="these read each other: a, b"):
        in_order("ab", lambda one: one, {"a": {"b"}, "b": {"a"}}.get)
