"""The family's formulas as a user of NumPy, or of what looks like NumPy, writes them."""

from __future__ import annotations

from typing import Any

from symbn.bench.problem import Problem

Array = Any


def forward(xp: Any, problem: Problem, x: Array, gamma: Array, beta: Array, mean: Array, var: Array) -> Array:
    """The main output of a forward operator, and its statistics where it has any."""
    own, case = problem.frame, problem.case
    x = x.reshape(own.shape)
    gamma, beta = gamma.reshape(own.parameter), beta.reshape(own.parameter)
    if case.norm == "rms_norm":
        square = xp.mean(x * x, axis=own.reduced, keepdims=True)
        return (x / xp.sqrt(square + problem.eps) * gamma).reshape(problem.x.shape), square
    if case.inference:
        mean, var = mean.reshape(own.statistics), var.reshape(own.statistics)
    else:
        mean = xp.mean(x, axis=own.reduced, keepdims=True)
        var = xp.var(x, axis=own.reduced, keepdims=True)
    y = (x - mean) / xp.sqrt(var + problem.eps) * gamma + beta
    y = (xp.maximum(y, 0) if case.relu else y).reshape(problem.x.shape)
    return y if case.inference else (y, mean, var)


def backward(xp: Any, problem: Problem, dy: Array, x: Array, gamma: Array, mean: Array, var: Array) -> Array:
    """dx, dgamma and dbeta (RMS norm has none) from the saved statistics: the textbook's form."""
    own = problem.frame
    dy, x = dy.reshape(own.shape), x.reshape(own.shape)
    r = 1 / xp.sqrt(var.reshape(own.statistics) + problem.eps)
    centred = problem.case.norm != "rms_norm"
    hat = (x - mean.reshape(own.statistics)) * r if centred else x * r
    g = dy * gamma.reshape(own.parameter)
    dgamma = xp.sum(dy * hat, axis=own.others).reshape(-1)
    inner = g - hat * xp.mean(g * hat, axis=own.reduced, keepdims=True)
    if not centred:
        return (inner * r).reshape(problem.x.shape), dgamma
    dx = (inner - xp.mean(g, axis=own.reduced, keepdims=True)) * r
    return dx.reshape(problem.x.shape), dgamma, xp.sum(dy, axis=own.others)
