"""The shipped operators: files of equations, and gradients that nobody wrote."""

import pytest

import symbn
from symbn import catalogue, equations
from symbn.errors import ArgumentError


def test_what_is_shipped_is_the_files_and_their_gradients():
    bound = {"batch_norm", "batch_norm_add_relu", "batch_norm_inference", "batch_norm_relu"}
    bound |= {"group_norm", "instance_norm", "layer_norm", "rms_norm"}
    assert set(equations.names()) == {*bound, "running_stats"}
    assert set(catalogue.names()) == {*equations.names(), *(f"{name}_backward" for name in bound)}
    assert list(catalogue.names()) == dir(symbn.operators)
    assert not catalogue.has_gradient("running_stats")  # it is bound to no axis


def test_a_gradient_is_derived_and_bound_as_its_operator():
    operator, binding = catalogue.load("batch_norm")
    gradient, same = catalogue.load("batch_norm_backward")
    assert gradient.equations == operator.gradient().equations
    assert gradient.name == "batch_norm_backward"
    assert same == binding
    assert symbn.operators.batch_norm_backward is gradient


def test_operators_that_are_not_there():
    with pytest.raises(ArgumentError, match="there is no 'nothing'; shipped are batch_norm"):
        catalogue.load("nothing")
    with pytest.raises(AttributeError, match="nothing"):
        _ = symbn.operators.nothing
