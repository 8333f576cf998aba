"""The exact comparison notices a program that is wrong in one place."""

import dataclasses
from fractions import Fraction
from functools import cache, partial

import pytest

from symbn.kernel import ir, schedule

#: more than the lanes of a sum, and no multiple of them: every loop has something to do
SIZES = {"m": 21, "n": 19, "N": 17, "C": 1, "S": 17}
SPLITS = {"m": 7, "n": 1}


def rewrite(node, change):
    """The node with ``change`` applied to everything in it, from the inside out (None keeps, () removes)."""
    if isinstance(node, tuple):
        parts = [rewrite(part, change) for part in node]
        return tuple(part for part in parts if part != ())
    if not dataclasses.is_dataclass(node):
        return node
    fields = {
        field.name: rewrite(getattr(node, field.name), change)
        for field in dataclasses.fields(node)
        if isinstance(getattr(node, field.name), tuple) or dataclasses.is_dataclass(getattr(node, field.name))
    }
    fields = {name: value for name, value in fields.items() if value is not getattr(node, name)}
    changed = dataclasses.replace(node, **fields) if fields else node
    result = change(changed)
    return changed if result is None else result


def mutants(program, change):
    """For each node that ``change`` has something else for, the program with that one node changed."""
    nodes = 0

    def count(node):
        nonlocal nodes
        nodes += change(node) is not None

    rewrite(program.nests, count)
    for number in range(nodes):
        seen = -1

        def one(node, number=number):
            nonlocal seen
            new = change(node)
            seen += new is not None
            return new if seen == number else None

        yield dataclasses.replace(program, nests=rewrite(program.nests, one))


def is_neutral(node):
    """Does it only ask for data ahead, or find a shift? Another shift gives the same result.

    A tile is summed again where one of its features needs it, of which one more or less need not matter.
    """
    inside = list(ir.walk(node))
    written = [one.target.array for one in inside if isinstance(one, ir.Assign)]
    if not written:
        return any(isinstance(one, ir.Prefetch) for one in inside)
    return all("_start" in name for name in written) or (isinstance(node, ir.For) and written == ["again"])


@pytest.fixture
def notices(evaluate, draw, interpret):
    """Does the comparison tell the program from its equations?"""

    @cache
    def asked(operator, n):
        sizes = SIZES | {"n": n}
        arrays, scalars = draw(operator, sizes)
        return sizes, arrays, scalars, evaluate(operator, arrays, scalars, sizes)

    def notices(operator, program, *, alternative, n=SIZES["n"]):
        sizes, arrays, scalars, wanted = asked(operator, n)
        try:
            got = interpret(operator, program, arrays, scalars, sizes, SPLITS, alternative=alternative)
        except (KeyError, AssertionError, ZeroDivisionError, TypeError):
            return True
        return any(got[name] != wanted.output(name) for name in operator.outputs)

    return notices


def of_nests_that_run(program, *, alternative):
    """The program without the nests that this alternative does not take."""
    run = {name for step in program.steps for name in step[min(alternative, len(step) - 1)].nests}
    return dataclasses.replace(program, nests=tuple(nest for nest in program.nests if nest.name in run))


def take(comparison, node):
    """Takes one of two ways that the number of features decides between, whatever it is."""
    if not isinstance(node, ir.If) or node.condition.name not in ("ile", "igt"):
        return None
    always = ir.Op("ile", (ir.Int(0), ir.Int(0)))
    return dataclasses.replace(node, condition=always) if node.condition.name == comparison else ()


def stop_early(node):
    if isinstance(node, ir.For) and not is_neutral(node):
        return dataclasses.replace(node, stop=ir.sub(node.stop, ir.Int(node.step)))
    if isinstance(node, ir.Walk | ir.Window) and not is_neutral(node):
        return dataclasses.replace(node, count=ir.sub(node.count, ir.Int(1)))
    return None


def start_late(node):
    if isinstance(node, ir.For) and not is_neutral(node):
        return dataclasses.replace(node, start=ir.add(node.start, ir.Int(1)))
    return None


def drop_loop(node):
    return () if isinstance(node, ir.For | ir.Walk) and not is_neutral(node) else None


def wrong_sign(node):
    """The sign of what is added to a total; rounding errors are zero here, so their signs do not show."""
    if is_neutral(node):
        return None
    match node:
        case ir.Assign(ir.Load(name), ir.Op("add", args)) if not name.endswith(("_rest", "_errors")):
            return dataclasses.replace(node, value=ir.Op("sub", args))
        case ir.Assign(ir.Load(name), ir.Op("sub", args)) if not name.endswith(("_rest", "_errors")):
            return dataclasses.replace(node, value=ir.Op("add", args))
    return None


def drop_store(node):
    kept = isinstance(node, ir.Assign) and not node.target.array.endswith(("_rest", "_errors"))
    return () if kept and not is_neutral(node) else None


CHANGES = [stop_early, start_late, drop_loop, wrong_sign, drop_store]


def decide(far, node):
    """Fixes whether the shift lies far from the mean."""
    if isinstance(node, ir.Let) and node.name.endswith("_far"):
        return dataclasses.replace(node, value=ir.Const(Fraction(far)))
    return None


@pytest.mark.parametrize(
    ("alternative", "comparison"),
    [(0, ""), (1, "ile"), (1, "igt"), (2, "")],
    ids=["panels", "few features", "many features", "general"],
)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_each_mutant_of_batch_norm_is_noticed(operators, notices, change, alternative, comparison):
    operator = operators["batch_norm"]
    few = 3  # features, which nothing is summed over
    programs = []
    # The squares about the shift are what counts, or those about the mean: each makes up for the other's mistakes.
    lowered = of_nests_that_run(schedule.lower(operator, compensated=False), alternative=alternative)
    lowered = dataclasses.replace(lowered, nests=rewrite(lowered.nests, partial(take, comparison)))
    for far in (0, 1):
        programs.append(dataclasses.replace(lowered, nests=rewrite(lowered.nests, partial(decide, far))))
        assert not notices(operator, programs[-1], alternative=alternative, n=few)
    whole = programs[0]
    made = list(zip(*(mutants(program, change) for program in programs), strict=True))
    assert made
    for number, alike in enumerate(made):
        if mutant_is_the_low_part(whole, alike[0]):
            continue
        found = any(notices(operator, mutant, alternative=alternative, n=few) for mutant in alike)
        assert found, f"mutant {number} of {len(made)} passed"


def mutant_is_the_low_part(whole, mutant):
    """A mean's low part holds what rounding took from the high part: nothing, in exact arithmetic."""
    before, after = (
        [node for nest in program.nests for node in ir.walk(nest.body) if isinstance(node, ir.Assign)]
        for program in (whole, mutant)
    )
    gone = [node for node in before if node not in after]
    return len(gone) == 1 and "_lo" in str(gone[0].value) and gone[0].target.array.startswith("mu")


@pytest.mark.parametrize("name", ["row_norm", "weighted_norm", "layer_norm_backward", "instance_norm_backward"])
def test_a_changed_bound_is_noticed_in_other_operators(operators, notices, name):
    operator = operators[name]
    for alternative in range(4):
        whole = of_nests_that_run(schedule.lower(operator, compensated=False), alternative=alternative)
        whole = dataclasses.replace(whole, nests=rewrite(whole.nests, partial(take, "ile")))
        for change in (drop_loop, wrong_sign):
            made = list(mutants(whole, change))
            for mutant in made[:: max(1, len(made) // 4)]:
                assert notices(operator, mutant, alternative=alternative)
