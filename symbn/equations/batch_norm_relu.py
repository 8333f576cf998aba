"""Batch normalization followed by the rectifier, in one pass: what is negative becomes 0.

Each feature k is normalized over its m samples, scaled by gamma and shifted by beta as in batch_norm; y is the
larger of the result z and 0. The gradient takes no stored activation: it finds again from x which elements
were cut off.

Source: S. Ioffe and C. Szegedy, Batch Normalization (ICML 2015), Algorithm 1 and section 3.2.
"""

from sympy import Eq, Idx, IndexedBase, Max, Sum, Symbol, sqrt, symbols

from symbn.equations.binding import AxisBinding
from symbn.equations.operator import Operator

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, gamma, beta, mu, sigma2, z, y = map(IndexedBase, ("x", "gamma", "beta", "mu", "sigma2", "z", "y"))
epsilon = Symbol("epsilon", positive=True)

OPERATOR = Operator(
    "batch_norm_relu",
    [
        Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
        Eq(sigma2[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m),
        Eq(z[i, k], gamma[k] * (x[i, k] - mu[k]) / sqrt(sigma2[k] + epsilon) + beta[k]),
        Eq(y[i, k], Max(z[i, k], 0)),
    ],
    outputs=[y, mu, sigma2],
    inputs=[x, gamma, beta, epsilon],
    defaults={gamma: 1, beta: 0, epsilon: 1e-5},
    description=__doc__,
)
BINDING = AxisBinding({"k": "axis", "i": "..."}, axis=1)
