"""Gradients of products, maxima and minima agree with PyTorch's, where terms tie, are zero, or lie far from zero."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sympy import Abs, Eq, Idx, IndexedBase, Product, Sum, exp, log, symbols

import symbn
from symbn import ReduceMax, ReduceMin

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("compiled_quickly")

m, n = symbols("m n", integer=True, positive=True)
i, j, k, s = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n)), Idx("s", (1, m))
x, y, e, t, low, mu, squares = map(IndexedBase, "x y e t low mu squares".split())
TOP = ReduceMax(x[i, k], (i, 1, m))
CASES = {
    "amax": ([Eq(y[k], TOP)], lambda a: a.amax(0)),
    "amin": ([Eq(y[k], ReduceMin(x[i, k], (i, 1, m)))], lambda a: a.amin(0)),
    "prod": ([Eq(y[k], Product(x[i, k], (i, 1, m)))], lambda a: a.prod(0)),
    "logsumexp": (
        [Eq(t[k], TOP), Eq(y[k], t[k] + log(Sum(exp(x[i, k] - t[k]), (i, 1, m))))],
        lambda a: torch.logsumexp(a, 0),
    ),
    "softmax": (
        [Eq(t[k], TOP), Eq(e[i, k], exp(x[i, k] - t[k])), Eq(y[i, k], e[i, k] / Sum(e[j, k], (j, 1, m)))],
        lambda a: torch.softmax(a, 0),
    ),
    "softmax inline": (
        [
            Eq(
                y[i, k],
                exp(x[i, k] - ReduceMax(x[j, k], (j, 1, m)))
                / Sum(exp(x[j, k] - ReduceMax(x[s, k], (s, 1, m))), (j, 1, m)),
            )
        ],
        lambda a: torch.softmax(a, 0),
    ),
    "by the largest magnitude": (
        [Eq(y[i, k], x[i, k] / ReduceMax(Abs(x[j, k]), (j, 1, m)))],
        lambda a: a / a.abs().amax(0),
    ),
    "by the largest deviation": (
        [
            Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
            Eq(t[k], ReduceMax(Abs(x[i, k] - mu[k]), (i, 1, m))),
            Eq(y[i, k], (x[i, k] - mu[k]) / t[k]),
        ],
        lambda a: (a - a.mean(0)) / (a - a.mean(0)).abs().amax(0),
    ),
    "by the range": (
        [
            Eq(t[k], TOP),
            Eq(low[k], ReduceMin(x[i, k], (i, 1, m))),
            Eq(y[i, k], (x[i, k] - low[k]) / (t[k] - low[k])),
        ],
        lambda a: (a - a.amin(0)) / (a.amax(0) - a.amin(0)),
    ),
    "largest of row sums": (
        [Eq(t[k], ReduceMax(Sum(x[i, k] ** 2, (k, 1, n)) * x[i, k], (i, 1, m))), Eq(y[i, k], x[i, k] * t[k])],
        lambda a: a * ((a**2).sum(1, keepdim=True) * a).amax(0),
    ),
}
DATA = {
    "ordinary": lambda rng, shape: rng.standard_normal(shape),
    "ties": lambda rng, shape: rng.integers(-2, 3, shape) * 1.0,
    "far from zero": lambda rng, shape: 1e6 + rng.standard_normal(shape),
}
NEAR = {"float32": 3e-5, "float64": 1e-8}
#: their gradients find again which term it was
FOUND_AGAIN = ["by the largest magnitude", "by the largest deviation", "by the range"]
#: each case in one dtype; those that find a term again, and products, which other tests take in both, in both
PAIRS = {(name, ("float32", "float64")[number % 2]) for number, name in enumerate(CASES)} | {
    (name, dtype) for name in ("prod", *FOUND_AGAIN) for dtype in NEAR
}


@cache
def operator(name):
    equations, _ = CASES[name]
    if name == "largest of row sums":
        h = Idx("h", (1, n))
        equations = [
            Eq(squares[i], Sum(x[i, h] ** 2, (h, 1, n))),
            Eq(t[k], ReduceMax(squares[i] * x[i, k], (i, 1, m))),
            equations[1],
        ]
    return symbn.Operator("a_case", equations, outputs=[y])


@cache
def kernels(name, dtype):
    one = operator(name)
    return symbn.build(one.gradient(), dtype=dtype), symbn.build(one.jvp(), dtype=dtype)


def compare(name, samples, rng):
    """The gradient and the tangent of a kernel, with its own check, and autograd's in float64."""
    dtype, function = str(samples.dtype), CASES[name][1]
    leaf = torch.from_numpy(np.array(samples, np.float64, order="C")).requires_grad_()
    result = function(leaf)
    dy = rng.standard_normal(result.shape).astype(dtype)
    (wanted,) = torch.autograd.grad(result, leaf, torch.from_numpy(dy.astype(np.float64)))
    wanted = wanted.numpy()
    backward, forward = kernels(name, dtype)
    dx = backward(dy=dy, x=samples, check="full")
    scale = np.abs(wanted).max(axis=0)
    assert np.all(np.abs(dx - wanted) <= NEAR[dtype] * scale), name
    direction = rng.standard_normal(samples.shape).astype(dtype)
    tangent = np.asarray(forward(dx=direction, x=samples, check="full"), np.float64)
    left, right = tangent * dy, wanted * direction
    assert abs(left.sum() - right.sum()) <= NEAR[dtype] * (np.abs(left).sum() + np.abs(right).sum())


