"""Where symbolic differentiation of indexed sums goes wrong, and where this one must not."""

import itertools

import mpmath
import pytest
from sympy import Eq, Idx, IndexedBase, Interval, Max, Min, Piecewise, Rational, Sum, Symbol, exp, expand, sqrt, symbols

from symbn import catalogue
from symbn.derivation import proof
from symbn.derivation.expressions import free
from symbn.derivation.program import Program, total
from symbn.equations.operator import Operator

m, n, p = symbols("m n p", integer=True, positive=True)
i, j, k, h = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n)), Idx("h", (1, n))
x, y, z, w, t, u, a, c = map(IndexedBase, "x y z w t u a c".split())
s, number = symbols("s number")
SIZES = {"m": 3, "n": 2, "p": 2}


def one(*equations, outputs=("y",), **options):
    return Operator("one", equations, outputs=outputs, **options)


def numbers(shape, start=1):
    return {
        place: mpmath.mpf(7 * index % 13 + start) / 3
        for index, place in enumerate(itertools.product(*map(range, shape)))
    }


def agrees(operator, evaluate, draw, along, of=None, wrt=None):
    """The gradient of everything asked for, against differences; returns the operator of the gradient."""
    of, wrt = list(of or operator.outputs), list(wrt or operator.inputs)
    gradient = operator.gradient(of=of, wrt=wrt)
    inputs = draw(operator, SIZES)
    values = evaluate(operator, inputs, SIZES)
    cotangents = {name: numbers([max(at) + 1 for at in zip(*values[name], strict=True)]) for name in of}
    directions = {name: {place: mpmath.mpf(3 + sum(place)) / 7 for place in inputs[name]} for name in wrt}
    names = [name for name in gradient.inputs if name not in values and name.startswith("d")]
    new = {name: cotangents[original] for original in of for name in names if name.rstrip("_2") == f"d{original}"}
    found = evaluate(gradient, {**inputs, **new}, SIZES)
    result = mpmath.fsum(
        found[own][place] * value
        for own, name in zip(gradient.outputs, wrt, strict=True)
        for place, value in directions[name].items()
    )
    expected = along(operator, inputs, SIZES, directions, cotangents)
    assert abs(result - expected) < mpmath.mpf(10) ** -12 * (1 + abs(expected)), gradient
    return gradient


# ---- index capture --------------------------------------------------------------------------------------


def test_sympy_captures_the_index_and_this_does_not():
    """The derivative of a mean by one element is 1/m, whatever the sum's index is called."""
    zero = Idx("i", (0, m - 1))
    assert (Sum(x[zero], (zero, 0, m - 1)) / m).diff(x[zero]).doit() == 1
    mean = one(Eq(number, Sum(x[i], (i, 1, m)) / m), outputs=["number"])
    (eq,) = mean.gradient().equations
    assert eq.rhs == Symbol("dnumber") / m


def test_the_derivative_of_a_weighted_sum_is_one_weight():
    """And not the sum of all weights."""
    assert Sum(c[i] * x[i], (i, 1, m)).diff(x[i]) == Sum(c[i], (i, 1, m))
    weighted = one(Eq(number, Sum(c[i] * x[i], (i, 1, m))), outputs=["number"])
    (eq,) = weighted.gradient(wrt="x").equations
    assert eq.rhs == Symbol("dnumber") * c[eq.lhs.indices[0]]


