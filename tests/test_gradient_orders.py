"""Gradients and tangents of every order, as kernels, against differences of the forward equations written by hand."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from sympy import Abs, Eq, Idx, IndexedBase, Sum, Symbol, exp, sqrt, symbols

import symbn
from symbn import dtypes, pipeline
from symbn.build import native
from symbn.run import reference
from symbn.run.call import Call, Compiled

pytestmark = pytest.mark.usefixtures("compiled_quickly")

m, n = symbols("m n", integer=True, positive=True)
i, j, k, h = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n)), Idx("h", (1, n))
x, w, gamma, beta, mu, mad, sigma2, y = map(IndexedBase, ("x", "w", "gamma", "beta", "mu", "mad", "sigma2", "y"))
epsilon, total = Symbol("epsilon", positive=True), Symbol("total")


class Case(NamedTuple):
    """An operator, and its forward pass in NumPy: a function of its inputs that gives its outputs."""

    operator: symbn.Operator
    forward: object


def batch_norm(x, gamma, beta, epsilon, w=None):
    share = np.full((len(x), 1), np.longdouble(1) / len(x)) if w is None else (w / w.sum())[:, None]
    mean = (share * x).sum(axis=0)
    var = (share * (x - mean) ** 2).sum(axis=0)
    return {"y": gamma * (x - mean) / np.sqrt(var + epsilon) + beta, "mu": mean, "sigma2": var}


def l1_batch_norm(x, gamma, beta, epsilon):
    mean = x.mean(axis=0)
    deviation = np.abs(x - mean).mean(axis=0)
    return {"y": gamma * (x - mean) / (deviation + epsilon) + beta, "mu": mean, "mad": deviation}


def layer_norm(x, gamma, beta, epsilon):
    mean = x.mean(axis=1)
    var = ((x - mean[:, None]) ** 2).mean(axis=1)
    hat = (x - mean[:, None]) / np.sqrt(var + epsilon)[:, None]
    return {"y": gamma * hat + beta, "mu": mean, "sigma2": var}


def rms_norm(x, gamma, epsilon):
    return {"y": gamma * x / np.sqrt((x**2).mean(axis=1, keepdims=True) + epsilon)}


def softmax(x):
    return {"y": np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)}


def normalized(scale, *, by):
    return gamma[k] * (x[i, k] - mu[by]) / scale + beta[k]


CASES = {
    "batch_norm": Case(symbn.operators.batch_norm, batch_norm),
    "l1_batch_norm": Case(
        symbn.Operator(
            "l1_batch_norm",
            [
                Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
                Eq(mad[k], Sum(Abs(x[i, k] - mu[k]), (i, 1, m)) / m),
                Eq(y[i, k], normalized(mad[k] + epsilon, by=k)),
            ],
            outputs=[y, mu, mad],
        ),
        l1_batch_norm,
    ),
    "layer_norm": Case(
        symbn.Operator(
            "layer_norm",
            [
                Eq(mu[i], Sum(x[i, k], (k, 1, n)) / n),
                Eq(sigma2[i], Sum((x[i, k] - mu[i]) ** 2, (k, 1, n)) / n),
                Eq(y[i, k], normalized(sqrt(sigma2[i] + epsilon), by=i)),
            ],
            outputs=[y, mu, sigma2],
        ),
        layer_norm,
    ),
    "rms_norm": Case(
        symbn.Operator(
            "rms_norm",
            [Eq(y[i, k], gamma[k] * x[i, k] / sqrt(Sum(x[i, h] ** 2, (h, 1, n)) / n + epsilon))],
            outputs=[y],
        ),
        rms_norm,
    ),
    "softmax": Case(
        symbn.Operator("softmax", [Eq(y[i, k], exp(x[i, k]) / Sum(exp(x[i, h]), (h, 1, n)))], outputs=[y]),
        softmax,
    ),
    "weighted_batch_norm": Case(
        symbn.Operator(
            "weighted_batch_norm",
            [
                Eq(total, Sum(w[i], (i, 1, m))),
                Eq(mu[k], Sum(w[i] * x[i, k], (i, 1, m)) / total),
                Eq(sigma2[k], Sum(w[i] * (x[i, k] - mu[k]) ** 2, (i, 1, m)) / total),
                Eq(y[i, k], normalized(sqrt(sigma2[k] + epsilon), by=k)),
            ],
            outputs=[y, mu, sigma2],
        ),
        batch_norm,
    ),
}
OPERATORS = {
    ("gradient",): lambda one: one.gradient(),
    ("jvp",): lambda one: one.jvp(),
    ("gradient", "gradient"): lambda one: one.gradient().gradient(),
    ("gradient", "jvp"): lambda one: one.gradient().jvp(),
    ("jvp", "gradient"): lambda one: one.jvp(of="y").gradient(),
    ("jvp", "jvp"): lambda one: one.jvp().jvp(),
}


@cache
def derived(name, *modes):
    return OPERATORS[modes](CASES[name].operator)


@cache
def kernel(operator, dtype="float64"):
    return symbn.build(operator, dtype=dtype)


# ---- differences ----------------------------------------------------------------------------------------

#: central differences of order 8: truncation and, at this step, rounding are both near 1e-15 of the function's size
STENCIL = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
STEP = np.longdouble(2) ** -7


def moved(point, direction, by):
    return {key: value + by * direction[key] if key in direction else value for key, value in point.items()}


def along(function, direction):
    """The derivative of a function along a direction of some of its arguments."""

    def derivative(point):
        parts = []
        for at, weight in STENCIL.items():
            ahead, behind = (function(moved(point, direction, sign * at * STEP)) for sign in (1, -1))
            parts.append(np.longdouble(weight) * (ahead - behind))
        return sum(parts) / STEP

    return derivative


def slopes(function, point, name):
    """The derivative of a number by each element of one argument."""
    result = np.empty(np.shape(point[name]), np.longdouble)
    for place in np.ndindex(result.shape):
        unit = np.zeros(result.shape, np.longdouble)
        unit[place] = 1
        result[place] = along(function, {name: unit})(point)
    return result


def output(case, name):
    """One output as a function of the inputs."""
    return lambda point: case.forward(**{key: point[key] for key in inputs_of(case)})[name]


def inputs_of(case):
    return case.operator.inputs


def inner(function, *cotangents):
    """The inner product of what a function gives with a cotangent among its arguments."""
    return lambda point: sum((point[one] * function(point)).sum() for one in cotangents)


# ---- data -------------------------------------------------------------------------------------------------


def inputs(rng, case, shape=(5, 3), dtype=np.float64, offset=0.0):
    """Random inputs. No x is near its mean along either axis, where the mean absolute deviation has a kink."""
    rows, columns = shape
    spread = np.linspace(-2, 2, rows * columns).reshape(columns, rows).T
    while True:
        data = rng.permuted(spread.ravel()).reshape(shape) + rng.uniform(-0.05, 0.05, shape)
        if shape != (5, 3) or np.abs(data - data.mean(axis=0)).min() > 0.2:
            break
    found = {
        "x": data + offset,
        "w": rng.uniform(0.5, 2, rows),
        "gamma": rng.uniform(0.5, 2, columns),
        "beta": rng.standard_normal(columns),
    }
    found = {key: value.astype(dtype) for key, value in found.items()} | {"epsilon": 0.25}
    return {key: found[key] for key in inputs_of(case)}


def wide(point):
    return {key: np.asarray(value, np.longdouble) for key, value in point.items()}


def statistics(case, point):
    """What the forward pass saves, rounded to float64."""
    results = case.forward(**wide({key: point[key] for key in inputs_of(case)}))
    return {key: results[key].astype(np.float64) for key in case.operator.statistics}


def like(rng, values, dtype=np.float64):
    return {key: rng.uniform(-1, 1, np.shape(value)).astype(dtype) for key, value in values.items()}


def run(operator, values, dtype="float64", **options):
    """Outputs by name; the check compares each element with the operator's own equations as well."""
    own = {key: value for key, value in values.items() if key in operator.inputs}
    result = kernel(operator, dtype)(**own, **options)
    return {operator.outputs[0]: result} if len(operator.outputs) == 1 else result._asdict()


