"""Gradients and tangents of every operator against differences of the operator itself, to third order."""

import mpmath
import numpy as np
import pytest
from sympy import Eq, Idx, IndexedBase, Sum, Symbol, sqrt, symbols

from symbn import catalogue
from symbn.derivation import request
from symbn.equations.operator import Operator
from symbn.run.reference import axes, compile_reference, numpy_source

SIZES = {"m": 3, "n": 2, "p": 2, "q": 3, "N": 2, "C": 2, "G": 2, "K": 2, "S": 3}
TIGHT = mpmath.mpf(10) ** -13
#: second and higher derivatives cost more to derive: these have all the shapes
TWICE = (
    "batch_norm",
    "root_mean_square_norm",
    "reductions_of_reductions",
    "sum_of_other_rows",
    "pairwise_of_sums",
    "branches",
    "elementwise",
    "softmax_without_shift",
    "matrix_product",
    "full_reduction",
)


def names_in(operator, outputs=None, inputs=None):
    """What a derivation calls the gradients of some outputs and inputs."""
    taken = request.taken(operator)
    outputs = request.outputs(operator, outputs)
    of = request.names(outputs, taken)
    return of, request.names(request.inputs(operator, inputs), taken)


def random_like(draw, operator, values, names, seed):
    """Numbers in the shape of some arrays."""
    rng = np.random.default_rng(seed)
    return {name: {place: mpmath.mpf(int(rng.integers(-99, 99))) / 37 for place in values[name]} for name in names}


def inner(ones, others):
    return mpmath.fsum(one * others[name][place] for name, places in ones.items() for place, one in places.items())


def near(one, other):
    assert abs(one - other) <= TIGHT * (1 + abs(one) + abs(other)), (one, other)


def check_gradient(operator, gradient, evaluate, draw, along, seed=1, of=None, wrt=None):
    """<gradient, direction> is the derivative of <outputs, cotangents> along the direction."""
    inputs = draw(operator, SIZES, seed)
    values = evaluate(operator, inputs, SIZES)
    outputs, targets = names_in(operator, of, wrt)
    assert gradient.outputs == tuple(targets.values())
    weights = random_like(draw, operator, values, outputs, seed)
    directions = random_like(draw, operator, inputs, targets, seed + 1)
    given = {**inputs, **{outputs[name]: weights[name] for name in outputs}}
    found = evaluate(gradient, given, SIZES)
    expected = along(operator, inputs, SIZES, directions, weights)
    near(inner(directions, {name: found[own] for name, own in targets.items()}), expected)


def check_tangent(operator, tangent, evaluate, draw, along, seed=1, wrt=None):
    """<tangents, weights> is the derivative of <outputs, weights> along the direction."""
    inputs = draw(operator, SIZES, seed)
    values = evaluate(operator, inputs, SIZES)
    taken = request.taken(operator)
    directions_of = request.names(request.inputs(operator, wrt), taken)
    results = request.names(list(operator.outputs), taken)
    weights = random_like(draw, operator, values, operator.outputs, seed)
    directions = random_like(draw, operator, inputs, directions_of, seed + 1)
    given = {**inputs, **{directions_of[name]: directions[name] for name in directions_of}}
    found = evaluate(tangent, given, SIZES)
    assert tangent.outputs == tuple(results.values())
    near(
        inner(weights, {name: found[own] for name, own in results.items()}),
        along(operator, inputs, SIZES, directions, weights),
    )


# ---- first order ----------------------------------------------------------------------------------------


def test_gradient(operator, derive, evaluate, draw, along):
    check_gradient(operator, derive(operator, "gradient"), evaluate, draw, along)


def test_tangent(operator, derive, evaluate, draw, along):
    check_tangent(operator, derive(operator, "jvp"), evaluate, draw, along, seed=3)


def test_every_output_at_once(operators, evaluate, draw, along):
    """Cotangents of statistics and of what other equations read add up."""
    for name in ("batch_norm", "row_norm", "pairwise_of_sums", "matrix_product"):
        operator = operators[name]
        gradient = operator.gradient(of=operator.outputs)
        check_gradient(operator, gradient, evaluate, draw, along, of=operator.outputs)


def test_every_output_at_once_with_numbers_among_them(operators, evaluate, draw, along):
    operator = operators["full_reduction"]
    check_gradient(operator, operator.gradient(of=operator.outputs), evaluate, draw, along, of=operator.outputs)


