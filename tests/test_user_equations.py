"""Equations as a user would write them: results and gradients are those of PyTorch's functions, in every layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from sympy import Abs, Eq, Idx, IndexedBase, Max, Min, Piecewise, Product, Sum, exp, log, sqrt, symbols

import symbn
from symbn import ReduceMax, ReduceMin

torch = pytest.importorskip("torch")
F = torch.nn.functional

pytestmark = pytest.mark.usefixtures("compiled_quickly")

m, n, p, q = symbols("m n p q", integer=True, positive=True)
i, j, r, k, h = Idx("i", (1, m)), Idx("j", (1, m)), Idx("r", (1, m)), Idx("k", (1, n)), Idx("h", (1, n))
c, e, s, rgb = Idx("c", (1, p)), Idx("e", (1, p)), Idx("s", (1, q)), Idx("rgb", (1, 3))
x, y, z, w, v, t, a, d = map(IndexedBase, "x y z w v t a d".split())
mu, var, gamma, beta = map(IndexedBase, "mu var gamma beta".split())
mi, vi, ml, vl, mb, vb = map(IndexedBase, "mi vi ml vl mb vb".split())
loss, total, part, rest = symbols("loss total part rest")
epsilon, delta = symbols("epsilon delta", positive=True)
EPS, DELTA, PART, REST = 1e-3, 0.8, 0.3, 0.45
SIZES = {"m": 6, "n": 5, "p": 3, "q": 4}

OVER_I, OVER_J, OVER_R, OVER_K, OVER_H, OVER_C, OVER_E, OVER_S, OVER_RGB = (
    (one, 1, extent) for one, extent in ((i, m), (j, m), (r, m), (k, n), (h, n), (c, p), (e, p), (s, q), (rgb, 3))
)


class Case(NamedTuple):
    """Equations, of which the first output is compared, and the same by hand."""

    equations: list[Eq]
    output: Any
    by_hand: Callable[..., Any]
    positive: tuple[str, ...] = ()


def centred(data, weights, dims):
    mean = (weights * data).sum(dims, keepdim=True) / weights.sum()
    return data - mean, (weights * (data - mean) ** 2).sum(dims, keepdim=True) / weights.sum()


def weighted_batch_norm(x, w, gamma, beta):
    away, spread = centred(x, w[:, None], 0)
    return gamma * away / torch.sqrt(spread + EPS) + beta


def switchable(x, gamma, beta):
    shares = (PART, REST, 1 - PART - REST)
    means = [x.mean(dims, keepdim=True) for dims in (2, (1, 2), (0, 2))]
    spreads = [x.var(dims, correction=0, keepdim=True) for dims in (2, (1, 2), (0, 2))]
    mean, spread = (sum(share * one for share, one in zip(shares, ones, strict=True)) for ones in (means, spreads))
    return gamma[:, None] * (x - mean) / torch.sqrt(spread + EPS) + beta[:, None]


def discrepancy(x, z):
    def mean(one, other):
        return torch.exp(-((one[:, None] - other) ** 2).sum(-1) / DELTA).mean()

    return mean(x, x) - 2 * mean(x, z) + mean(z, z)


def filter_response_norm(x, gamma, beta, t):
    normal = gamma[:, None] * x / torch.sqrt((x**2).mean(2, keepdim=True) + EPS) + beta[:, None]
    return torch.maximum(normal, t[:, None])


def kernel_mean(one, other, *over):
    return Sum(exp(-Sum((one - other) ** 2, OVER_K) / delta), *over)


CASES = {
    "weighted batch norm": Case(
        [
            Eq(total, Sum(w[i], OVER_I)),
            Eq(mu[k], Sum(w[i] * x[i, k], OVER_I) / total),
            Eq(var[k], Sum(w[i] * (x[i, k] - mu[k]) ** 2, OVER_I) / total),
            Eq(y[i, k], gamma[k] * (x[i, k] - mu[k]) / sqrt(var[k] + epsilon) + beta[k]),
        ],
        y,
        weighted_batch_norm,
        positive=("w",),
    ),
    "batch norm in one line": Case(
        [
            Eq(
                y[i, k],
                (x[i, k] - Sum(x[j, k], OVER_J) / m)
                / sqrt(Sum((x[j, k] - Sum(x[r, k], OVER_R) / m) ** 2, OVER_J) / m + epsilon),
            )
        ],
        y,
        lambda x: F.batch_norm(x, None, None, training=True, eps=EPS),
    ),
    "switchable norm": Case(
        [
            Eq(mi[i, c], Sum(x[i, c, s], OVER_S) / q),
            Eq(vi[i, c], Sum((x[i, c, s] - mi[i, c]) ** 2, OVER_S) / q),
            Eq(ml[i], Sum(mi[i, c], OVER_C) / p),
            Eq(vl[i], Sum(vi[i, c] + mi[i, c] ** 2, OVER_C) / p - ml[i] ** 2),
            Eq(mb[c], Sum(mi[i, c], OVER_I) / m),
            Eq(vb[c], Sum(vi[i, c] + mi[i, c] ** 2, OVER_I) / m - mb[c] ** 2),
            Eq(a[i, c], part * mi[i, c] + rest * ml[i] + (1 - part - rest) * mb[c]),
            Eq(d[i, c], part * vi[i, c] + rest * vl[i] + (1 - part - rest) * vb[c]),
            Eq(y[i, c, s], gamma[c] * (x[i, c, s] - a[i, c]) / sqrt(d[i, c] + epsilon) + beta[c]),
        ],
        y,
        switchable,
    ),
    "filter response norm": Case(
        [
            Eq(v[i, c], Sum(x[i, c, s] ** 2, OVER_S) / q),
            Eq(y[i, c, s], Max(gamma[c] * x[i, c, s] / sqrt(v[i, c] + epsilon) + beta[c], t[c])),
        ],
        y,
        filter_response_norm,
    ),
    "attention": Case(
        [
            Eq(a[i, j], Sum(x[i, k] * z[j, k], OVER_K) / sqrt(n)),
            Eq(t[i], ReduceMax(a[i, j], OVER_J)),
            Eq(v[i, j], exp(a[i, j] - t[i])),
            Eq(y[i, c], Sum(v[i, j] * w[j, c], OVER_J) / Sum(v[i, j], OVER_J)),
        ],
        y,
        lambda x, z, w: F.scaled_dot_product_attention(x, z, w),
    ),
    "cross entropy": Case(
        [
            Eq(t[i], ReduceMax(x[i, k], OVER_K)),
            Eq(v[i], t[i] + log(Sum(exp(x[i, k] - t[i]), OVER_K))),
            Eq(loss, -Sum(w[i, k] * (x[i, k] - v[i]), OVER_I, OVER_K) / m),
        ],
        loss,
        lambda x, w: -(w * F.log_softmax(x, 1)).sum() / len(x),
    ),
    "pairwise distances": Case(
        [Eq(y[i, j], Sum((x[i, k] - x[j, k]) ** 2, OVER_K))],
        y,
        lambda x: ((x[:, None] - x) ** 2).sum(-1),
    ),
    "discrepancy of two samples": Case(
        [
            Eq(part, kernel_mean(x[i, k], x[j, k], OVER_I, OVER_J) / m**2),
            Eq(rest, kernel_mean(x[i, k], z[c, k], OVER_I, OVER_C) / (m * p)),
            Eq(loss, part - 2 * rest + kernel_mean(z[c, k], z[e, k], OVER_C, OVER_E) / p**2),
        ],
        loss,
        discrepancy,
    ),
    "correlations": Case(
        [
            Eq(mu[k], Sum(x[i, k], OVER_I) / m),
            Eq(v[k, h], Sum((x[i, k] - mu[k]) * (x[i, h] - mu[h]), OVER_I) / (m - 1)),
            Eq(var[k], Sum((x[i, k] - mu[k]) ** 2, OVER_I) / (m - 1)),
            Eq(y[k, h], v[k, h] / sqrt(var[k] * var[h])),
        ],
        y,
        lambda x: torch.corrcoef(x.T),
    ),
    "rows clipped to a norm": Case(
        [Eq(t[i], sqrt(Sum(x[i, k] ** 2, OVER_K))), Eq(y[i, k], x[i, k] * Min(1, delta / t[i]))],
        y,
        lambda x: x * torch.clamp(DELTA / x.norm(dim=1, keepdim=True), max=1),
    ),
    "range of each group": Case(
        [
            Eq(t[i, c], ReduceMin(x[i, c, s], OVER_S)),
            Eq(v[i, c], ReduceMax(x[i, c, s], OVER_S)),
            Eq(y[i, c, s], (x[i, c, s] - t[i, c]) / (v[i, c] - t[i, c])),
        ],
        y,
        lambda x: (x - x.amin(2, keepdim=True)) / (x.amax(2, keepdim=True) - x.amin(2, keepdim=True)),
    ),
    "geometric mean": Case(
        [Eq(y[k], Product(x[i, k], OVER_I) ** (1 / m))],
        y,
        lambda x: x.log().mean(0).exp(),
        positive=("x",),
    ),
    "huber loss": Case(
        [
            Eq(d[i, k], x[i, k] - z[i, k]),
            Eq(
                v[i, k],
                Piecewise((d[i, k] ** 2 / 2, Abs(d[i, k]) <= delta), (delta * (Abs(d[i, k]) - delta / 2), True)),
            ),
            Eq(loss, Sum(v[i, k], OVER_I, OVER_K) / (m * n)),
        ],
        loss,
        lambda x, z: F.huber_loss(x, z, delta=DELTA),
    ),
    "three colours": Case(
        [Eq(t[i, s], Sum(w[rgb] * x[i, rgb, s], OVER_RGB)), Eq(y[i, rgb, s], x[i, rgb, s] - t[i, s] / 3)],
        y,
        lambda x, w: x - torch.einsum("ics,c->is", x, w)[:, None] / 3,
    ),
    "product of three vectors and two matrices": Case(
        [Eq(loss, Sum(x[i, k] * z[k, c] * a[i] * w[k] * d[c], OVER_I, OVER_K, OVER_C))],
        loss,
        lambda x, z, a, w, d: torch.einsum("ik,kc,i,k,c->", x, z, a, w, d),
    ),
}
NUMBERS = {"epsilon": EPS, "delta": DELTA, "part": PART, "rest": REST}


def operator(name: str) -> symbn.Operator:
    return symbn.Operator("equations", CASES[name].equations, outputs=[CASES[name].output])


def inputs(op: symbn.Operator, positive: tuple[str, ...]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    sizes = {**SIZES, **op.fixed_extents}
    shapes = {one: [sizes[extent] for extent in op.arrays[one]] for one in op.inputs if one not in op.scalars}
    drawn = {one: rng.standard_normal(shape) for one, shape in shapes.items()}
    return {one: np.abs(array) + 0.5 if one in positive else array for one, array in drawn.items()}


@pytest.mark.parametrize("name", CASES)
def test_result_and_gradient_are_those_by_hand(name: str) -> None:
    op, case = operator(name), CASES[name]
    data = inputs(op, case.positive)
    numbers = {one: NUMBERS[one] for one in op.scalars}
    tensors = {one: torch.tensor(array, requires_grad=True) for one, array in data.items()}
    expected = case.by_hand(**tensors)

    kernel = symbn.build(op, dtype="float64")
    result = kernel(**data, **numbers)
    np.testing.assert_allclose(result, expected.detach(), rtol=1e-9, atol=1e-11)
    fortran = {one: np.asfortranarray(array) for one, array in data.items()}
    np.testing.assert_array_equal(kernel(**fortran, **numbers, check="off"), result)

    gradient = op.gradient()
    cotangent = np.random.default_rng(1).standard_normal(expected.shape)
    known = {f"d{op.outputs[0]}": cotangent, **data, **numbers}
    found = symbn.build(gradient, dtype="float64")(**{one: known[one] for one in gradient.inputs})
    wanted = torch.autograd.grad(expected, list(tensors.values()), torch.tensor(cotangent))
    for one, got, want in zip(tensors, found if len(tensors) > 1 else [found], wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-9, err_msg=one)
