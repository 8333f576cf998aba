"""numba, as its user writes it: plain loops, compiled with fast arithmetic and a thread for each statistic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from numba import njit, prange

from symbn.bench.cases import CHANNELS_LAST
from symbn.bench.peers import Form
from symbn.bench.problem import Problem

Array = Any


def version() -> str:
    return str(numba.__version__)


def prepare(threads: int) -> None:
    numba.set_num_threads(threads)


def forms(problem: Problem) -> Iterator[Form]:
    """Batch norm and the forward pass of layer norm; the others differ in which loops are which."""
    case, shape = problem.case, problem.case.memory_shape
    result, dtype = problem.empty(), problem.x.dtype.type
    eps, gamma, beta = dtype(problem.eps), problem.gamma, problem.beta
    if case.operator == "layer_norm":
        yield Form("natural", lambda: _layer_norm(problem.x, gamma, beta, eps, result), lambda _: result)
    if case.norm != "batch_norm" or case.relu:
        return
    # each feature's samples: an outer and an inner run of them
    outer, inner = (math.prod(shape[:-1]), 1) if case.layout == CHANNELS_LAST else (shape[0], math.prod(shape[2:]))
    x, dy, target = (one.reshape(outer, -1, inner) for one in (problem.x, problem.dy, result))
    mean, var = problem.mean.astype(dtype), problem.var.astype(dtype)
    dgamma, dbeta = np.zeros_like(gamma), np.zeros_like(beta)
    calls = {
        "batch_norm": lambda: _batch_norm(x, gamma, beta, eps, target),
        "batch_norm_inference": lambda: _inference(x, gamma, beta, mean, var, eps, target),
        "batch_norm_backward": lambda: _backward(dy, x, gamma, mean, var, eps, target, dgamma, dbeta),
    }
    yield Form("natural", calls[case.operator], lambda _: result)


def _compiled(function: Any) -> Any:
    return njit(function, parallel=True, fastmath=True, cache=True)


@_compiled
def _batch_norm(x: Array, gamma: Array, beta: Array, eps: float, y: Array) -> None:
    outer, features, inner = x.shape
    for k in prange(features):
        total = 0.0
        for i in range(outer):
            for j in range(inner):
                total += x[i, k, j]
        mean = x.dtype.type(total / (outer * inner))
        squares = 0.0
        for i in range(outer):
            for j in range(inner):
                squares += (x[i, k, j] - mean) ** 2
        scale = x.dtype.type(gamma[k] / math.sqrt(squares / (outer * inner) + eps))
        for i in range(outer):
            for j in range(inner):
                y[i, k, j] = (x[i, k, j] - mean) * scale + beta[k]


@_compiled
def _inference(x: Array, gamma: Array, beta: Array, mean: Array, var: Array, eps: float, y: Array) -> None:
    outer, features, inner = x.shape
    scale = gamma / np.sqrt(var + eps)
    for i in prange(outer):
        for k in range(features):
            for j in range(inner):
                y[i, k, j] = (x[i, k, j] - mean[k]) * scale[k] + beta[k]


@_compiled
def _backward(
    dy: Array, x: Array, gamma: Array, mean: Array, var: Array, eps: float, dx: Array, dgamma: Array, dbeta: Array
) -> None:
    outer, features, inner = x.shape
    for k in prange(features):
        r = x.dtype.type(1 / math.sqrt(var[k] + eps))
        along, total = 0.0, 0.0
        for i in range(outer):
            for j in range(inner):
                along += dy[i, k, j] * (x[i, k, j] - mean[k]) * r
                total += dy[i, k, j]
        dgamma[k], dbeta[k] = along, total
        mean_along = x.dtype.type(along / (outer * inner))
        mean_dy = x.dtype.type(total / (outer * inner))
        for i in range(outer):
            for j in range(inner):
                hat = (x[i, k, j] - mean[k]) * r
                dx[i, k, j] = (dy[i, k, j] - mean_dy - hat * mean_along) * r * gamma[k]


@_compiled
def _layer_norm(x: Array, gamma: Array, beta: Array, eps: float, y: Array) -> None:
    rows, columns = x.shape
    for i in prange(rows):
        total = 0.0
        for k in range(columns):
            total += x[i, k]
        mean = x.dtype.type(total / columns)
        squares = 0.0
        for k in range(columns):
            squares += (x[i, k] - mean) ** 2
        r = x.dtype.type(1 / math.sqrt(squares / columns + eps))
        for k in range(columns):
            y[i, k] = (x[i, k] - mean) * r * gamma[k] + beta[k]
