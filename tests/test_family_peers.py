"""The shipped family agrees with PyTorch on ordinary data, within PyTorch's own accuracy."""

from __future__ import annotations

import numpy as np
import pytest

import symbn

torch = pytest.importorskip("torch")
F = torch.nn.functional

NEAR = {np.float32: {"rtol": 1e-4, "atol": 5e-5}, np.float64: {"rtol": 1e-10, "atol": 1e-12}}


def as_rows(x, parameters, eps, axis):
    shape = x.shape[axis:]
    gamma, beta = parameters.get("gamma"), parameters.get("beta")
    return F.layer_norm(x, shape, gamma, beta, eps)


def as_features(x, parameters, eps, axis):
    y = F.batch_norm(x.movedim(axis, 1), None, None, *map(parameters.get, ("gamma", "beta")), training=True, eps=eps)
    return y.movedim(1, axis)


def as_groups(x, parameters, eps, num_groups):
    # With a bias and no weight PyTorch's own gradient fails: "tensor does not have a device".
    gamma = parameters.get("gamma", torch.ones(x.shape[1], dtype=x.dtype))
    return F.group_norm(x, num_groups, gamma, parameters.get("beta"), eps)


PEERS = {
    "layer_norm": as_rows,
    "rms_norm": lambda x, given, eps, axis: F.rms_norm(x, x.shape[axis:], given.get("gamma"), eps),
    "group_norm": as_groups,
    "instance_norm": lambda x, given, eps: F.instance_norm(
        x, None, None, given.get("gamma"), given.get("beta"), True, 0.1, eps
    ),
    "batch_norm_relu": lambda x, given, eps, axis: F.relu(as_features(x, given, eps, axis)),
    "batch_norm_add_relu": lambda x, given, eps, axis, residual: F.relu(as_features(x, given, eps, axis) + residual),
}


def examples(norm):
    """Those that PyTorch has, too: its batch norm wants two axes, its instance norm positions."""
    for shape, where in norm.examples:
        if norm.name == "instance_norm" and len(shape) == 2:
            continue
        yield (1, *shape[1:]) if norm.name == "group_norm" and len(shape) == 5 else shape, where


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("left", "eps"), [((), 1e-5), ((), 0.25), (("gamma",), 1e-5), (("beta",), 0.25), (("gamma", "beta"), 1e-5)]
)
def test_results_and_gradients_agree(norm, rng, dtype, left, eps):
    for shape, where in examples(norm):
        case = norm.case(rng, shape, where, dtype, offset=1).without(*left)
        result = case.forward(eps=eps)
        found = dict(zip(norm.gradients, case.backward(result[1:], eps=eps), strict=True))
        leaves = {name: torch.tensor(one, requires_grad=True) for name, one in (case.data | case.parameters).items()}
        data = {name: leaves[name] for name in case.data}
        y = PEERS[norm.name](data.pop("x"), leaves, eps, **where, **data)
        # two samples nearly cancel in dx; PyTorch's float32 then has few digits
        two = dtype is np.float32 and np.bincount(case.parts.statistic.ravel())[0] == 2
        near = NEAR[dtype] | ({"atol": 1e-3} if two else {})
        np.testing.assert_allclose(result.y, y.detach().numpy(), **NEAR[dtype])
        gradients = torch.autograd.grad(y, list(leaves.values()), torch.tensor(case.dy))
        for name, theirs in zip(leaves, gradients, strict=True):
            np.testing.assert_allclose(found[f"d{name}"], theirs.numpy(), **near, err_msg=f"{name} {shape}")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_statistics_agree(rng, dtype):
    """PyTorch's native layer norm returns the mean and the reciprocal of the root."""
    x = rng.standard_normal((5, 4, 30)).astype(dtype) + dtype(1)
    _, mean, reciprocal = torch.native_layer_norm(torch.tensor(x), (30,), None, None, 1e-5)
    result = symbn.layer_norm(x)
    np.testing.assert_allclose(result.mean, mean.numpy()[..., 0], **NEAR[dtype])
    np.testing.assert_allclose(1 / np.sqrt(result.var + 1e-5), reciprocal.numpy()[..., 0], **NEAR[dtype])
    _, mean, reciprocal = torch.native_group_norm(torch.tensor(x), None, None, 5, 4, 30, 2, 1e-5)
    result = symbn.group_norm(x, 2)
    np.testing.assert_allclose(result.mean, mean.numpy(), **NEAR[dtype])
    np.testing.assert_allclose(1 / np.sqrt(result.var + 1e-5), reciprocal.numpy(), **NEAR[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_activation_of_zero_has_no_gradient_in_either(dtype):
    x, dy = np.full((4, 2), 3, dtype), np.ones((4, 2), dtype)
    leaf = torch.tensor(x, requires_grad=True)
    F.relu(F.batch_norm(leaf, None, None, training=True)).backward(torch.tensor(dy))
    _, mean, var = symbn.batch_norm_relu(x)
    assert np.array_equal(symbn.batch_norm_relu_backward(dy, x, mean, var).dx, leaf.grad.numpy())


def test_a_large_mean_is_better_than_the_peer(rng):
    """At mean/std 1e4 PyTorch's float32 keeps three digits of layer norm or fewer."""
    x = (rng.standard_normal((50, 64)) + 1e4).astype(np.float32)
    wide = x.astype(np.float64)
    exact = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    ours = np.abs(symbn.layer_norm(x).y - exact).max()
    theirs = np.abs(F.layer_norm(torch.tensor(x), (64,)).numpy() - exact).max()
    assert ours < 1.3e-7 * np.abs(exact).max()
    assert ours < theirs