@pytest.mark.parametrize(("name", "dtype"), sorted(PAIRS))
def test_they_agree_with_autograd(rng, name, dtype):
    for shape in [(4, 3), (17, 130), (700, 5)]:
        for kind, draw in DATA.items():
            samples = draw(rng, shape)
            if name == "prod":
                samples = np.sign(samples) * np.abs(samples / np.abs(samples).max()) ** 0.01
            elif name == "by the range" and kind == "ties":
                samples[0], samples[1] = -2, 2
            elif name.startswith("by the") and kind == "ties":
                samples[0], samples[1] = 3, -1
            for array in (np.array(samples, dtype), np.asfortranarray(samples, dtype), np.array(samples, dtype)[::-1]):
                compare(name, array, rng)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_a_product_with_zeros(rng, dtype, zeros):
    samples = rng.uniform(0.5, 1.5, (20, 6)).astype(dtype)
    for column in range(5):
        samples[rng.choice(20, zeros, replace=False), column] = 0
    samples[3, 5] = -0.0
    compare("prod", samples, rng)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FOUND_AGAIN)
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_each_maximum_has_a_term_that_is_it(rng, name, dtype, offset):
    """Or its gradient would be 0/0: the terms are computed twice, and must come out the same."""
    backward, _ = kernels(name, dtype)
    for shape in [(3, 130), (70, 5), (1030, 17), (5003, 3)]:
        samples = (rng.standard_normal(shape) + offset).astype(dtype)
        samples[0], samples[1] = offset - 30, offset + 31
        dy = rng.standard_normal(shape).astype(dtype)
        results = set()
        for array in (samples, np.asfortranarray(samples), np.repeat(samples, 2, axis=0)[::2]):
            dx = backward(dy=dy, x=array, check="full")
            assert np.isfinite(dx).all()
            results.add(np.ascontiguousarray(dx).tobytes())
        assert len(results) == 1


def test_a_maximum_without_a_number_has_no_gradient(rng):
    samples = rng.standard_normal((20, 3))
    samples[4, 1] = np.nan
    dx = kernels("amax", "float64")[0](dy=np.ones(3), x=samples, check="full")
    assert np.isnan(dx[:, 1]).all()
    assert np.isfinite(dx[:, [0, 2]]).all()


@pytest.mark.parametrize("name", ["softmax", "logsumexp", "by the largest magnitude", "by the range", "prod"])
def test_the_second_order(rng, name):
    """Of a random direction in dx, by autograd twice and by the gradient of the gradient."""
    function, first = CASES[name][1], operator(name).gradient()
    second = symbn.build(first.gradient(wrt=["x"]), dtype="float64")
    samples = rng.standard_normal((9, 4))
    leaf = torch.from_numpy(samples).requires_grad_()
    result = function(leaf)
    dy = torch.from_numpy(rng.standard_normal(result.shape))
    (dx,) = torch.autograd.grad(result, leaf, dy, create_graph=True)
    weights = torch.from_numpy(rng.standard_normal(samples.shape))
    (wanted,) = torch.autograd.grad(dx, leaf, weights)
    given = {"ddx": weights.numpy(), "dy": dy.numpy(), "x": samples}
    found = second(**{one: given[one] for one in second.operator.inputs}, check="full")
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-9, atol=1e-9 * np.abs(wanted.numpy()).max())
