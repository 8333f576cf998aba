"""Operators that a user could write, to run every stage on more than what is shipped.

Run as a file by the test folders that need them (``OPERATORS``: name -> Operator).
"""

from sympy import (
    Abs,
    And,
    Eq,
    Idx,
    IndexedBase,
    Max,
    Min,
    Or,
    Piecewise,
    Product,
    Rational,
    Sum,
    Symbol,
    exp,
    log,
    pi,
    sign,
    sqrt,
    symbols,
    tanh,
)

from symbn.equations.operator import Operator
from symbn.equations.reductions import ReduceMax, ReduceMin

m, n, p, q = symbols("m n p q", integer=True, positive=True)
i, j, k, c = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n)), Idx("c", (1, p))
s, h = Idx("s", (1, q)), Idx("h", (1, n))
x, y, z, w, t, u, v, a, b = map(IndexedBase, "x y z w t u v a b".split())
mu, sigma2, gamma, beta, x_hat = map(IndexedBase, ("mu", "sigma2", "gamma", "beta", "x_hat"))
dy, dx, dgamma, dbeta = map(IndexedBase, ("dy", "dx", "dgamma", "dbeta"))
eps = Symbol("epsilon", positive=True)
total, largest = symbols("total largest")

OPERATORS = {
    operator.name: operator
    for operator in (
        Operator(
            "mean_absolute_deviation_norm",
            [
                Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
                Eq(v[k], Sum(Abs(x[i, k] - mu[k]), (i, 1, m)) / m),
                Eq(y[i, k], gamma[k] * (x[i, k] - mu[k]) / (v[k] + eps) + beta[k]),
            ],
            outputs=[y, mu, v],
        ),
        Operator(
            "root_mean_square_norm",
            [Eq(y[i, k], gamma[k] * x[i, k] / sqrt(Sum(x[i, h] ** 2, (h, 1, n)) / n + eps))],
            outputs=[y],
        ),
        Operator(
            "row_norm",
            [
                Eq(mu[i], Sum(x[i, k], (k, 1, n)) / n),
                Eq(sigma2[i], Sum((x[i, k] - mu[i]) ** 2, (k, 1, n)) / n),
                Eq(y[i, k], gamma[k] * (x[i, k] - mu[i]) / sqrt(sigma2[i] + eps) + beta[k]),
            ],
            outputs=[y, mu, sigma2],
        ),
        Operator(
            "grouped_norm",
            [
                Eq(mu[i, k], Sum(x[i, k, c, s], (c, 1, p), (s, 1, q)) / (p * q)),
                Eq(sigma2[i, k], Sum((x[i, k, c, s] - mu[i, k]) ** 2, (c, 1, p), (s, 1, q)) / (p * q)),
                Eq(y[i, k, c, s], gamma[k, c] * (x[i, k, c, s] - mu[i, k]) / sqrt(sigma2[i, k] + eps) + beta[k, c]),
            ],
            outputs=[y, mu, sigma2],
        ),
        Operator(
            "instance_norm_like",
            [
                Eq(mu[i, c], Sum(x[i, c, s], (s, 1, q)) / q),
                Eq(sigma2[i, c], Sum((x[i, c, s] - mu[i, c]) ** 2, (s, 1, q)) / q),
                Eq(y[i, c, s], gamma[c] * (x[i, c, s] - mu[i, c]) / sqrt(sigma2[i, c] + eps) + beta[c]),
            ],
            outputs=[y],
        ),
        Operator(
            "weighted_norm",
            [
                Eq(total, Sum(w[i], (i, 1, m))),
                Eq(mu[k], Sum(w[i] * x[i, k], (i, 1, m)) / total),
                Eq(sigma2[k], Sum(w[i] * (x[i, k] - mu[k]) ** 2, (i, 1, m)) / total),
                Eq(y[i, k], (x[i, k] - mu[k]) / sqrt(sigma2[k] + eps)),
            ],
            outputs=[y, mu, sigma2],
        ),
        Operator(
            "reductions_of_reductions",
            [
                Eq(t[i, c], Sum(x[i, c, s], (s, 1, q))),
                Eq(u[i], Sum(t[i, c] ** 2, (c, 1, p))),
                Eq(y[i, c], t[i, c] / (u[i] + 1)),
            ],
            outputs=[y, u],
        ),
        Operator(
            "row_norm_gradient",
            [
                Eq(mu[i], Sum(x[i, k], (k, 1, n)) / n),
                Eq(sigma2[i], Sum((x[i, k] - mu[i]) ** 2, (k, 1, n)) / n),
                Eq(x_hat[i, k], (x[i, k] - mu[i]) / sqrt(sigma2[i] + eps)),
                Eq(dbeta[k], Sum(dy[i, k], (i, 1, m))),
                Eq(dgamma[k], Sum(dy[i, k] * x_hat[i, k], (i, 1, m))),
                Eq(
                    dx[i, k],
                    (
                        gamma[k] * dy[i, k]
                        - Sum(gamma[h] * dy[i, h], (h, 1, n)) / n
                        - x_hat[i, k] * Sum(gamma[h] * dy[i, h] * x_hat[i, h], (h, 1, n)) / n
                    )
                    / sqrt(sigma2[i] + eps),
                ),
            ],
            outputs=[dx, dgamma, dbeta],
        ),
        Operator(
            "column_norm_gradient",
            [
                Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
                Eq(sigma2[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m),
                Eq(x_hat[i, k], (x[i, k] - mu[k]) / sqrt(sigma2[k] + eps)),
                Eq(dbeta[k], Sum(dy[i, k], (i, 1, m))),
                Eq(dgamma[k], Sum(dy[i, k] * x_hat[i, k], (i, 1, m))),
                Eq(
                    dx[i, k],
                    gamma[k] * (dy[i, k] - dbeta[k] / m - x_hat[i, k] * dgamma[k] / m) / sqrt(sigma2[k] + eps),
                ),
            ],
            outputs=[dx, dgamma, dbeta],
        ),
        Operator(
            "full_reduction",
            [
                Eq(total, Sum(x[i, k] * w[k], (i, 1, m), (k, 1, n)) / (m * n)),
                Eq(y[i, k], x[i, k] - total),
                Eq(largest, Sum(y[i, k] ** 2, (i, 1, m), (k, 1, n))),
            ],
            outputs=["y", "total", "largest"],
        ),
        Operator(
            "sums_by_another_index_of_the_same_extent",
            [
                Eq(t[i, c], Sum(x[i, c, s], (s, 1, q))),
                Eq(u[c], Sum(w[j] * Sum(x[j, c, s], (s, 1, q)) ** 2, (j, 1, m))),
                Eq(y[i, c], t[i, c] * u[c]),
            ],
            outputs=[y, u],
        ),
        Operator("only_a_number", [Eq(total, Sum(x[i] ** 2, (i, 1, m)))], outputs=[total]),
        Operator("pairwise", [Eq(y[i, j], Sum(x[i, k] * x[j, k], (k, 1, n)))], outputs=[y]),
        Operator(
            "pairwise_of_sums",
            [Eq(t[i], Sum(x[i, k], (k, 1, n)) / n), Eq(y[i, j], t[i] * t[j] + t[j])],
            outputs=[y, t],
        ),
        Operator(
            "other_row",
            [Eq(t[i], Sum(x[i, j], (j, 1, m))), Eq(y[i, j], x[i, j] * t[j])],
            outputs=[y],
        ),
        Operator(
            "other_row_centred",
            [Eq(t[i], Sum(x[i, j], (j, 1, m)) / m), Eq(y[i, j], x[j, i] - t[j] - t[i])],
            outputs=[y, t],
        ),
        Operator(
            "sum_of_other_rows",
            [Eq(t[i], Sum(x[i, j], (j, 1, m))), Eq(u[i], Sum(x[i, j] * t[j], (j, 1, m))), Eq(y[i, j], u[i] - x[j, i])],
            outputs=[y, u],
        ),
        Operator(
            "branches",
            [
                Eq(
                    y[i, k],
                    Piecewise((x[i, k] ** 2, x[i, k] > w[k]), (Abs(x[i, k]), x[i, k] < 0), (sign(x[i, k]), True)),
                ),
                Eq(z[i, k], Max(x[i, k], w[k], 0) - Min(x[i, k], w[k])),
            ],
            outputs=[y, z],
        ),
        Operator(
            "compound_conditions",
            [
                Eq(
                    y[i, k],
                    Piecewise(
                        (x[i, k], Or(And(x[i, k] > 0, x[i, k] < w[k]), x[i, k] < -w[k])),
                        (w[k], And(Or(x[i, k] > 1, w[k] > 2), x[i, k] > -1)),
                        (0, True),
                    ),
                )
            ],
            outputs=[y],
        ),
        Operator(
            "elementwise",
            [Eq(y[i, k], tanh(x[i, k]) * exp(-x[i, k]) + log(w[k] + 2) ** 2 + pi * x[i, k] ** Rational(3, 2))],
            outputs=[y],
        ),
        Operator(
            "softmax_without_shift",
            [Eq(y[i, k], exp(x[i, k]) / Sum(exp(x[i, h]), (h, 1, n)))],
            outputs=[y],
        ),
        Operator(
            "fixed_extents",
            [
                Eq(t[Idx("r", (1, 3))], Sum(x[Idx("r", (1, 3)), Idx("e", (0, 3))], (Idx("e", (0, 3)), 0, 3)) / 4),
                Eq(y[Idx("r", (1, 3)), Idx("e", (0, 3))], x[Idx("r", (1, 3)), Idx("e", (0, 3))] - t[Idx("r", (1, 3))]),
            ],
            outputs=[y, t],
        ),
        Operator(
            "matrix_product",
            [Eq(y[i, k], Sum(a[i, c] * b[c, k], (c, 1, p))), Eq(z[i], Sum(y[i, k] ** 2, (k, 1, n)))],
            outputs=[y, z],
        ),
        Operator(
            "constant_terms",
            [Eq(t[k], Sum(w[k] + 1, (i, 1, m)) / m), Eq(y[i, k], x[i, k] * t[k] + m)],
            outputs=[y, t],
        ),
        Operator(
            "unread_input",
            [Eq(t[k], Sum(x[i, k], (i, 1, m))), Eq(y[k], w[k] * 2)],
            outputs=[y],
        ),
        Operator(
            "softmax",
            [
                Eq(t[i], ReduceMax(x[i, k], (k, 1, n))),
                Eq(v[i, k], exp(x[i, k] - t[i])),
                Eq(y[i, k], v[i, k] / Sum(v[i, h], (h, 1, n))),
            ],
            outputs=[y],
        ),
        Operator(
            "largest_deviation",
            [
                Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
                Eq(t[k], ReduceMax(Abs(x[i, k] - mu[k]), (i, 1, m))),
                Eq(y[i, k], (x[i, k] - mu[k]) / (t[k] + eps)),
            ],
            outputs=[y, mu, t],
        ),
        Operator(
            "range_and_product",
            [
                Eq(t[k], ReduceMin(x[i, k], (i, 1, m))),
                Eq(z[k], ReduceMax(x[i, k], (i, 1, m)) - t[k]),
                Eq(v[k], Product(x[i, k] + w[k], (i, 1, m))),
                Eq(y[i, k], (x[i, k] - t[k]) * v[k]),
            ],
            outputs=[y, t, z],
        ),
        Operator(
            "reductions_of_reductions",
            [
                Eq(
                    t[i], ReduceMax(x[i, k] * w[k] + Sum(x[j, k], (j, 1, m)) - ReduceMin(x[i, h], (h, 1, n)), (k, 1, n))
                ),
                Eq(z[k], Sum(x[i, k] * ReduceMax(x[i, h], (h, 1, n)), (i, 1, m))),
                Eq(y[k], z[k] * ReduceMin(Product(x[i, h] / 9, (i, 1, m)), (h, 1, n)) + ReduceMax(w[h], (h, 1, n))),
            ],
            outputs=[y, t],
        ),
    )
}
