"""Lowered programs, run over exact rationals, give exactly what their equations say."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sympy import Eq, Idx, IndexedBase, Integer, Max, Piecewise, Product, Sum, Symbol, sqrt, symbols

from symbn.equations.operator import Operator
from symbn.equations.reductions import ReduceMax, ReduceMin
from symbn.kernel import kept_nest, nest, panel_nest, schedule, tile_sums

#: sizes of the extents m, n, p, q, and the inner part of each where an index is reduced
SMALL = [
    ({"m": 1, "n": 1, "p": 1, "q": 1}, {}),
    ({"m": 4, "n": 6, "p": 4, "q": 2}, {"m": 2, "n": 3, "p": 1, "q": 1}),
    ({"m": 18, "n": 2, "p": 1, "q": 3}, {"m": 6}),
    ({"m": 2, "n": 18, "p": 3, "q": 1}, {"n": 9, "p": 1}),
    ({"m": 3, "n": 1, "p": 2, "q": 17}, {"m": 1}),
]


#: of the loop nests of each step: the preferred ones, and those that follow; the last are right for any memory
ALTERNATIVES = range(6)


def compare(operator, evaluate, draw, interpret, sizes, splits, *, compensated, alternatives=ALTERNATIVES):
    """In each alternative that the program has."""
    program = schedule.lower(operator, compensated=compensated)
    compare_program(program, operator, evaluate, draw, interpret, sizes, splits, alternatives)


def compare_program(program, operator, evaluate, draw, interpret, sizes, splits, alternatives=ALTERNATIVES):
    """A program that is lowered already, for sizes of which there are several."""
    #: samples, channels, groups, channels of a group, positions: three sizes each way
    images = {name: 1 + (sizes.get("m", 1) + number) % 3 for number, name in enumerate("NCGKS")}
    extents = {*operator.indices.values()} - operator.fixed_extents.keys()
    sizes = {extent: {**images, **sizes}[extent] for extent in extents}
    arrays, scalars = draw(operator, sizes)
    wanted = evaluate(operator, arrays, scalars, sizes)
    for alternative in alternatives:
        if alternative < max(map(len, program.steps)):
            got = interpret(operator, program, arrays, scalars, sizes, splits, alternative=alternative)
            for name in operator.outputs:
                assert got[name] == wanted.output(name), f"{operator.name}: {name} differs from its equation"


@pytest.mark.parametrize("compensated", [False, True], ids=["plain", "compensated"])
def test_program_gives_what_the_equations_say(operator, evaluate, draw, interpret, compensated):
    program = schedule.lower(operator, compensated=compensated)
    for sizes, splits in SMALL:
        compare_program(program, operator, evaluate, draw, interpret, sizes, splits)


@pytest.mark.parametrize("compensated", [False, True], ids=["plain", "compensated"])
@pytest.mark.parametrize("splits", [{}, {"m": 1}, {"m": 20}, {"m": 300}])
def test_sums_longer_than_a_block(operators, evaluate, draw, interpret, splits, compensated):
    sizes = {"m": 1200 if splits else 600, "n": 1}
    compare(operators["batch_norm"], evaluate, draw, interpret, sizes, splits, compensated=compensated)


@pytest.mark.parametrize("m", [511, 512, 513, 1024])
def test_sums_about_as_long_as_blocks(operators, evaluate, draw, interpret, m):
    compare(operators["only_a_number"], evaluate, draw, interpret, {"m": m}, {}, compensated=False)


@pytest.mark.parametrize("n", [127, 128, 257])
@pytest.mark.parametrize("name", ["batch_norm", "weighted_norm", "column_norm_gradient"])
def test_more_features_than_a_tile_or_a_panel(monkeypatch, operators, evaluate, draw, interpret, n, name):
    monkeypatch.setattr(panel_nest, "PANEL", 256)
    monkeypatch.setattr(panel_nest, "LEAST", 1)
    sizes = {"m": 3, "n": n}
    compare(operators[name], evaluate, draw, interpret, sizes, {}, compensated=False, alternatives=(0, 1))


def test_tiles_blocks_and_outer_kept_indices_together(monkeypatch, evaluate, draw, interpret):
    """The tasks of both nests are counted over all three: each is visited, and none twice."""
    k, c, i = Idx("k", (1, Symbol("n"))), Idx("c", (1, Symbol("p"))), Idx("i", (1, Symbol("m")))
    x, t = IndexedBase("x"), IndexedBase("t")
    operator = Operator("sums", [Eq(t[c, k], Sum(x[c, i, k], (i, 1, Symbol("m"))))], outputs=[t])
    monkeypatch.setattr(nest, "BLOCK", 32)
    for module in (kept_nest, panel_nest, tile_sums):
        monkeypatch.setattr(module, "TILE", 8)
    monkeypatch.setattr(tile_sums, "NARROW", 4)
    monkeypatch.setattr(panel_nest, "ELEMENTS", 80)
    monkeypatch.setattr(panel_nest, "LEAST", 1)
    for sizes in ({"m": 35, "n": 17, "p": 2}, {"m": 64, "n": 16, "p": 1}, {"m": 5, "n": 1, "p": 3}):
        for compensated in (False, True):
            compare(
                operator,
                evaluate,
                draw,
                interpret,
                sizes,
                {"m": sizes["m"] // 5 or 1} if sizes["m"] % 5 == 0 else {},
                compensated=compensated,
                alternatives=(0, 1),
            )


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_no_samples_leave_nothing_to_divide(operators, draw, interpret, alternative):
    """An empty sum that is not divided is 0."""
    operator = operators["only_a_number"]
    program = schedule.lower(operator, compensated=True)
    got = interpret(operator, program, {"x": {}}, {}, {"m": 0}, alternative=alternative)
    assert got["total"] == {(): 0}


@pytest.mark.parametrize("compensated", [False, True], ids=["plain", "compensated"])
@pytest.mark.parametrize("m", [0, 1, 15, 17, 511, 513, 1100])
def test_reductions_of_any_length(evaluate, draw, interpret, m, compensated):
    """Of nothing a maximum is minus infinity, a minimum infinity, a product 1."""
    i, k, extent = Idx("i", (1, Symbol("m"))), Idx("k", (1, Symbol("n"))), Symbol("m")
    x, *results = map(IndexedBase, ("x", "top", "bottom", "product"))
    kinds = (ReduceMax, ReduceMin, Product)
    bodies = (x[i, k], x[i, k] ** 2, x[i, k] ** 2 + 1)
    equations = [Eq(one[k], kind(body, (i, 1, extent))) for one, kind, body in zip(results, kinds, bodies, strict=True)]
    operator = Operator("each", equations, outputs=results)
    sizes = {"m": m, "n": 2}
    compare(operator, evaluate, draw, interpret, sizes, {}, compensated=compensated)


# ---- random operators ----------------------------------------------------------------------------------

m, n, p = symbols("m n p", integer=True, positive=True)
INDICES = {
    "i": (Idx("i", (1, m)), m),
    "k": (Idx("k", (1, n)), n),
    "l": (Idx("l", (1, n)), n),
    "j": (Idx("j", (1, p)), p),
}
INPUTS = {"x": ("i", "k"), "a": ("i", "j"), "b": ("k", "j"), "w": ("k",), "z": ("i",), "q": ("k", "l")}
LEFT_SIDES = [(), ("k",), ("i",), ("j",), ("i", "k"), ("k", "j"), ("k", "l"), ("i", "k", "j")]


def element(name, indices):
    return IndexedBase(name)[tuple(INDICES[index][0] for index in indices)] if indices else Symbol(name)


def readings(arrays, bound):
    """Each array with each choice of bound indices of the right extents, none twice."""
    return [
        element(name, indices)
        for name, own in arrays.items()
        for indices in itertools.permutations(bound, len(own))
        if [INDICES[index][1] for index in indices] == [INDICES[index][1] for index in own]
    ]


@st.composite
def expressions(draw, arrays, bound, depth):
    """An expression over ``arrays`` (name -> indices), in which the indices ``bound`` may occur."""
    readable = readings(arrays, bound)
    inner = ["add", "sub", "mul", "div", "power", "root", "branch", "sum", "sum", "mean", "prod", "max", "min"]
    kinds = ["leaf", *inner] if depth else ["leaf"]
    kind = draw(st.sampled_from(kinds))
    free = [name for name in INDICES if name not in bound]
    if kind in ("sum", "mean", "prod", "max", "min") and free:
        over = draw(st.lists(st.sampled_from(free), min_size=1, max_size=2, unique=True))
        body = draw(expressions(arrays, (*bound, *over), depth - 1))
        count = Integer(1)
        for name in over:
            count *= INDICES[name][1]
        reduction = {"prod": Product, "max": ReduceMax, "min": ReduceMin}.get(kind, Sum)
        total = reduction(body, *((INDICES[name][0], 1, INDICES[name][1]) for name in over))
        return total / count if kind == "mean" else total
    if kind in ("add", "sub", "mul", "div", "branch"):
        left, right = (draw(expressions(arrays, bound, depth - 1)) for _ in range(2))
        if kind == "branch":
            condition = IndexedBase("w")[INDICES["k"][0]] > 9 if "k" in bound else Symbol("alpha") > 1
            return Max(left, 2) + Piecewise((left, condition), (right, True))
        if kind == "div":
            return left / (right**2 + 1)
        return {"add": left + right, "sub": left - right, "mul": left * right}[kind]
    if kind in ("power", "root"):
        base = draw(expressions(arrays, bound, depth - 1))
        return base ** draw(st.sampled_from([2, 3])) if kind == "power" else 1 / sqrt(base**2 + 1)
    if readable and draw(st.integers(0, 5)):
        return draw(st.sampled_from(readable))
    return draw(st.sampled_from([Integer(2), Integer(-3), Symbol("alpha"), m]))


@st.composite
def operators_of_some_equations(draw):
    arrays, equations = dict(INPUTS), []
    for number in range(draw(st.integers(1, 3))):
        own = draw(st.sampled_from(LEFT_SIDES))
        name = f"v{number}"
        equations.append(Eq(element(name, own), draw(expressions(arrays, own, 3)), evaluate=False))
        arrays[name] = own
    # What gives the extents: one equation that reads every input.
    reads = sum(
        (
            Sum(element(name, own), *((INDICES[index][0], 1, INDICES[index][1]) for index in own))
            for name, own in INPUTS.items()
        ),
        Integer(0),
    )
    equations.append(Eq(Symbol("all_inputs"), reads))
    names = [*(f"v{number}" for number in range(len(equations) - 1)), "all_inputs"]
    outputs = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    return Operator("drawn", equations, outputs=outputs)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(
    operator=operators_of_some_equations(),
    sizes=st.fixed_dictionaries({"m": st.integers(1, 4), "n": st.integers(1, 3), "p": st.integers(1, 3)}),
    split=st.booleans(),
    compensated=st.booleans(),
    alternative=st.sampled_from(ALTERNATIVES),
)
def test_random_operators(evaluate, draw, interpret, operator, sizes, split, compensated, alternative):
    splits = {"m": 2 if sizes["m"] % 2 == 0 else 1} if split else {}
    compare(operator, evaluate, draw, interpret, sizes, splits, compensated=compensated, alternatives=(alternative,))