def assert_close(found, expected, tolerance):
    expected = np.asarray(expected)
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert np.shape(found) == expected.shape
    assert np.abs(expected).max() > 1e-3, "nothing is compared"
    np.testing.assert_allclose(found, expected.astype(np.float64), rtol=0, atol=tolerance * scale)


ARRAYS = ("x", "w", "gamma", "beta")


def arrays_of(case):
    return [key for key in inputs_of(case) if key in ARRAYS]


# ---- first order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_a_gradient_is_the_slope(rng, name):
    case, operator = CASES[name], derived(name, "gradient")
    point = inputs(rng, case)
    point |= {"dy": rng.uniform(-1, 1, point["x"].shape)}
    assert operator.outputs == tuple(f"d{one}" for one in arrays_of(case))
    result = run(operator, point | statistics(case, point))
    pairing = inner(output(case, "y"), "dy")
    for one in arrays_of(case):
        assert_close(result[f"d{one}"], slopes(pairing, wide(point), one), 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_tangent_is_the_change_along_a_direction(rng, name):
    case, operator = CASES[name], derived(name, "jvp")
    point = inputs(rng, case)
    tangents = like(rng, {key: point[key] for key in arrays_of(case)})
    assert operator.outputs == tuple(f"d{one}" for one in case.operator.outputs)
    given = {f"d{key}": value for key, value in tangents.items()}
    result = run(operator, point | statistics(case, point) | given)
    for one in case.operator.outputs:
        assert_close(result[f"d{one}"], along(output(case, one), wide(tangents))(wide(point)), 1e-12)


@pytest.mark.parametrize("name", ["batch_norm", "l1_batch_norm", "weighted_batch_norm"])
def test_outputs_that_are_statistics_have_cotangents_too(rng, name):
    case = CASES[name]
    operator = case.operator.gradient(of=case.operator.outputs)
    point = inputs(rng, case)
    results = case.forward(**wide(point))
    cotangents = {f"d{key}": rng.uniform(-1, 1, results[key].shape) for key in case.operator.outputs}
    found = run(operator, point | statistics(case, point) | cotangents)

    def pairing(at):
        return sum((at[f"d{one}"] * output(case, one)(at)).sum() for one in case.operator.outputs)

    for one in arrays_of(case):
        assert_close(found[f"d{one}"], slopes(pairing, wide(point | cotangents), one), 1e-12)
    # those that are left out are zero
    alone = run(operator, point | statistics(case, point) | {"dy": cotangents["dy"]})
    plain = run(derived(name, "gradient"), point | statistics(case, point) | {"dy": cotangents["dy"]})
    for one in arrays_of(case):
        np.testing.assert_allclose(alone[f"d{one}"], plain[f"d{one}"], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    "name",
    [
        "batch_norm",
        "l1_batch_norm",
        "rms_norm",
    ],
)
def test_a_number_has_a_gradient_when_it_is_named(rng, name):
    case = CASES[name]
    operator = case.operator.gradient(wrt=["epsilon"])
    assert operator.outputs == ("depsilon",)
    point = inputs(rng, case)
    point |= {"dy": rng.uniform(-1, 1, point["x"].shape)}
    found = run(operator, point | statistics(case, point))["depsilon"]
    assert found.shape == ()
    assert_close(found, slopes(inner(output(case, "y"), "dy"), wide(point), "epsilon"), 1e-10)


# ---- second order ---------------------------------------------------------------------------------------


def first_as_function(case):
    """<gradient of <y, dy>, dd> as a function of inputs and dy: the change of the pairing along dd."""
    return lambda seeds: along(inner(output(case, "y"), "dy"), seeds)


@pytest.mark.parametrize("name", CASES)
def test_a_gradient_of_a_gradient_is_the_slope_of_slopes(rng, name):
    case, operator = CASES[name], derived(name, "gradient", "gradient")
    point = inputs(rng, case)
    point |= {"dy": rng.uniform(-1, 1, point["x"].shape)}
    seeds = like(rng, {key: point[key] for key in arrays_of(case)})
    given = {f"dd{key}": value for key, value in seeds.items()}
    found = run(operator, point | statistics(case, point) | given)
    assert set(found) == {"ddy"} | {f"d{one}" for one in arrays_of(case) if one != "beta"}
    pairing = first_as_function(case)(wide(seeds))
    for one in found:
        assert_close(found[one], slopes(pairing, wide(point), one[1:]), 1e-10)


@pytest.mark.parametrize("name", ["batch_norm", "softmax"])
def test_a_tangent_of_a_gradient_is_the_change_of_slopes(rng, name):
    case, operator = CASES[name], derived(name, "gradient", "jvp")
    point = inputs(rng, case)
    point |= {"dy": rng.uniform(-1, 1, point["x"].shape)}
    moving = [one for one in (*arrays_of(case), "dy") if one != "beta"]
    tangents = like(rng, {key: point[key] for key in moving})
    # d of an input is taken where the operator has an output of that name
    given = {f"d{key}" if f"d{key}" in operator.inputs else f"d{key}_2": value for key, value in tangents.items()}
    found = run(operator, point | statistics(case, point) | given)
    assert len(found) == len(arrays_of(case))
    for one in arrays_of(case):
        gradient = lambda at, one=one: slopes(inner(output(case, "y"), "dy"), at, one)  # noqa: E731
        assert_close(found[f"dd{one}"], along(gradient, wide(tangents))(wide(point)), 1e-10)


@pytest.mark.parametrize("name", ["batch_norm"])
def test_a_tangent_of_a_tangent_is_the_change_of_changes(rng, name):
    case, operator = CASES[name], derived(name, "jvp", "jvp")
    point = inputs(rng, case)
    first, second = (like(rng, {key: point[key] for key in arrays_of(case)}) for _ in range(2))
    changes = along(output(case, "y"), wide(first))
    values = point | statistics(case, point) | {f"d{key}": value for key, value in first.items()}
    values |= {f"d{key}_2": value for key, value in second.items()}
    if "dmu" in operator.inputs:  # the first tangents of what is saved are saved as well
        for one in ("mu", "sigma2"):
            values[f"d{one}"] = along(output(case, one), wide(first))(wide(point)).astype(np.float64)
    expected = along(changes, wide(second))(wide(point))
    found = run(operator, values | {f"dd{key}": np.zeros_like(value) for key, value in first.items()})
    assert_close(found["ddy"], expected, 1e-10)
    # the direction itself may change
    turns = like(rng, first)
    found = run(operator, values | {f"dd{key}": value for key, value in turns.items()})
    assert_close(found["ddy"], expected + along(output(case, "y"), wide(turns))(wide(point)), 1e-10)


# ---- third order ----------------------------------------------------------------------------------------


@cache
def third(name, mode):
    one = CASES[name].operator
    if mode == "gradient":
        return one.gradient(wrt="x").gradient(of="dx", wrt="x").gradient(of="dx", wrt="x")
    return one.jvp(of="y", wrt="x").jvp(of="dy", wrt="x").jvp(of="ddy", wrt="x")


@pytest.mark.parametrize("name", ["softmax"])
def test_three_gradients_are_the_third_derivative(rng, name):
    case, operator = CASES[name], third(name, "gradient")
    point = inputs(rng, case)
    point |= {"dy": rng.uniform(-1, 1, point["x"].shape)}
    (last,) = operator.outputs
    seeds = [one for one in operator.inputs if one.startswith("d") and one not in ("dy", *case.operator.inputs)]
    assert len(seeds) == 2
    given = dict(zip(seeds, (rng.uniform(-1, 1, point["x"].shape) for _ in seeds), strict=True))
    found = run(operator, point | statistics(case, point) | given)[last]
    pairing = inner(output(case, "y"), "dy")
    # a direction of all elements: element by element would take 15 times as long
    direction = rng.uniform(-1, 1, point["x"].shape)
    for one in (*given.values(), direction):
        pairing = along(pairing, wide({"x": one}))
    assert_close((found * direction).sum(), pairing(wide(point)), 1e-8)


@pytest.mark.parametrize("name", ["softmax"])
def test_three_tangents_are_the_third_derivative(rng, name):
    case, operator = CASES[name], third(name, "jvp")
    point = inputs(rng, case)
    seeds = [one for one in operator.inputs if one.startswith("d")]
    given = dict(zip(seeds, (rng.uniform(-1, 1, point["x"].shape) for _ in seeds), strict=True))
    assert len(seeds) == 3
    found = run(operator, point | statistics(case, point) | given)[operator.outputs[0]]
    change = output(case, "y")
    for one in seeds:
        change = along(change, wide({"x": given[one]}))
    assert_close(found, change(wide(point)), 1e-8)


# ---- the check ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mode"), [*((name, "gradient") for name in CASES), ("batch_norm", "jvp")])
@pytest.mark.parametrize("shape", [(700, 5), (9, 40)])
def test_the_check_passes_on_what_is_right(rng, name, mode, shape):
    case, operator = CASES[name], derived(name, mode)
    for offset in (0.0, *([] if name == "softmax" else [1e4])):
        point = inputs(rng, case, shape, np.float32, offset)
        results = case.forward(**wide(point))
        given = like(rng, {f"d{key}": point[key] for key in arrays_of(case)} | {"dy": results["y"]}, np.float32)
        values = point | statistics(case, point) | given
        report = kernel(operator, "float32").report(**{one: values[one] for one in operator.inputs})
        assert report.passed, str(report)
        assert [one.name for one in report.outputs] == list(operator.outputs)
        for one in report.outputs:
            assert one.compared > 0
            assert one.uncertain == 0


def leaf(name, index=k):
    return IndexedBase(name)[index]


def mutations():
    """Wrong gradients of batch normalization: (output's equation) -> what stands there instead."""
    true = derived("batch_norm", "gradient")
    equations = {eq.lhs.base.label.name: eq for eq in true.equations}
    m_ = next(one for one in true.equations[-1].rhs.free_symbols if one.name == "m")
    e_ = next(one for one in true.equations[-1].rhs.free_symbols if one.name == "epsilon")
    dx, dgamma = equations["dx"], equations["dgamma"]
    changes = {
        "the mean's part of dx dropped": ("dx", dx.rhs.subs(leaf("dbeta"), 0)),
        "m - 1 for m": ("dx", dx.rhs * m_ / (m_ - 1)),
        "gamma squared": ("dx", dx.rhs * leaf("gamma")),
        "eps dropped": ("dx", dx.rhs.subs(e_, 0)),
        "x not centred": ("dx", dx.rhs.subs(leaf("mu"), 0)),
        "a part in a million": ("dx", dx.rhs * (1 + 2.0**-20)),
        "dgamma without the root": ("dgamma", dgamma.rhs * sqrt(leaf("sigma2") + e_)),
        "dbeta a mean": ("dbeta", equations["dbeta"].rhs / m_),
    }
    return {name: (where, Eq(equations[where].lhs, value)) for name, (where, value) in changes.items()}


@pytest.mark.parametrize("name", mutations())
def test_the_check_refuses_what_is_wrong(rng, name):
    true = derived("batch_norm", "gradient")
    where, wrong = mutations()[name]
    mutant = symbn.Operator(
        true.name,
        [wrong if eq.lhs.base.label.name == where else eq for eq in true.equations],
        true.outputs,
        inputs=true.inputs,
        statistics=true.statistics,
        defaults=true.defaults,
        optional=true.optional,
        given=true.given,
    )
    source = pipeline.emit(mutant, dtypes.dtype("float32"))
    built = native.build(source)
    interface = pipeline.emit(true, dtypes.dtype("float32")).interface
    assert source.interface.layout == interface.layout
    function = reference.compile_reference(reference.numpy_source(true))
    compiled = Compiled(interface, built.ffi, built.function)
    call = Call([interface], lambda _: compiled, function, None, {}, SimpleNamespace(_make=tuple))
    case = CASES["batch_norm"]
    for shape in [(5, 2), (17, 3), (700, 5)]:
        point = inputs(rng, case, shape, np.float32, 2.0)
        point |= {"dy": (rng.uniform(-1, 1, shape) + 0.5).astype(np.float32)} | statistics(case, point)
        arrays = [point[one] for one in interface.inputs if one != "epsilon"]
        for check in ("full", "sample"):
            with pytest.raises(symbn.CheckError) as caught:
                call(arrays, [0.25], check=check)
            refused = {one.name for one in caught.value.report.outputs if not one.passed}
            assert refused >= {where}
