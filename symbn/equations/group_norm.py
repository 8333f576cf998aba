"""Group normalization over groups of channels of each sample: statistics, normalization, scale and shift.

The channels of sample n are split into groups g of c channels with s positions each. Each group is brought to mean 0
and variance 1, then each channel is scaled by gamma and shifted by beta. The variance is the biased one.

Source: Y. Wu and K. He, Group Normalization (ECCV 2018), equations 1, 2, 6 and 7.
"""

from sympy import Eq, Idx, IndexedBase, Sum, Symbol, sqrt, symbols

from symbn.equations.binding import AxisBinding
from symbn.equations.operator import Operator

N, G, K, S = symbols("N G K S", integer=True, positive=True)
n, g, c, s = Idx("n", (1, N)), Idx("g", (1, G)), Idx("c", (1, K)), Idx("s", (1, S))
x, gamma, beta, mu, sigma2, y = map(IndexedBase, ("x", "gamma", "beta", "mu", "sigma2", "y"))
epsilon = Symbol("epsilon", positive=True)

OPERATOR = Operator(
    "group_norm",
    [
        Eq(mu[n, g], Sum(x[n, g, c, s], (c, 1, K), (s, 1, S)) / (K * S)),
        Eq(sigma2[n, g], Sum((x[n, g, c, s] - mu[n, g]) ** 2, (c, 1, K), (s, 1, S)) / (K * S)),
        Eq(y[n, g, c, s], gamma[g, c] * (x[n, g, c, s] - mu[n, g]) / sqrt(sigma2[n, g] + epsilon) + beta[g, c]),
    ],
    outputs=[y, mu, sigma2],
    inputs=[x, gamma, beta, epsilon],
    defaults={gamma: 1, beta: 0, epsilon: 1e-5},
    description=__doc__,
)
BINDING = AxisBinding({"n": "0", "g c": "1", "s": "2:"}, groups="num_groups")
