"""Root mean square normalization over the features of each sample: no mean is taken off.

Each sample i is divided by the root of the mean square of its n features, then each feature k is scaled by gamma.

Source: B. Zhang and R. Sennrich, Root Mean Square Layer Normalization (NeurIPS 2019), equation 4.
"""

from sympy import Eq, Idx, IndexedBase, Sum, Symbol, sqrt, symbols

from symbn.equations.binding import AxisBinding
from symbn.equations.operator import Operator

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, gamma, mean_square, y = map(IndexedBase, ("x", "gamma", "mean_square", "y"))
epsilon = Symbol("epsilon", positive=True)

OPERATOR = Operator(
    "rms_norm",
    [
        Eq(mean_square[i], Sum(x[i, k] ** 2, (k, 1, n)) / n),
        Eq(y[i, k], gamma[k] * x[i, k] / sqrt(mean_square[i] + epsilon)),
    ],
    outputs=[y, mean_square],
    inputs=[x, gamma, epsilon],
    defaults={gamma: 1, epsilon: 1e-6},
    description=__doc__,
)
BINDING = AxisBinding({"i": ":axis", "k": "axis:"}, axis=-1)
