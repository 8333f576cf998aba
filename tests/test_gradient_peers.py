"""Gradients agree with PyTorch's where PyTorch is right, up to the order where it no longer is."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path

import mpmath
import numpy as np
import pytest

import symbn

torch = pytest.importorskip("torch")
F = torch.nn.functional

pytestmark = pytest.mark.usefixtures("compiled_quickly")

USERS = runpy.run_path(str(Path(__file__).parent / "kernel" / "user_operators.py"))["OPERATORS"]
SHAPES = [(64, 7), (2, 7), (8, 7, 30), (8, 7, 5, 6), (2, 7, 3, 4, 5), (1, 7, 3, 3), (700, 7)]
NEAR = {np.float32: {"rtol": 2e-4, "atol": 2e-5}, np.float64: {"rtol": 1e-10, "atol": 1e-12}}


def leaf(array):
    """A tensor to differentiate by."""
    return None if array is None else torch.from_numpy(array).requires_grad_()


def gradients(y, inputs, dy, **options):
    return [one.numpy() for one in torch.autograd.grad(y, inputs, torch.from_numpy(dy), **options)]


def ordinary(rng, shape, dtype, memory=None):
    x, dy = (rng.standard_normal(shape).astype(dtype) * 2 + dtype(0.5) for _ in range(2))
    if memory:
        x, dy = (np.ascontiguousarray(np.moveaxis(one, 1, -1)) for one in (x, dy))
        x, dy = (np.moveaxis(one, -1, 1) for one in (x, dy))
    return dy, x, rng.uniform(0.5, 2, shape[1]).astype(dtype), rng.standard_normal(shape[1]).astype(dtype)


@cache
def kernel(operator):
    return symbn.build(operator, dtype="float64")


# ---- first order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("memory", [None, "channels last"])
@pytest.mark.parametrize("eps", [1e-5, 0.25])
@pytest.mark.parametrize("affine", [True, False])
def test_training_gradients_agree(rng, dtype, shape, memory, eps, affine):
    dy, x, gamma, beta = ordinary(rng, shape, dtype, memory)
    _, mean, var = symbn.batch_norm(x, eps=eps)
    result = symbn.batch_norm_backward(dy, x, mean, var, gamma if affine else None, eps)
    theirs, weight, bias = leaf(x), leaf(gamma if affine else None), leaf(beta)
    y = F.batch_norm(theirs, None, None, weight, bias, training=True, eps=eps)
    inputs = [theirs, bias, *([weight] if affine else [])]
    dx, dbeta, *dgamma = gradients(y, inputs, dy)
    # two samples nearly cancel in dx; PyTorch's float32 then has few digits
    near = NEAR[dtype] | ({"atol": 1e-3} if shape == (2, 7) and dtype is np.float32 else {})
    np.testing.assert_allclose(result.dx, dx, **near)
    np.testing.assert_allclose(result.dbeta, dbeta, **NEAR[dtype])
    if affine:
        np.testing.assert_allclose(result.dgamma, dgamma[0], **NEAR[dtype])
    else:
        assert result.dgamma is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [True, False])
def test_inference_gradients_agree(rng, dtype, shape, affine):
    dy, x, gamma, beta = ordinary(rng, shape, dtype)
    mean, var = rng.standard_normal(7).astype(dtype), rng.uniform(0.5, 2, 7).astype(dtype)
    result = symbn.batch_norm_inference_backward(dy, x, mean, var, gamma if affine else None, eps=1e-3)
    theirs, weight, bias = leaf(x), leaf(gamma if affine else None), leaf(beta)
    statistics = torch.from_numpy(mean), torch.from_numpy(var)
    y = F.batch_norm(theirs, *statistics, weight, bias, training=False, eps=1e-3)
    dx, dbeta, *dgamma = gradients(y, [theirs, bias, *([weight] if affine else [])], dy)
    np.testing.assert_allclose(result.dx, dx, **NEAR[dtype])
    np.testing.assert_allclose(result.dbeta, dbeta, **NEAR[dtype])
    if affine:
        np.testing.assert_allclose(result.dgamma, dgamma[0], **NEAR[dtype])
    else:
        assert result.dgamma is None


@pytest.mark.parametrize("shape", [(9, 5), (2, 40), (130, 3)])
def test_layer_norm_gradients_agree(rng, shape):
    operator = USERS["row_norm"]
    dy, x, gamma, beta = ordinary(rng, shape, np.float64)
    saved = {"mu": x.mean(axis=1), "sigma2": x.var(axis=1)}
    found = kernel(operator.gradient())(dy=dy, x=x, gamma=gamma, epsilon=1e-5, **saved)
    inputs = [leaf(one) for one in (x, gamma, beta)]
    expected = gradients(F.layer_norm(inputs[0], shape[1:], *inputs[1:], eps=1e-5), inputs, dy)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, **NEAR[np.float64])


@pytest.mark.parametrize("shape", [(9, 5), (2, 40), (130, 3)])
def test_rms_norm_gradients_agree(rng, shape):
    dy, x, gamma, _ = ordinary(rng, shape, np.float64)
    found = kernel(USERS["root_mean_square_norm"].gradient())(dy=dy, x=x, gamma=gamma, epsilon=1e-5)
    inputs = [leaf(one) for one in (x, gamma)]
    expected = gradients(F.rms_norm(inputs[0], shape[1:], inputs[1], eps=1e-5), inputs, dy)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, **NEAR[np.float64])


def test_group_norm_gradients_agree(rng):
    """Channels in groups are two indices; what PyTorch calls channels is both."""
    x, dy = rng.standard_normal((5, 3, 4, 30)) + 1, rng.standard_normal((5, 3, 4, 30))
    gamma, beta = rng.uniform(0.5, 2, (3, 4)), rng.standard_normal((3, 4))
    saved = {"mu": x.mean(axis=(2, 3)), "sigma2": x.var(axis=(2, 3))}
    found = kernel(USERS["grouped_norm"].gradient())(dy=dy, x=x, gamma=gamma, epsilon=1e-5, **saved)
    inputs = [leaf(one) for one in (x.reshape(5, 12, 30), gamma.reshape(-1), beta.reshape(-1))]
    expected = gradients(F.group_norm(inputs[0], 3, *inputs[1:], eps=1e-5), inputs, dy.reshape(5, 12, 30))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.reshape(one.shape), **NEAR[np.float64])


# ---- second order ---------------------------------------------------------------------------------------


@cache
def second_order():
    return symbn.operators.batch_norm.gradient().gradient()


@pytest.mark.parametrize("shape", [(5, 3), (64, 7), (2, 4)])
@pytest.mark.parametrize("eps", [1e-5, 0.25])
def test_double_backward_agrees(rng, shape, eps):
    dy, x, gamma, beta = ordinary(rng, shape, np.float64)
    ddx, ddgamma, ddbeta = rng.standard_normal(shape), *rng.standard_normal((2, shape[1]))
    _, mean, var = symbn.batch_norm(x)
    found = kernel(second_order())(
        ddx=ddx, ddgamma=ddgamma, ddbeta=ddbeta, dy=dy, x=x, mu=mean, sigma2=var, gamma=gamma, epsilon=eps
    )
    inputs = [leaf(one) for one in (x, gamma, beta)]
    cotangent = leaf(dy)
    y = F.batch_norm(inputs[0], None, None, *inputs[1:], training=True, eps=eps)
    first = torch.autograd.grad(y, inputs, cotangent, create_graph=True)
    seeds = [torch.from_numpy(one) for one in (ddx, ddgamma, ddbeta)]
    expected = torch.autograd.grad(first, [cotangent, inputs[0], inputs[1]], seeds)
    for name, one, other in zip(found._fields, found, expected, strict=True):
        scale = np.abs(other.numpy()).max()
        tolerance = 1e-9 if shape[0] == 2 else 1e-11  # two samples cancel
        np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=tolerance * max(scale, 1), err_msg=name)


# ---- third order, where PyTorch's own batch norm takes the saved statistics for constants -----------------


@cache
def third_order():
    """By forward mode; test_gradient_orders.py has reverse mode."""
    return symbn.operators.batch_norm.jvp(of="y", wrt="x").jvp(of="dy", wrt="x").jvp(of="ddy", wrt="x")


X = np.array([[0.3], [-0.7], [1.1], [0.4]])
V = np.array([[1.0], [0.2], [-0.5], [0.3]])
W = np.array([[1.0], [-2.0], [0.5], [1.0]])


def exact_third(x, v, w, eps):
    """d^3/dt^3 <batch_norm(x + t v), w> at t = 0, with 60 digits."""

    def along(t):
        moved = [mpmath.mpf(float(a)) + t * mpmath.mpf(float(b)) for a, b in zip(x[:, 0], v[:, 0], strict=True)]
        mean = mpmath.fsum(moved) / len(moved)
        root = mpmath.sqrt(mpmath.fsum((one - mean) ** 2 for one in moved) / len(moved) + mpmath.mpf(eps))
        return mpmath.fsum((one - mean) / root * mpmath.mpf(float(c)) for one, c in zip(moved, w[:, 0], strict=True))

    return float(mpmath.diff(along, 0, 3))


def composed(x, eps):
    centred = x - x.mean(0)
    return centred / torch.sqrt((centred**2).mean(0) + eps)


def autograd_third(function, x, v, w):
    x, v, w = leaf(x), torch.from_numpy(v), torch.from_numpy(w)
    value = (function(x) * w).sum()
    for _ in range(3):
        (gradient,) = torch.autograd.grad(value, x, create_graph=True)
        value = (gradient * v).sum()
    return float(value.detach())


@pytest.mark.parametrize("eps", [1e-5, 0.25])
def test_the_third_derivative_is_right(rng, eps):
    """PyTorch's fused one gives -8.2 for -6.7 and -2.9 for -2.6 at the first of these points."""
    operator = third_order()
    for shape in (None, (3, 1), (12, 1)):
        x, v, w = (X, V, W) if shape is None else rng.standard_normal((3, *shape))
        _, mean, var = symbn.batch_norm(x)
        values = {"x": x, "mu": mean, "sigma2": var, "epsilon": eps}
        values |= dict.fromkeys([one for one in operator.inputs if one.startswith("d")], v)
        found = (kernel(operator)(**{one: values[one] for one in operator.inputs if one in values}) * w).sum()
        expected = exact_third(x, v, w, eps)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        theirs = autograd_third(lambda one: composed(one, eps), x, v, w)
        np.testing.assert_allclose(theirs, expected, rtol=1e-9, atol=1e-9)
