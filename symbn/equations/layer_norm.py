"""Layer normalization over the features of each sample: statistics, normalization, scale and shift.

Each sample i is brought to mean 0 and variance 1 over its n features, then each feature k is scaled by gamma
and shifted by beta. The variance is the biased one, divided by n.

Source: J. L. Ba, J. R. Kiros and G. E. Hinton, Layer Normalization (2016), equations 3 and 4.
"""

from sympy import Eq, Idx, IndexedBase, Sum, Symbol, sqrt, symbols

from symbn.equations.binding import AxisBinding
from symbn.equations.operator import Operator

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, gamma, beta, mu, sigma2, y = map(IndexedBase, ("x", "gamma", "beta", "mu", "sigma2", "y"))
epsilon = Symbol("epsilon", positive=True)

OPERATOR = Operator(
    "layer_norm",
    [
        Eq(mu[i], Sum(x[i, k], (k, 1, n)) / n),
        Eq(sigma2[i], Sum((x[i, k] - mu[i]) ** 2, (k, 1, n)) / n),
        Eq(y[i, k], gamma[k] * (x[i, k] - mu[i]) / sqrt(sigma2[i] + epsilon) + beta[k]),
    ],
    outputs=[y, mu, sigma2],
    inputs=[x, gamma, beta, epsilon],
    defaults={gamma: 1, beta: 0, epsilon: 1e-5},
    description=__doc__,
)
BINDING = AxisBinding({"i": ":axis", "k": "axis:"}, axis=-1)
