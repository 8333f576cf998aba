"""A mean's low part is taken up where that leaves less to do for each element, and costs no digits."""

from fractions import Fraction

import pytest

from symbn.kernel.computations import Reduction
from symbn.kernel.groups import Group, Pass, Store, Value
from symbn.kernel.ir import Const, Load, Op, Var
from symbn.kernel.low_parts import low_parts_moved
from symbn.kernel.naming import Names

HERE = (Var("i"), Var("k"))
x, u = Load("x", HERE), Load("u", HERE)
a, b, c, d, hi, lo = map(Var, ("a", "b", "c", "d", "mu_hi", "mu_lo"))


def add(*terms):
    first, *rest = terms
    return Op("add", (add(*terms[:-1]), rest[-1])) if rest else first


def sub(first, *rest):
    return Op("sub", (sub(first, *rest[:-1]), rest[-1])) if rest else first


def mul(p, q):
    return Op("mul", (p, q))


def found(value):
    """The output that a value becomes, over the values that are computed once."""
    mean = Reduction("mu_hi", "mu_lo", ("k",), ("i",), x, "mean", 1)
    known = tuple(Value(name, Load(name, (Var("k"),)), stage, 2) for name, stage in (("a", 1), ("b", 0), ("c", 0)))
    group = Group(
        ("k",), ("i",), (Pass((mean,), ()), Pass((), (Store("y", ("i", "k"), value, 2, 3),))), (*known, of_d()), ()
    )
    new = low_parts_moved(group, Names(["a", "b", "c", "d", "x", "u", "y", "mu_hi", "mu_lo"]))
    assert [one.stage for one in new.values] == sorted(one.stage for one in new.values)
    own = {one.name: one for one in new.values if one not in group.values}
    return new.passes[1].stores[0].value, own


def of_d():
    return Value("d", Load("d", (Var("k"),)), 1, 2)


@pytest.mark.parametrize(
    "value",
    [
        mul(a, sub(x, hi)),
        mul(a, sub(mul(b, u), mul(c, x), d)),
        sub(mul(a, sub(x, hi)), d),
        mul(a, sub(x, hi, lo)),
        add(mul(u, sub(x, hi, lo)), d),
        add(mul(a, sub(x, hi, lo)), u),
    ],
)
def test_what_would_not_be_less_stays_as_it_is(value):
    assert found(value) == (value, {})


def test_the_low_part_of_a_mean_goes_into_what_is_added():
    value, own = found(add(mul(a, sub(x, hi, lo)), d))
    (name,) = own
    assert value == add(mul(a, sub(x, hi)), Var(name))
    assert own[name].expr == sub(d, mul(a, lo))
    assert own[name].stage == 1


def test_signs_are_kept():
    value, own = found(sub(u, mul(a, sub(x, hi, lo)), d))
    (name,) = own
    assert value == sub(u, mul(a, sub(x, hi)), Var(name))
    assert own[name].expr == sub(d, mul(a, lo))


def test_within_functions_too():
    zero = Const(Fraction(0))
    value, own = found(Op("max", (zero, add(mul(a, sub(x, hi, lo)), d))))
    (name,) = own
    assert value == Op("max", (zero, add(mul(a, sub(x, hi)), Var(name))))


def test_equal_values_are_computed_once():
    one = add(mul(a, sub(x, hi, lo)), d)
    value, own = found(Op("max", (one, Op("neg", (one,)))))
    assert len(own) == 1
    assert value.args[0] == value.args[1].args[0]
