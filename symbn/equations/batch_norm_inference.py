"""Batch normalization with given statistics, as used at inference: normalization, scale and shift.

The mean and the variance are constants, usually the running statistics of training.

Source: S. Ioffe and C. Szegedy, Batch Normalization (ICML 2015), Algorithm 2.
"""

from sympy import Eq, Idx, IndexedBase, Symbol, sqrt, symbols

from symbn.equations.binding import AxisBinding
from symbn.equations.operator import Operator

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, mu, sigma2, gamma, beta, y = map(IndexedBase, ("x", "mu", "sigma2", "gamma", "beta", "y"))
epsilon = Symbol("epsilon", nonnegative=True)

OPERATOR = Operator(
    "batch_norm_inference",
    [Eq(y[i, k], gamma[k] * (x[i, k] - mu[k]) / sqrt(sigma2[k] + epsilon) + beta[k])],
    outputs=[y],
    inputs=[x, mu, sigma2, gamma, beta, epsilon],
    statistics=[mu, sigma2],
    defaults={gamma: 1, beta: 0, epsilon: 1e-5},
    description=__doc__,
)
BINDING = AxisBinding({"k": "axis", "i": "..."}, axis=1)
