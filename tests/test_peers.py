"""Agreement with PyTorch on ordinary data, within PyTorch's own float32 accuracy."""

from __future__ import annotations

import numpy as np
import pytest

import symbn

torch = pytest.importorskip("torch")

LAYOUTS = [((64, 7), None), ((8, 7, 5, 6), None), ((8, 7, 5, 6), "channels last"), ((4, 7, 30), None)]
TOLERANCE = {np.float32: {"rtol": 2e-5, "atol": 2e-6}, np.float64: {"rtol": 1e-12, "atol": 1e-13}}


def ordinary(rng, shape, memory, dtype):
    x = (rng.standard_normal(shape) * 2 + 0.5).astype(dtype)
    if memory:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return x, rng.uniform(0.5, 2, 7).astype(dtype), rng.standard_normal(7).astype(dtype)


def peer(*arrays):
    return [None if one is None else torch.from_numpy(one) for one in arrays]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "memory"), LAYOUTS)
@pytest.mark.parametrize("affine", [True, False])
def test_training_agrees(rng, dtype, shape, memory, affine):
    x, gamma, beta = ordinary(rng, shape, memory, dtype)
    if not affine:
        gamma = beta = None
    result = symbn.batch_norm(x, gamma, beta)
    theirs, weight, bias = peer(x, gamma, beta)
    y = torch.nn.functional.batch_norm(theirs, None, None, weight, bias, training=True)
    np.testing.assert_allclose(result.y, y.numpy(), **TOLERANCE[dtype])
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    np.testing.assert_allclose(result.mean, theirs.mean(axes).numpy(), **TOLERANCE[dtype])
    np.testing.assert_allclose(result.var, theirs.var(axes, correction=0).numpy(), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "memory"), LAYOUTS)
def test_inference_agrees(rng, dtype, shape, memory):
    x, gamma, beta = ordinary(rng, shape, memory, dtype)
    mean, var = rng.standard_normal(7).astype(dtype), rng.uniform(0.5, 2, 7).astype(dtype)
    y = symbn.batch_norm_inference(x, mean, var, gamma, beta, eps=1e-3)
    theirs = torch.nn.functional.batch_norm(*peer(x, mean, var, gamma, beta), training=False, eps=1e-3)
    np.testing.assert_allclose(y, theirs.numpy(), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("momentum", [0.1, 0.9, 1.0, 0.0, None])
@pytest.mark.parametrize(("shape", "memory"), LAYOUTS)
def test_running_statistics_agree_over_several_batches(rng, dtype, momentum, shape, memory):
    """PyTorch's running variance is the unbiased one; momentum=None is its cumulative average."""
    kind = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}[len(shape)]
    module = kind(7, momentum=momentum, dtype=getattr(torch, np.dtype(dtype).name))
    running = np.zeros(7, dtype), np.ones(7, dtype)
    for number in range(1, 5):
        x, _, _ = ordinary(rng, shape, memory, dtype)
        module(torch.from_numpy(x))
        result = symbn.batch_norm(x)
        symbn.update_running_stats(
            *running, result.mean, result.var, x.size // 7, momentum, num_batches_tracked=number, out=running
        )
    np.testing.assert_allclose(running[0], module.running_mean.numpy(), **TOLERANCE[dtype])
    np.testing.assert_allclose(running[1], module.running_var.numpy(), **TOLERANCE[dtype])


def test_a_constant_feature_is_better_than_the_peer():
    x = np.full((6, 1), 1e7, np.float32)
    assert not symbn.batch_norm(x).y.any()