def test_scalars_are_differentiated_too(operators, evaluate, draw, along):
    for name in ("batch_norm", "row_norm", "root_mean_square_norm"):
        operator = operators[name]
        wrt = ["epsilon", "x"]
        check_gradient(operator, operator.gradient(wrt=wrt), evaluate, draw, along, wrt=wrt)


def test_the_oracle_sees_a_wrong_gradient(operators, evaluate, draw, along):
    """The comparison fails for a gradient of something else."""
    operator = operators["batch_norm"]
    other = operators["row_norm"].gradient()
    with pytest.raises(AssertionError):
        check_gradient(operator, other, evaluate, draw, along)


# ---- the reference that is printed ----------------------------------------------------------------------


def arrays(operator, values, sizes):
    """Values as NumPy arrays, one for each input."""
    sizes = {**operator.fixed_extents, **sizes}
    result = []
    for name in operator.inputs:
        shape = tuple(sizes[extent] for extent in operator.arrays.get(name, ()))
        one = np.empty(shape, dtype=np.longdouble)
        for place, value in values[name].items():
            one[place] = np.longdouble(mpmath.nstr(value, 30))
        result.append(one)
    return result


def elements(operator, name, result):
    """A result of the reference by place: it has an axis for each index, of length 1 where it does not vary."""
    order, written = axes(operator), operator.written[name]
    sizes = [{**SIZES, **operator.fixed_extents}[extent] for extent in operator.arrays[name]]
    result = np.asarray(result)
    result = result.reshape((1,) * (len(order) - result.ndim) + result.shape)
    for place in np.ndindex(*sizes):
        at = dict(zip(written, place, strict=True))
        there = [min(at.get(index, 0), size - 1) for index, size in zip(order, result.shape, strict=True)]
        yield place, result[tuple(there)]


def check_reference(operator, evaluate, values):
    """The NumPy code gives what the loops give."""
    found = compile_reference(numpy_source(operator))(*arrays(operator, values, SIZES))
    expected = evaluate(operator, values, SIZES)
    for name, result in zip(operator.outputs, found, strict=True):
        for place, one in elements(operator, name, result):
            other = expected[name][place]
            assert abs(mpmath.mpf(str(one)) - other) <= mpmath.mpf(10) ** -14 * (1 + abs(other)), (name, place)


def test_the_reference_of_a_gradient(operator, derive, evaluate, draw):
    for mode in ("gradient", "jvp"):
        derived = derive(operator, mode)
        values = draw(operator, SIZES, 5)
        known = evaluate(operator, values, SIZES)
        taken = request.taken(operator)
        outputs = request.outputs(operator, operator.outputs if mode == "jvp" else None)
        inputs = request.inputs(operator, None)
        names = request.names(outputs if mode == "gradient" else inputs, taken)
        new = random_like(draw, operator, known, names, 6)
        values = evaluate(derived, {**values, **{names[name]: new[name] for name in names}}, SIZES)
        free = {name: values[name] for name in derived.inputs}
        check_reference(derived, evaluate, free)


def compiled(operator):
    function = compile_reference(numpy_source(operator))
    return lambda values: function(*(values[name] for name in operator.inputs))


NORMS = ("batch_norm", "row_norm", "root_mean_square_norm", "weighted_norm", "softmax_without_shift")


@pytest.mark.parametrize("name", NORMS)
def test_complex_step(operators, derive, name):
    """Im f(x + ih)/h has no cancellation: the gradient's reference agrees to the last digits of a double."""
    operator, rng = operators[name], np.random.default_rng(7)
    shapes = {one: tuple(SIZES[extent] for extent in operator.arrays.get(one, ())) for one in operator.inputs}
    values = {one: rng.uniform(0.5, 2, shape) for one, shape in shapes.items()}
    forward, backward = compiled(operator), derive(operator, "gradient")
    results = dict(zip(operator.outputs, forward(values), strict=True))
    dy = rng.normal(size=values["x"].shape)
    known = {**values, "dy": dy}
    for one in backward.inputs:
        if one not in known:
            known[one] = results[one].reshape(tuple(SIZES[extent] for extent in operator.arrays[one]))
    found = dict(zip(backward.outputs, compiled(backward)(known), strict=True))
    for one in ("x", *(extra for extra in ("gamma", "w") if extra in operator.inputs)):
        gradient = dict(elements(backward, f"d{one}", found[f"d{one}"]))
        for place in np.ndindex(*shapes[one]):
            moved = values[one].astype(complex)
            moved[place] += 1e-30j
            y = elements(operator, "y", forward({**values, one: moved})[0])
            expected = sum(value.imag * dy[there] for there, value in y) / 1e-30
            assert float(gradient[place]) == pytest.approx(expected, rel=1e-12, abs=1e-12)


