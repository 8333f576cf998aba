"""Instance normalization over the positions of each channel of each sample: statistics, normalization, scale and shift.

Each channel c of sample n is brought to mean 0 and variance 1 over its S positions, then scaled by gamma and
shifted by beta. The variance is the biased one, divided by S.

Source: D. Ulyanov, A. Vedaldi and V. Lempitsky, Instance Normalization: The Missing Ingredient for Fast
Stylization (2016), equation 2; scale and shift as in batch normalization.
"""

from sympy import Eq, Idx, IndexedBase, Sum, Symbol, sqrt, symbols

from symbn.equations.binding import AxisBinding
from symbn.equations.operator import Operator

N, C, S = symbols("N C S", integer=True, positive=True)
n, c, s = Idx("n", (1, N)), Idx("c", (1, C)), Idx("s", (1, S))
x, gamma, beta, mu, sigma2, y = map(IndexedBase, ("x", "gamma", "beta", "mu", "sigma2", "y"))
epsilon = Symbol("epsilon", positive=True)

OPERATOR = Operator(
    "instance_norm",
    [
        Eq(mu[n, c], Sum(x[n, c, s], (s, 1, S)) / S),
        Eq(sigma2[n, c], Sum((x[n, c, s] - mu[n, c]) ** 2, (s, 1, S)) / S),
        Eq(y[n, c, s], gamma[c] * (x[n, c, s] - mu[n, c]) / sqrt(sigma2[n, c] + epsilon) + beta[c]),
    ],
    outputs=[y, mu, sigma2],
    inputs=[x, gamma, beta, epsilon],
    defaults={gamma: 1, beta: 0, epsilon: 1e-5},
    description=__doc__,
)
BINDING = AxisBinding({"n": "0", "c": "1", "s": "2:"})