def test_the_derivative_of_a_sum_of_squared_deviations(evaluate):
    """2(x_k - mu)/m, with no ranges left in it."""
    mu = IndexedBase("mu")
    spread = one(
        Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
        Eq(y[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m),
        outputs=["y", "mu"],
    )
    (eq,) = spread.gradient(of="y").equations
    target = dict(zip(("i", "k"), eq.lhs.indices, strict=True))
    element = x[target["i"], target["k"]] - mu[target["k"]]
    assert expand(eq.rhs - 2 * element * IndexedBase("dy")[target["k"]] / m) == 0


CAPTURES = {
    "the index of the target inside of a sum": one(
        Eq(y[k], w[k] * Sum(x[k] * a[i], (i, 1, m))), Eq(z[i], a[i] * Sum(y[k], (k, 1, n))), outputs=["z"]
    ),
    "a sum over the target's own index": one(
        Eq(t[i], Sum(x[i, k], (k, 1, n))), Eq(y[k], Sum(x[i, k] * t[i], (i, 1, m)))
    ),
    "sums side by side over one index": one(Eq(y[k], Sum(x[i, k], (i, 1, m)) * Sum(x[i, k] ** 2, (i, 1, m)) * w[k])),
    "a sum within a sum": one(Eq(y[k], Sum(x[i, k] * Sum(x[i, h] * w[h], (h, 1, n)), (i, 1, m)))),
    "a sum within a sum of everything": one(
        Eq(number, Sum(x[i, k] * Sum(x[j, h] * x[j, k], (j, 1, m), (h, 1, n)), (i, 1, m), (k, 1, n))),
        outputs=["number"],
    ),
    "reads of two rows": one(Eq(y[i, j], Sum(x[i, k] * x[j, k], (k, 1, n)))),
    "reads of two rows and their sum": one(
        Eq(t[i, j], Sum(x[i, k] * x[j, k] ** 2, (k, 1, n))), Eq(y[i], Sum(t[i, j] * t[j, i], (j, 1, m)))
    ),
    "a transposed read": one(Eq(y[i, j], x[j, i] ** 2 * w[j])),
    "both ways at once": one(Eq(y[i, j], x[i, j] * x[j, i] + x[j, i] ** 3)),
    "a transposed definition": one(Eq(t[i, j], x[i, j] ** 2), Eq(y[i, j], t[j, i] * t[i, j] * x[j, i])),
    "a transposed sum": one(Eq(t[i], Sum(x[j, i] * x[i, j], (j, 1, m))), Eq(y[i, j], t[j] * x[i, j])),
    "softmax along the other axis": one(Eq(y[i, k], exp(x[i, k]) / Sum(exp(x[i, h]), (h, 1, n)) * t[k] * u[i])),
    "an extent as a number": one(Eq(y[k], x[k] * n**2 + Sum(n * x[h] ** 2 / (n + 1), (h, 1, n)))),
    "an extent as an exponent": one(Eq(y[k], x[k] ** n + sqrt(n) * x[k])),
    "a sum of what does not vary": one(Eq(y[k], Sum(x[k] ** 2, (i, 1, m)) + w[k] * Sum(a[i], (i, 1, m)))),
    "a scalar within a sum": one(Eq(number, Sum(x[i] ** 2 * s, (i, 1, m)) + s**2), Eq(y[i], number * x[i])),
}


@pytest.mark.parametrize("trap", CAPTURES)
def test_indices_mean_what_they_meant(evaluate, draw, along, trap):
    agrees(CAPTURES[trap], evaluate, draw, along)


def test_an_operator_that_uses_every_letter(evaluate, draw, along):
    """The indices that a gradient needs have to be called something else."""
    letters = "i j k l m n o p q r s t u v w a b c d e f g h".split()
    extent = Symbol("size", integer=True, positive=True)
    named = [Idx(letter, (1, extent)) for letter in letters]
    first, second = named[0], named[1]
    terms = [Eq(IndexedBase(f"B{number}")[one], IndexedBase("A")[one] ** 2) for number, one in enumerate(named)]
    result = Eq(
        IndexedBase("Y")[first],
        IndexedBase("A")[first] * Sum(IndexedBase("A")[second] * IndexedBase("B1")[second], (second, 1, extent)),
    )
    operator = Operator("letters", [*terms, result], outputs=["Y"])
    gradient = operator.gradient()
    inputs = {"A": numbers([3])}
    cotangent, direction = numbers([3], 2), numbers([3], 5)
    found = evaluate(gradient, {**inputs, "dY": cotangent}, {"size": 3})
    expected = along(operator, inputs, {"size": 3}, {"A": direction}, {"Y": cotangent})
    assert abs(mpmath.fsum(found["dA"][place] * direction[place] for place in direction) - expected) < 1e-12


def test_indices_run_out_of_letters():
    """With all letters taken an index gets a number."""
    letters = "ijklmnopqrstuvwabcdefgh"
    extents = [Symbol(f"size{number}", integer=True, positive=True) for number in range(len(letters))]
    named = [Idx(letter, (1, extent)) for letter, extent in zip(letters, extents, strict=True)]
    arrays = [IndexedBase(f"A{number}") for number in range(len(letters))]
    equations = [
        Eq(IndexedBase(f"B{n}")[one], base[one]) for n, (base, one) in enumerate(zip(arrays, named, strict=True))
    ]
    program = Program(Operator("all", equations, outputs=["B0"]))
    index = program.index("i")
    assert str(program.fresh_index(index, {index}).name) == "i_2"
    assert program.extent("i_2") == program.extent("i")


def test_renaming_does_not_capture():
    """x[i, k] summed over k, with i renamed to k."""
    program = Program(one(Eq(y[i], Sum(a[i, j] * w[j], (j, 1, m)))))
    first, second = program.index("i"), program.index("j")
    renamed = program.rename(total(a[first, second], [second], program), {first: second})
    assert free(renamed) == {second}
    (limit,) = renamed.limits
    assert renamed.function == a[second, limit[0]]
    assert limit[0] not in (first, second)


def test_two_indices_change_places():
    program = Program(one(Eq(y[i, j], a[i, j])))
    first, second = program.index("i"), program.index("j")
    assert program.rename(a[first, second], {first: second, second: first}) == a[second, first]


# ---- inputs and outputs ---------------------------------------------------------------------------------


def test_the_gradient_of_a_plain_sum_needs_its_shape():
    """Nothing reads x, but how many elements there are is known from it alone."""
    gradient = one(Eq(y[k], Sum(x[i, k], (i, 1, m)))).gradient()
    assert gradient.inputs == ("dy", "x")
    assert gradient.written["x"] == ("i", "k")


def test_shapes_are_not_asked_for_twice():
    assert one(Eq(y[i, k], x[i, k] * 3)).gradient().inputs == ("dy",)
    assert one(Eq(y[k], Sum(x[i, k], (i, 1, m)))).jvp().inputs == ("dx",)


def test_an_extent_that_is_used_as_a_number_needs_an_input():
    gradient = one(Eq(y[k], Sum(x[i, k], (i, 1, m))), Eq(z[k], w[k] * m), outputs=["z"]).gradient(wrt="w")
    assert gradient.inputs == ("dz", "x")


def test_what_nothing_depends_on_has_a_gradient_of_0():
    operator = one(Eq(t[k], Sum(x[i, k], (i, 1, m))), Eq(y[k], w[k] * 2))
    (eq,) = operator.gradient(wrt="x").equations
    assert (eq.lhs, eq.rhs) == (IndexedBase("dx")[eq.lhs.indices], 0)
    # The tangent of y does not depend on that of x either.
    assert operator.jvp(wrt="x").equations[-1].rhs == 0


def test_scalars(evaluate, draw, along):
    operator = one(Eq(number, Sum(x[i] ** 2, (i, 1, m))), Eq(y[i], x[i] ** 2 * s + number / s))
    gradient = agrees(operator, evaluate, draw, along, wrt=["s", "x"])
    assert gradient.arrays["ds"] == ()


def test_a_scalar_is_an_exponent():
    operator = one(Eq(y[k], x[k] ** Symbol("s", positive=True)))
    assert "log" in str(operator.gradient(wrt="s"))
    assert "log" not in str(operator.gradient(wrt="x"))


def test_an_optional_input_has_an_optional_gradient():
    gradient = catalogue.load("batch_norm")[0].gradient()
    assert dict(gradient.optional) == {"dgamma": "gamma"}
    assert dict(gradient.defaults) == {"gamma": 1.0, "epsilon": 1e-5}


def test_the_cotangent_of_an_optional_output_is_0_by_default(derive):
    again = derive(catalogue.load("batch_norm_backward")[0], "gradient")
    assert again.optional["dgamma"] == "gamma"
    assert again.defaults["ddgamma"] == 0.0


def test_the_tangent_of_an_optional_input_is_0_by_default():
    assert {name: catalogue.load("batch_norm")[0].jvp().defaults[name] for name in ("dgamma", "dbeta")} == {
        "dgamma": 0.0,
        "dbeta": 0.0,
    }


def test_statistics_that_are_not_outputs_are_computed_again(operators):
    gradient = operators["instance_norm_like"].gradient()
    assert [name for name, _, _ in gradient.definitions][:2] == ["mu", "sigma2"]
    assert gradient.inputs == ("dy", "x", "gamma", "epsilon")
    assert gradient.given == ()


def test_statistics_that_are_outputs_are_inputs():
    gradient = catalogue.load("batch_norm")[0].gradient()
    assert gradient.inputs == ("dy", "x", "mu", "sigma2", "gamma", "epsilon")
    assert gradient.statistics == {"mu", "sigma2"}
    assert [str(eq.lhs.base.label) for eq in gradient.given] == ["mu", "sigma2"]


@pytest.mark.parametrize("mode", ["gradient", "jvp"])
def test_a_statistic_that_is_one_number(mode):
    operator = one(Eq(number, Sum(x[i], (i, 1, m))), Eq(y[i], x[i] ** 2 / number), outputs=["y", "number"])
    assert "number" in getattr(operator, mode)().inputs


def test_a_domain_far_from_0(monkeypatch):
    monkeypatch.setattr(proof, "_TRIES", 4)
    operator = one(Eq(y[k], x[k] * sqrt(s - 100)), domains={s: Interval(101, 200)})
    assert operator.gradient(wrt="s").outputs == ("ds",)


def test_a_shape_and_a_statistic_at_once():
    """Nothing reads x; u is an output, and so an input of the gradient with an equation that is given."""
    operator = Operator("one", [Eq(u[k], 2 * w[k]), Eq(y[k], u[k] * w[k])], outputs=["y", "u"], inputs=[x[i, k], "w"])
    gradient = operator.gradient(wrt=["x", "w"])
    assert gradient.outputs == ("dx", "dw")


@pytest.mark.parametrize("extreme", [Max, Min])
def test_a_piecewise_inside_of_a_maximum(evaluate, draw, along, extreme):
    choice = Piecewise((x[k] ** 2, x[k] > w[k]), (2 * x[k], True))
    agrees(one(Eq(y[k], extreme(choice, w[k]))), evaluate, draw, along)


# ---- names ----------------------------------------------------------------------------------------------


def test_an_input_that_is_called_as_a_cotangent_would_be(evaluate, along):
    dy = IndexedBase("dy")
    operator = one(Eq(y[k], dy[k] * x[k] ** 2))
    first = operator.gradient()
    assert (first.inputs, first.outputs) == (("dy_2", "x", "dy"), ("dx", "ddy"))
    inputs = {"x": numbers([2]), "dy": numbers([2], 4)}
    found = evaluate(first, {**inputs, "dy_2": numbers([2], 2)}, SIZES)
    for name, own in (("x", "dx"), ("dy", "ddy")):
        direction = {name: numbers([2], 3)}
        expected = along(operator, inputs, SIZES, direction, {"y": numbers([2], 2)})
        assert abs(mpmath.fsum(found[own][place] * one for place, one in direction[name].items()) - expected) < 1e-12


def test_a_definition_that_is_called_as_a_gradient_gives_way():
    dx = IndexedBase("dx")
    gradient = one(Eq(dx[k], x[k] ** 2), Eq(y[k], dx[k] * x[k])).gradient()
    assert gradient.outputs == ("dx",)
    assert [name for name, _, _ in gradient.definitions] == ["dx_1", "dx"]


def test_names_stay_apart_to_third_order():
    """No two arrays share a name, and outputs are called for the inputs that they belong to."""
    dy = IndexedBase("dy")
    operator = one(Eq(y[k], dy[k] * x[k] ** 2))
    for _ in range(3):
        operator = operator.gradient()
        names = [*operator.inputs, *operator.outputs]
        assert len(set(names)) == len(names)


def test_an_index_that_is_called_as_a_gradient():
    index = Idx("dx", (1, n))
    gradient = one(Eq(y[index], x[index] ** 2)).gradient()
    assert gradient.outputs == ("dx_2",)


def test_an_adjoint_in_the_middle_whose_name_is_taken(evaluate, draw, along):
    """t_bar and x_dot are inputs already."""
    taken = IndexedBase("t_bar")
    operator = one(
        Eq(t[k], exp(x[k]) + taken[k]), Eq(z[k], t[k] ** 2), Eq(y[k], t[k] * z[k] + exp(z[k] / 9)), outputs=["y"]
    )
    agrees(operator, evaluate, draw, along)


# ---- higher order ---------------------------------------------------------------------------------------


def test_statistics_that_are_given_are_differentiated_through(derive):
    """The gradient of a gradient is that of the whole: mu and sigma2 follow x, and have no gradient of their own."""
    again = derive(catalogue.load("batch_norm_backward")[0], "gradient")
    assert again.outputs == ("ddy", "dx", "dgamma")
    assert not {"dmu", "dsigma2"} & {*again.outputs, *again.inputs}
    assert {str(eq.lhs.base.label) for eq in again.given} == {"mu", "sigma2"}


def test_what_is_given_matters(evaluate, draw, derive):
    """The same gradient with mu and sigma2 as constants is another one at second order."""
    first = catalogue.load("batch_norm_backward")[0]
    alone = Operator(
        "alone",
        first.equations,
        first.outputs,
        inputs=first.inputs,
        statistics=first.statistics,
    )
    inputs = {**draw(first, SIZES), "ddx": numbers([3, 2], 2)}
    inputs |= {"ddgamma": numbers([2]), "ddbeta": numbers([2])}
    values = evaluate(first, inputs, SIZES)
    whole = evaluate(derive(first, "gradient"), inputs, SIZES)["dx"]
    fixed = evaluate(alone.gradient(), {**inputs, "mu": values["mu"], "sigma2": values["sigma2"]}, SIZES)["dx"]
    assert any(abs(whole[place] - fixed[place]) > 1e-3 for place in whole)


SYMMETRIC = {
    "a cube": one(Eq(number, Sum(x[i] ** 3 * w[i], (i, 1, m)) ** 2 / m), outputs=["number"]),
    "a ratio": one(Eq(number, Sum(x[i] * w[i], (i, 1, m)) / (1 + Sum(x[i] ** 2, (i, 1, m)))), outputs=["number"]),
    "a spread": one(
        Eq(s, Sum(x[i], (i, 1, m)) / m), Eq(number, Sum((x[i] - s) ** 2 * x[i] * w[i], (i, 1, m))), outputs=["number"]
    ),
}


@pytest.mark.parametrize("name", SYMMETRIC)
def test_mixed_second_derivatives_are_symmetric(evaluate, name):
    """Exactly: <u, H v> = <v, H u> in rational numbers, with x and w together."""
    operator = SYMMETRIC[name]
    second = operator.gradient(wrt=["x", "w"]).jvp(wrt=["x", "w"])
    base = {"x": [2, -3, 5], "w": [Rational(1, 2), 4, -1], "dnumber": [1]}
    one, other = {"dx": [1, 0, 2], "dw": [0, 3, -1]}, {"dx": [-1, 4, 1], "dw": [2, 1, 5]}

    def times(direction):
        inputs = {
            key: {(place,): Rational(value) for place, value in enumerate(values)} for key, values in base.items()
        }
        inputs["dnumber"] = {(): Rational(1)}
        names = dict(
            zip(("x", "w"), [key for key in second.inputs if key in ("dx", "dw", "dx_2", "dw_2")], strict=True)
        )
        for key, own in names.items():
            inputs[own] = {(place,): Rational(value) for place, value in enumerate(direction[f"d{key}"])}
        found = evaluate(second, inputs, {"m": 3}, symbolic=True)
        return dict(zip(("dx", "dw"), (found[own] for own in second.outputs), strict=True))

    def inner(direction, found):
        return sum(
            value * found[key][place,] for key, values in direction.items() for place, value in enumerate(values)
        )

    left, right = inner(one, times(other)), inner(other, times(one))
    assert left == right
    assert left != 0


def test_a_statistic_that_is_called_as_a_cotangent_would_be():
    """It keeps its name, under which the forward pass returns it."""
    dy = IndexedBase("dy")
    operator = one(Eq(dy[k], Sum(x[i, k], (i, 1, m))), Eq(y[i, k], x[i, k] * dy[k]), outputs=["y", "dy"])
    assert operator.gradient().inputs == ("dy_2", "x", "dy")
