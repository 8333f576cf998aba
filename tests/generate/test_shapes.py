"""What a function's documentation says of shapes and axes."""

from __future__ import annotations

import inspect

import pytest

import symbn
from symbn import equations
from symbn.equations.binding import AxisBinding
from symbn.generate import shapes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("batch_norm", {"x": "any shape", "gamma": "shape (n,)", "mu": "shape (n,)", "y": "any shape"}),
        ("batch_norm_add_relu", {"residual": "any shape", "beta": "shape (n,)"}),
        ("layer_norm", {"x": "any shape", "gamma": "shape ``x.shape[axis:]``", "sigma2": "shape ``x.shape[:axis]``"}),
        ("rms_norm", {"gamma": "shape ``x.shape[axis:]``", "mean_square": "shape ``x.shape[:axis]``"}),
        ("group_norm", {"x": "shape (N, G * K, ...)", "gamma": "shape (G * K,)", "mu": "shape (N, G)"}),
        ("instance_norm", {"x": "shape (N, C, ...)", "beta": "shape (C,)", "sigma2": "shape (N, C)"}),
    ],
)
def test_shapes_in_the_callers_words(name, expected):
    operator, binding = equations.load(name)
    assert {one: shapes.shape(operator, binding, one) for one in expected} == expected


def test_without_a_binding_each_index_has_an_axis():
    operator, binding = equations.load("running_stats")
    assert binding is None
    assert {shapes.shape(operator, None, name) for name in operator.arrays} == {"shape (n,)"}
    matrix, _ = equations.load("layer_norm")
    assert shapes.shape(matrix, None, "x") == "shape (m, n)"


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (
            {"k": "axis", "i": "..."},
            "Index k lies on ``axis``, i stands for all other axes together.",
        ),
        (
            {"i": ":axis", "k": "axis:"},
            "Index i stands for the axes before ``axis``, k stands for the axes from ``axis`` on.",
        ),
        ({"n": "0", "s": "2:"}, "Index n lies on 0, s stands for the axes from 2 on."),
    ],
)
def test_places_as_a_sentence(places, expected):
    assert shapes.places(AxisBinding(places, axis=-1)) == expected


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("layer_norm", "x, gamma=None, beta=None, eps=1e-05, axis=-1, *, out=None, check=None"),
        ("rms_norm", "x, gamma=None, eps=1e-06, axis=-1, *, out=None, check=None"),
        ("group_norm", "x, num_groups, gamma=None, beta=None, eps=1e-05, *, out=None, check=None"),
        ("instance_norm", "x, gamma=None, beta=None, eps=1e-05, *, out=None, check=None"),
        ("batch_norm_relu", "x, gamma=None, beta=None, eps=1e-05, axis=1, *, out=None, check=None"),
        ("batch_norm_add_relu", "x, residual, gamma=None, beta=None, eps=1e-05, axis=1, *, out=None, check=None"),
        ("layer_norm_backward", "dy, x, mean, var, gamma=None, eps=1e-05, axis=-1, *, out=None, check=None"),
        ("rms_norm_backward", "dy, x, mean_square, gamma=None, eps=1e-06, axis=-1, *, out=None, check=None"),
        ("group_norm_backward", "dy, x, mean, var, num_groups, gamma=None, eps=1e-05, *, out=None, check=None"),
        ("instance_norm_backward", "dy, x, mean, var, gamma=None, eps=1e-05, *, out=None, check=None"),
    ],
)
def test_signatures(name, parameters):
    function = getattr(symbn, name)
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in inspect.signature(function).parameters.values()]
    assert str(inspect.Signature(plain)) == f"({parameters})"
    for parameter in inspect.signature(function).parameters:
        assert f"    {parameter} : " in function.__doc__
