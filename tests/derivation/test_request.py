"""What can be asked of a derivation, what is assumed where nothing is said, and each refusal."""

import pytest
from sympy import Eq, Idx, IndexedBase, Integer, Sum, log, symbols

from symbn import catalogue, equations
from symbn.derivation import request
from symbn.equations.operator import Operator
from symbn.errors import DerivationError, EquationError

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, y, w, t, dy = map(IndexedBase, "x y w t dy".split())
s, c = symbols("s c")
PRODUCT = Operator("product", [Eq(t[k], x[k] * s), Eq(y[k], t[k] * w[k])], outputs=[y, t])
BATCH_NORM = catalogue.load("batch_norm")[0]


@pytest.fixture(params=["gradient", "jvp", "derivation"])
def ask(request):
    return request.param


def refused(ask, operator, *words, **options):
    with pytest.raises(DerivationError) as caught:
        getattr(operator, ask)(**options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


# ---- refusals -------------------------------------------------------------------------------------------


def test_an_output_that_there_is_not(ask):
    refused(ask, PRODUCT, "of: 'z' is not an output of product; it has y, t", of=["z"])


def test_an_input_that_there_is_not(ask):
    refused(ask, PRODUCT, "wrt: 'y' is not an input of product; it has x, w, s", wrt=["y"])


def test_empty_lists(ask):
    refused(ask, PRODUCT, "of: the list is empty", of=[])
    refused(ask, PRODUCT, "wrt: the list is empty", wrt=())


@pytest.mark.parametrize("thing", [3, 2.5, object(), Integer(1)])
def test_what_is_no_list(ask, thing):
    refused(ask, PRODUCT, "of: ", "is not a list of names", of=thing)
    refused(ask, PRODUCT, "wrt: ", "is not a list of names", wrt=thing)


def test_what_is_no_name(ask):
    with pytest.raises((DerivationError, EquationError), match="wrt: 3 is a int; give an IndexedBase"):
        getattr(PRODUCT, ask)(wrt=[3])


def test_what_follows_from_other_inputs(ask):
    refused(ask, BATCH_NORM.gradient(), "wrt: 'mu' follows from other inputs of batch_norm_backward", wrt=["mu"])


def test_no_array_to_differentiate_by(ask):
    operator = Operator("numbers", [Eq(c, s**2)], outputs=[c])
    refused(ask, operator, "wrt: numbers has no array input; name what to differentiate by, wrt=[...]")


def test_equations_that_are_never_real(ask):
    operator = Operator("never", [Eq(y[k], log(-(x[k] ** 2) - 1))], outputs=[y])
    refused(ask, operator, "never: found no inputs at which its equations are real numbers")


def test_a_division_by_zero_everywhere(ask):
    operator = Operator("zero", [Eq(t[k], x[k] - Sum(x[k], (i, 1, m)) / m), Eq(y[i, k], w[i, k] / t[k])], outputs=[y])
    refused(ask, operator, "zero: found no inputs at which")


# ---- forms of a request ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["x", x, x[k], ["x"], [x], (x,), iter(["x"]), {"x"}, ["x", x]])
def test_forms_of_a_name(form):
    try:
        found = request.inputs(PRODUCT, form)
    except DerivationError:
        # One element alone is not among the forms that are documented.
        assert form == x[k]
    else:
        assert found == ["x"]


def test_a_scalar_as_a_symbol():
    assert PRODUCT.gradient(wrt=s).outputs == ("ds",)


def test_the_order_asked_for_is_kept():
    assert PRODUCT.gradient(wrt=["s", "x", "w"]).outputs == ("ds", "dx", "dw")
    assert PRODUCT.jvp(of=["t", "y"]).outputs == ("dt", "dy")


# ---- defaults -------------------------------------------------------------------------------------------


def test_outputs_that_others_read_have_no_cotangent():
    assert request.outputs(BATCH_NORM, None) == ["y"]
    assert BATCH_NORM.derivation().of == ("y",)


def test_where_all_outputs_are_statistics_they_all_have_one():
    operator = Operator("means", [Eq(t[k], Sum(x[i, k], (i, 1, m)))], outputs=[t], statistics=[t])
    assert operator.derivation().of == ("t",)


def test_arrays_are_differentiated_by_and_scalars_are_not():
    assert BATCH_NORM.derivation().wrt == ("x", "gamma", "beta")
    assert PRODUCT.derivation().wrt == ("x", "w")


def test_statistics_that_are_inputs_are_constants_unless_they_are_named():
    inference = catalogue.load("batch_norm_inference")[0]
    assert inference.derivation().wrt == ("x", "gamma", "beta")
    assert inference.gradient(wrt=["mu", "sigma2"]).outputs == ("dmu", "dsigma2")


def test_statistics_are_differentiated_by_where_there_is_nothing_else():
    operator = Operator("scaled", [Eq(y[k], 2 * t[k])], outputs=[y], statistics=[t])
    assert operator.derivation().wrt == ("t",)


def test_what_is_saved_is_not_differentiated_by():
    assert request.inputs(BATCH_NORM.gradient(), None) == ["dy", "x", "gamma"]


def test_tangents_of_all_outputs():
    assert BATCH_NORM.jvp().outputs == ("dy", "dmu", "dsigma2")


# ---- names ----------------------------------------------------------------------------------------------


def test_names_of_gradients():
    assert request.names(["x", "y"], {"x", "y"}) == {"x": "dx", "y": "dy"}
    assert request.names(["x"], {"dx", "dx_2"}) == {"x": "dx_3"}


def test_two_gradients_do_not_share_a_name():
    assert len(set(request.names(["x", "x_2"], {"dx"}).values())) == 2


def test_a_request_leaves_the_operator_alone():
    before = repr(PRODUCT), PRODUCT.inputs, PRODUCT.statistics
    PRODUCT.gradient()
    PRODUCT.jvp()
    assert before == (repr(PRODUCT), PRODUCT.inputs, PRODUCT.statistics)


def test_what_a_derivation_is_about():
    text = BATCH_NORM.gradient().description
    assert text.startswith("The gradient of batch_norm, derived from its equations.")
    assert "Source of the equations: S. Ioffe" in text
    assert PRODUCT.gradient().description.startswith("The gradient of product, derived from its equations.\n\n")


def test_a_gradient_says_what_it_takes_of_the_forward_pass():
    def said(operator, **wanted):
        return operator.gradient(**wanted).description.splitlines()[-1]

    assert said(BATCH_NORM) == "mu and sigma2 are taken as the forward pass saved them; beta is not needed."
    assert said(BATCH_NORM, wrt="beta") == "x, gamma, beta and epsilon are not needed."
    relu = equations.load("batch_norm_relu")[0]
    assert said(relu) == "mu and sigma2 are taken as the forward pass saved them; z is computed again."
    x, y = IndexedBase("x"), IndexedBase("y")
    m = symbols("m", integer=True, positive=True)
    i = Idx("i", (1, m))
    square = Operator("square", [Eq(y[i], x[i] ** 2)], outputs=[y])
    assert said(square) == "It takes all that the forward pass took."
