"""Which sums share their parts, and which groups of loops run together."""

from fractions import Fraction

import pytest
from sympy import Eq, Idx, IndexedBase, Sum, symbols

from symbn import catalogue
from symbn.equations.operator import Operator
from symbn.kernel.clusters import cluster
from symbn.kernel.computations import extract
from symbn.kernel.expressions import loads, product, separate
from symbn.kernel.groups import arrange, crossed
from symbn.kernel.ir import Const, Load, Op, Var
from symbn.kernel.naming import Names
from symbn.kernel.schedule import Lowering

N, G, K, S = symbols("N G K S", integer=True, positive=True)
n, g, c, s = Idx("n", (1, N)), Idx("g", (1, G)), Idx("c", (1, K)), Idx("s", (1, S))
x, w, y, u, v = map(IndexedBase, "x w y u v".split())


def extracted(*equations, outputs):
    return extract(Operator("example", list(equations), outputs=outputs), Names([]))


def groups_of(name):
    operator = catalogue.load(name)[0]
    names = Names([])
    return arrange(extract(operator, names), names)


def shape(group):
    return group.kept, group.reduced


# ---- products taken apart ------------------------------------------------------------------------------


def test_what_varies_with_few_indices_is_separated():
    a, b, k = Load("a", (Var("c"),)), Load("b", (Var("c"), Var("s"))), Load("k", ())
    body = Op("div", (Op("mul", (k, Op("mul", (a, b)))), Op("sqrt", (a,))))
    outside, inside, some = separate(body, ["c", "s"])
    assert some == ["c"]
    assert inside == [(b, False)]
    assert outside == [(k, False), (a, False), (Op("sqrt", (a,)), True)]


@pytest.mark.parametrize("over", [["c"], ["s"], ["c", "s"]])
def test_nothing_is_separated_where_all_vary_alike(over):
    b = Load("b", (Var("c"), Var("s")))
    assert separate(Op("mul", (b, b)), over)[2] == []


def test_a_product_starts_with_what_varies_least():
    a, b = Load("a", (Var("c"),)), Load("b", (Var("c"), Var("s")))
    two = Const(Fraction(2))
    assert product([(b, False), (a, True), (two, False)]) == Op("mul", (Op("div", (two, a)), b))
    assert product([(a, True)]) == Op("div", (Const(Fraction(1)), a))
    assert product([]) == Const(Fraction(1))


# ---- sums of sums --------------------------------------------------------------------------------------


def test_a_factor_leaves_the_sum_over_what_it_does_not_vary_with():
    found = extracted(Eq(y[n], Sum(w[c] * x[n, c, s], (c, 1, K), (s, 1, S))), outputs=[y])
    inner, outer = found.reductions
    assert (inner.kept, inner.over) == (("n", "c"), ("s",))
    assert (outer.kept, outer.over) == (("n",), ("c",))
    assert {load.array for load in loads(outer.body)} == {"w", inner.hi}


def test_a_sum_over_more_is_made_of_the_sums_over_fewer():
    found = extracted(
        Eq(u[n], Sum(x[n, c, s], (c, 1, K), (s, 1, S))), Eq(v[n, c], Sum(x[n, c, s], (s, 1, S))), outputs=[u, v]
    )
    inner, outer = found.reductions
    assert (inner.kept, inner.over) == (("n", "c"), ("s",))
    assert outer.body == Load(inner.hi, (Var("n"), Var("c")))
    assert outer.over == ("c",)


def test_a_mean_is_left_whole():
    found = extracted(Eq(y[n], Sum(w[c] * x[n, c, s], (c, 1, K), (s, 1, S)) / (K * S)), outputs=[y])
    assert [sorted(one.over) for one in found.reductions] == [["c", "s"]]


# ---- clusters ------------------------------------------------------------------------------------------


def test_a_group_of_channels_is_finished_before_the_next():
    (one,) = cluster(groups_of("group_norm"))
    assert one.outer == ("n", "g")
    assert [shape(group) for group in one.groups] == [(("n", "g"), ("c", "s")), (("n", "g", "c"), ("s",))]


def test_the_gradient_of_the_data_takes_turns_and_that_of_parameters_follows():
    first, second = cluster(groups_of("group_norm_backward"))
    assert first.outer == ("n", "g")
    assert [shape(group) for group in first.groups] == [
        (("n", "g", "c"), ("s",)),
        (("n", "g"), ("c",)),
        (("n", "g", "c"), ("s",)),
    ]
    assert [shape(group) for group in second.groups] == [(("g", "c"), ("n",))]


def test_what_is_read_at_another_place_is_waited_for():
    """The largest sum of any sample is known only after all samples."""
    i, j = Idx("i", (1, N)), Idx("j", (1, N))
    total, other = IndexedBase("total"), IndexedBase("other")
    operator = Operator(
        "others",
        [
            Eq(total[i], Sum(x[i, s], (s, 1, S))),
            Eq(other[i], Sum(w[i, j] * total[j], (j, 1, N))),
            Eq(y[i, s], x[i, s] - other[i]),
        ],
        outputs=[y],
    )
    names = Names([])
    found = cluster(arrange(extract(operator, names), names))
    assert [len(one.groups) for one in found] == [1, 2]


# ---- rows and columns ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["layer_norm_backward", "rms_norm_backward"])
def test_rows_and_columns_cross(name):
    columns, rows = groups_of(name)
    both = crossed(rows, columns, Names([]))
    assert both.passes[0].reductions == rows.passes[0].reductions
    assert len(both.passes[0].crossing) == len(columns.passes[0].reductions)
    assert crossed(columns, columns, Names([])) is None
    assert [len(work) for work in Lowering(catalogue.load(name)[0], False).work] == [2]


def test_columns_of_what_the_rows_compute_do_not_cross():
    """The columns' sums need each row's own, which is known only after the row has been visited."""
    i, k = Idx("i", (1, N)), Idx("k", (1, K))
    row, column = IndexedBase("row"), IndexedBase("column")
    operator = Operator(
        "standardized",
        [Eq(row[i], Sum(x[i, k], (k, 1, K))), Eq(column[k], Sum(x[i, k] / row[i], (i, 1, N)))],
        outputs=[row, column],
    )
    assert [len(work) for work in Lowering(operator, False).work] == [1, 1]
