"""Random small operators: the gradient and the tangent against differences with 50 digits."""

import itertools

import mpmath
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from sympy import Abs, Eq, Idx, IndexedBase, Integer, Max, Min, Piecewise, Sum, exp, sqrt, symbols, tanh

from symbn.derivation import request
from symbn.equations.operator import Operator
from symbn.errors import EquationError

m, n, p = symbols("m n p", integer=True, positive=True)
AXES = {"i": m, "j": m, "k": n, "c": p}
SIZES = {"m": 2, "n": 3, "p": 2}
INDICES = {name: Idx(name, (1, extent)) for name, extent in AXES.items()}
#: inputs with the extents of their axes
INPUTS = {"x": (m, n), "v": (m, m), "w": (n,), "a": (p,)}
ELEMENTWISE = (
    lambda u: sqrt(1 + u**2),
    lambda u: exp(tanh(u)),
    tanh,
    Abs,
    lambda u: u**2,
    lambda u: u**3,
    lambda u: 1 / (1 + u**2),
    lambda u: 1 / sqrt(2 + u**2) ** 3,
)


@st.composite
def expressions(draw, arrays, scope, depth):
    """An expression over indices that are in scope; sums bring in others."""
    kind = draw(st.sampled_from(("leaf", "sum", "product", "add", "function", "function", "choice", "extreme")))
    if depth == 0 or kind == "leaf":
        return draw(leaves(arrays, scope))
    if kind == "sum":
        fresh = [name for name in INDICES if name not in scope]
        if not fresh:
            return draw(leaves(arrays, scope))
        over = draw(st.lists(st.sampled_from(fresh), min_size=1, max_size=2, unique=True))
        body = draw(expressions(arrays, (*scope, *over), depth - 1))
        limits = [(INDICES[name], 1, AXES[name]) for name in over]
        count = Integer(1)
        for name in over if draw(st.booleans()) else ():
            count *= AXES[name]
        return Sum(body, *limits) / count
    if kind == "function":
        return draw(st.sampled_from(ELEMENTWISE))(draw(expressions(arrays, scope, depth - 1)))
    one, other = (draw(expressions(arrays, scope, depth - 1)) for _ in range(2))
    if kind == "product":
        return one * other
    if kind == "add":
        return one - 2 * other if draw(st.booleans()) else one + other
    if kind == "extreme" and not (one.has(Piecewise) or other.has(Piecewise)):
        return draw(st.sampled_from((Max, Min)))(one, other / 3)
    return Piecewise((one**2, one > other), (other + one, True))


@st.composite
def leaves(draw, arrays, scope):
    """An array on indices in scope; a number where none fits."""
    options = []
    for name, extents in arrays.items():
        for places in itertools.permutations(scope, len(extents)):
            if all(AXES[place] == extent for place, extent in zip(places, extents, strict=True)):
                options.append(IndexedBase(name)[tuple(INDICES[place] for place in places)])
    return draw(st.sampled_from(options)) if options else Integer(draw(st.integers(1, 3)))


@st.composite
def operators(draw):
    """One to three equations, each of which may read those before it."""
    arrays, equations = dict(INPUTS), []
    for name in ("t", "u", "y")[-draw(st.integers(1, 3)) :]:
        indices = draw(st.sampled_from((("k",), ("i", "k"), ("i",), ("i", "j"), ("k", "i"), ("c", "k"))))
        value = draw(expressions(arrays, indices, 3)) + draw(leaves(arrays, indices))
        before = [one for one in arrays if one not in INPUTS]
        if before:
            # The last definition is read, so that gradients go through it.
            value *= 1 + draw(leaves({before[-1]: arrays[before[-1]]}, indices)) / 2
        extents = tuple(AXES[index] for index in indices)
        arrays[name] = extents
        equations.append(Eq(IndexedBase(name)[tuple(INDICES[index] for index in indices)], value, evaluate=False))
    return equations


def values_for(names, operator, seed):
    result = {}
    for number, name in enumerate(names):
        shape = [SIZES[extent] for extent in operator.arrays[name]]
        result[name] = {
            place: mpmath.mpf((seed + 31 * number + 17 * index) * 7919 % 211 - 100) / 83
            for index, place in enumerate(itertools.product(*map(range, shape)))
        }
    return result


def operator_of(equations, outputs=None):
    """The operator, where each extent is that of an axis of an input; else another example is drawn."""
    names = [str(eq.lhs.base.label) for eq in equations]
    try:
        return Operator("random", equations, outputs=outputs or names[::-1])
    except EquationError:
        reject()


def close(one, other):
    assert abs(one - other) <= mpmath.mpf(10) ** -14 * (1 + abs(one) + abs(other)), (one, other)


def inner(ones, others):
    return mpmath.fsum(one * others[name][place] for name, places in ones.items() for place, one in places.items())


@settings(
    max_examples=25, deadline=None, derandomize=True, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
)
@given(operators(), st.integers(0, 200), st.booleans(), st.booleans())
def test_gradients_and_tangents_of_random_operators(evaluate, along, equations, seed, everything, forward):
    operator = operator_of(equations)
    inputs = values_for(operator.inputs, operator, seed)
    of = list(operator.outputs) if everything or forward else ["y"]
    wrt = list(operator.inputs) if everything else [operator.inputs[0]]
    weights, directions = values_for(of, operator, seed + 5), values_for(wrt, operator, seed + 9)
    expected = along(operator, inputs, SIZES, directions, weights)
    if forward:
        tangent = operator.jvp(of=of, wrt=wrt)
        found = evaluate(tangent, {**inputs, **{f"d{name}": directions[name] for name in wrt}}, SIZES)
        close(inner(weights, {name: found[f"d{name}"] for name in of}), expected)
    else:
        gradient = operator.gradient(of=of, wrt=wrt)
        assert gradient.outputs == tuple(f"d{name}" for name in wrt)
        found = evaluate(gradient, {**inputs, **{f"d{name}": weights[name] for name in of}}, SIZES)
        close(inner(directions, {name: found[f"d{name}"] for name in wrt}), expected)


@settings(
    max_examples=4, deadline=None, derandomize=True, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
)
@given(operators(), st.integers(0, 200))
def test_second_derivatives_of_random_operators(evaluate, along, equations, seed):
    """The tangent of the gradient, with everything moving."""
    operator = operator_of(equations[:1]).gradient()
    inputs = values_for(operator.inputs, operator, seed)
    taken = {*operator.inputs, *operator.indices, *operator.indices.values()}
    wrt = [name for name in request.inputs(operator, None) if name in operator.arrays]
    names = request.names(wrt, taken)
    results = request.names(list(operator.outputs), taken)
    weights = values_for(operator.outputs, operator, seed + 5)
    directions = values_for(wrt, operator, seed + 9)
    found = evaluate(operator.jvp(wrt=wrt), {**inputs, **{names[one]: directions[one] for one in wrt}}, SIZES)
    expected = along(operator, inputs, SIZES, directions, weights)
    close(inner(weights, {name: found[own] for name, own in results.items()}), expected)
