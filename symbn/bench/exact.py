"""The main output of an operator in NumPy's widest float, and how far a computed one is from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from symbn.bench.problem import Problem

Array = Any


def expected(problem: Problem) -> tuple[Array, Array]:
    """(the main output, the natural scale of its elements), both of the data's shape.

    The gradient is that of the saved statistics, in float64: what a peer loses by rounding them is its error.
    """
    own, case = problem.frame, problem.case
    wide = problem.x.reshape(own.shape).astype(np.longdouble)
    gamma, beta = (one.reshape(own.parameter).astype(np.longdouble) for one in (problem.gamma, problem.beta))
    if case.inference or case.backward:
        deviation = wide - problem.mean.reshape(own.statistics)
        var = problem.var.reshape(own.statistics).astype(np.longdouble)
    else:
        deviation = wide
        if case.norm != "rms_norm":
            # Near samples differ exactly, so that the mean of the differences has every digit.
            deviation = wide - problem.mean.reshape(own.statistics)
            deviation = deviation - deviation.mean(own.reduced, keepdims=True)
        var = (deviation**2).mean(own.reduced, keepdims=True)
    r = 1 / np.sqrt(var + np.longdouble(problem.eps))
    hat = deviation * r
    if not case.backward:
        shift = 0 if case.norm == "rms_norm" else beta
        y = gamma * hat + shift
        scale = np.maximum(np.maximum(np.abs(y), np.abs(gamma * hat)), np.abs(shift))
        return _shaped(np.maximum(y, 0) if case.relu else y, problem), _shaped(scale, problem)
    g = gamma * problem.dy.reshape(own.shape).astype(np.longdouble)
    terms = [g, -hat * (g * hat).mean(own.reduced, keepdims=True)]
    if case.norm != "rms_norm":
        terms.append(-g.mean(own.reduced, keepdims=True))
    largest = np.maximum.reduce([np.broadcast_to(np.abs(one), own.shape) for one in (*terms, sum(terms))])
    return _shaped(r * sum(terms), problem), _shaped(r * largest, problem)


def _shaped(array: Array, problem: Problem) -> Array:
    return array.reshape(problem.x.shape)


def error(computed: Array, problem: Problem) -> float:
    """The largest error of a main output in scaled ulps; infinity where NaN or infinity came out."""
    target, scale = expected(problem)
    if computed.shape != target.shape:
        return float("inf")
    info = np.finfo(problem.case.dtype)
    _, exponent = np.frexp(scale)
    ulp = np.ldexp(np.longdouble(1), np.maximum(exponent - 1, info.minexp) - info.nmant)
    worst = float(np.max(np.abs(computed.astype(np.longdouble) - target) / ulp))
    return worst if np.isfinite(worst) else float("inf")
