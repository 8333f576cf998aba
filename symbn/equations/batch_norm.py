"""Batch normalization over the samples of a batch: statistics, normalization, scale and shift.

Each feature k is brought to mean 0 and variance 1 over its m samples, then scaled by gamma and shifted
by beta. The variance is the biased one, divided by m.

Source: S. Ioffe and C. Szegedy, Batch Normalization (ICML 2015), Algorithm 1.
"""

from sympy import Eq, Idx, IndexedBase, Sum, Symbol, sqrt, symbols

from symbn.equations.binding import AxisBinding
from symbn.equations.operator import Operator

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, gamma, beta, mu, sigma2, y = map(IndexedBase, ("x", "gamma", "beta", "mu", "sigma2", "y"))
epsilon = Symbol("epsilon", positive=True)

OPERATOR = Operator(
    "batch_norm",
    [
        Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
        Eq(sigma2[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m),
        Eq(y[i, k], gamma[k] * (x[i, k] - mu[k]) / sqrt(sigma2[k] + epsilon) + beta[k]),
    ],
    outputs=[y, mu, sigma2],
    inputs=[x, gamma, beta, epsilon],
    defaults={gamma: 1, beta: 0, epsilon: 1e-5},
    description=__doc__,
)
BINDING = AxisBinding({"k": "axis", "i": "..."}, axis=1)
