"""The running mean and variance after one more batch of m samples: an exponential moving average.

The momentum p is the weight of the new value. With unbiased = 1 the batch variance is multiplied by
m/(m - 1) (Bessel's correction; by 1 where m = 1), with unbiased = 0 it is taken as it is. A batch of
m = 0 samples changes nothing.

Source: S. Ioffe and C. Szegedy, Batch Normalization (ICML 2015), section 3.1; momentum and correction
follow PyTorch's convention.
"""

from sympy import Eq, FiniteSet, Idx, IndexedBase, Interval, Max, Piecewise, Symbol, symbols

from symbn.equations.operator import Operator

n = symbols("n", integer=True, positive=True)
k = Idx("k", (1, n))
running_mean, running_var, mu, sigma2 = map(IndexedBase, ("running_mean", "running_var", "mu", "sigma2"))
new_mean, new_var = map(IndexedBase, ("new_mean", "new_var"))
m = Symbol("m", nonnegative=True)
p, unbiased = Symbol("momentum"), Symbol("unbiased")

OPERATOR = Operator(
    "running_stats",
    [
        Eq(new_mean[k], Piecewise((running_mean[k], m < 1), ((1 - p) * running_mean[k] + p * mu[k], True))),
        Eq(
            new_var[k],
            Piecewise(
                (running_var[k], m < 1),
                ((1 - p) * running_var[k] + p * sigma2[k] * m / Max(m - unbiased, 1), True),
            ),
        ),
    ],
    outputs=[new_mean, new_var],
    inputs=[running_mean, running_var, mu, sigma2, m, p, unbiased],
    statistics=[mu, sigma2],
    defaults={p: 0.1, unbiased: 1},
    domains={p: Interval(0, 1), unbiased: FiniteSet(0, 1)},
    description=__doc__,
)
BINDING = None