# ---- second and third order -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", TWICE)
def test_gradient_of_a_gradient(operators, derive, evaluate, draw, along, name):
    first = derive(operators[name], "gradient")
    check_gradient(first, derive(first, "gradient"), evaluate, draw, along)


@pytest.mark.parametrize("name", TWICE)
def test_tangent_of_a_gradient(operators, derive, evaluate, draw, along, name):
    first = derive(operators[name], "gradient")
    check_tangent(first, derive(first, "jvp"), evaluate, draw, along)


def test_gradient_of_a_tangent(operators, derive, evaluate, draw, along):
    for name in ("root_mean_square_norm", "matrix_product", "softmax_without_shift"):
        first = derive(operators[name], "jvp")
        check_gradient(first, derive(first, "gradient"), evaluate, draw, along)


def plain_batch_norm():
    """Without scale and shift, and with nothing saved: only x moves."""
    m, n = symbols("m n", integer=True, positive=True)
    i, k = Idx("i", (1, m)), Idx("k", (1, n))
    x, y, mu, sigma2 = map(IndexedBase, ("x", "y", "mu", "sigma2"))
    return Operator(
        "plain",
        [
            Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
            Eq(sigma2[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m),
            Eq(y[i, k], (x[i, k] - mu[k]) / sqrt(sigma2[k] + Symbol("epsilon", positive=True))),
        ],
        outputs=[y],
    )


def test_third_derivative_along_a_line(evaluate, draw, along):
    """d^3/dt^3 <f(x + t v), w> of batch norm, whose statistics follow x: by tangents, and with a gradient last."""
    forward = plain_batch_norm()
    inputs = draw(forward, SIZES, 11)
    values = evaluate(forward, inputs, SIZES)
    v = random_like(draw, forward, inputs, ["x"], 12)["x"]
    w = random_like(draw, forward, values, ["y"], 13)["y"]
    known, operator, (result,) = dict(inputs), forward, ["y"]
    for order in (1, 2, 3):
        if order == 3:
            third = operator.gradient(of=[result], wrt=["x"])
            (cotangent,) = set(third.inputs) - {*known, *forward.outputs, *operator.inputs}
            (gradient,) = third.outputs
            found = evaluate(third, {**known, cotangent: w}, SIZES)[gradient]
            near(inner({"x": v}, {"x": found}), along(forward, inputs, SIZES, {"x": v}, {"y": w}, 3))
        before = set(operator.inputs)
        operator = operator.jvp(of=[result], wrt=["x"])
        (result,) = operator.outputs
        (tangent,) = request.names(["x"], {*before, *operator.indices, *operator.indices.values()}).values()
        known[tangent] = v
        expected = along(forward, inputs, SIZES, {"x": v}, {"y": w}, order)
        near(inner({"y": w}, {"y": evaluate(operator, known, SIZES)[result]}), expected)


def test_second_derivative_by_gradients(evaluate, draw, along, derive):
    """<v, H v> of the weighted output by the gradient of the gradient."""
    forward, first = catalogue.load("batch_norm")[0], catalogue.load("batch_norm_backward")[0]
    inputs = draw(forward, SIZES, 11)
    values = evaluate(forward, inputs, SIZES)
    v = random_like(draw, forward, inputs, ["x"], 12)["x"]
    w = random_like(draw, forward, values, ["y"], 13)["y"]
    zero = {(place,): mpmath.mpf(0) for place in range(SIZES["n"])}
    known = {**inputs, "dy": w, "ddx": v, "ddgamma": zero, "ddbeta": zero}
    found = evaluate(derive(first, "gradient"), known, SIZES)["dx"]
    near(inner({"x": v}, {"x": found}), along(forward, inputs, SIZES, {"x": v}, {"y": w}, 2))
