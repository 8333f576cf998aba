"""Small operators in plain SymPy, with nothing registered, that the tests of calls and checks share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from sympy import Abs, Eq, FiniteSet, Idx, IndexedBase, Interval, Max, Piecewise, Sum, Symbol, exp, sqrt, symbols

from symbn import Operator, pipeline


@pytest.fixture(scope="session")
def operators():
    """Operators by name."""
    m, n = symbols("m n", integer=True, positive=True)
    i, j, k = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n))
    c, q = Idx("c", (1, 3)), Idx("q", (1, n))
    x, w, y, mu, d, gram = map(IndexedBase, ("x", "w", "y", "mu", "d", "gram"))
    eps, p, flag, t = Symbol("epsilon", positive=True), Symbol("p"), Symbol("flag"), Symbol("t", nonnegative=True)
    return SimpleNamespace(
        standardize=Operator(
            "standardize",
            [
                Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
                Eq(d[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m),
                Eq(y[i, k], w[k] * (x[i, k] - mu[k]) / sqrt(d[k] + eps)),
            ],
            outputs=[y, mu, d],
            inputs=[x, w, eps],
            defaults={w: 1, eps: 1e-3},
        ),
        deviation=Operator(
            "deviation",
            [
                Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
                Eq(d[k], Sum(Abs(x[i, k] - mu[k]), (i, 1, m)) / m),
                Eq(y[i, k], (x[i, k] - mu[k]) / (d[k] + eps)),
            ],
            outputs=[y],
            inputs=[x, eps],
        ),
        symmetric=Operator("symmetric", [Eq(y[i, j], x[i, j] + x[j, i])], outputs=[y]),
        gram=Operator("gram", [Eq(gram[i, j], Sum(x[i, k] * x[j, k], (k, 1, n)))], outputs=[gram]),
        rows_of_centred=Operator(
            "rows_of_centred",
            [Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m), Eq(d[i], Sum((x[i, k] - mu[k]) ** 2, (k, 1, n)))],
            outputs=[d],
        ),
        leaky=Operator(
            "leaky",
            [Eq(y[i, k], Piecewise((x[i, k], x[i, k] > 0), (exp(x[i, k]) - 1, x[i, k] > -1), (p * x[i, k], True)))],
            outputs=[y],
        ),
        clipped=Operator("clipped", [Eq(y[i, k], Max(x[i, k], p, 0))], outputs=[y]),
        channels=Operator("channels", [Eq(y[i], Sum(x[i, c] * w[c], (c, 1, 3)))], outputs=[y], inputs=[x, w]),
        counted=Operator("counted", [Eq(y[k], Sum(x[i, k] + w[k], (i, 1, m)) + Sum(w[k], (i, 1, m)))], outputs=[y]),
        unbiased=Operator(
            "unbiased",
            [Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m), Eq(d[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / (m - 1))],
            outputs=[d],
        ),
        covariance=Operator(
            "covariance",
            [
                Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
                Eq(gram[k, q], Sum((x[i, k] - mu[k]) * (x[i, q] - mu[q]), (i, 1, m)) / m),
            ],
            outputs=[gram],
        ),
        numbers=Operator(
            "numbers",
            [Eq(y[k], x[k] * p + flag + t)],
            outputs=[y],
            inputs=[x, p, flag, t],
            domains={p: Interval(0, 1), flag: FiniteSet(0, 1)},
            defaults={t: 2},
        ),
    )


@pytest.fixture(scope="session")
def kernels(operators):
    """``kernels(name, dtype)``: the operator's kernel, built once."""
    built = {}

    def kernel(name, dtype="float32"):
        if (name, dtype) not in built:
            built[name, dtype] = pipeline.build(getattr(operators, name), dtype)
        return built[name, dtype]

    return kernel
