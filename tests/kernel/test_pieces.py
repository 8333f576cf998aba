"""The parts of lowering one by one: computations, groups and passes, hoisting, sharing, names, levels."""

from fractions import Fraction

import pytest
from sympy import Eq, Function, Idx, IndexedBase, Rational, Sum, Symbol, sqrt, symbols

from symbn.equations.names import identifier
from symbn.equations.operator import Operator
from symbn.kernel import computations, groups, interpreter, ir, schedule
from symbn.kernel.ir import Comment, Const, For, Int, Let, Load, Op, Var, Window
from symbn.kernel.levels import Levels, unflatten
from symbn.kernel.naming import Names
from symbn.kernel.sharing import prune, share

m, n = symbols("m n", integer=True, positive=True)
i, j, k = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n))
x, y, z, t, u, w = map(IndexedBase, "x y z t u w".split())


def names_of(operator):
    own = [*operator.arrays, *operator.scalars, *operator.indices, *operator.indices.values()]
    return Names(identifier(name) for name in own)


def groups_of(operator):
    names = names_of(operator)
    return groups.arrange(computations.extract(operator, names), names)


def extracted(*equations, outputs):
    operator = Operator("op", equations, outputs=outputs)
    return computations.extract(operator, names_of(operator))


# ---- computations ------------------------------------------------------------------------------------


def test_a_sum_over_its_extent_is_a_mean():
    (one,) = extracted(Eq(t[k], Sum(x[i, k], (i, 1, m)) / m), outputs=[t]).reductions
    assert (one.mean, one.kept, one.over) == (True, ("k",), ("i",))


@pytest.mark.parametrize("divisor", [n, m**2, 1])
def test_a_sum_over_anything_else_is_a_sum(divisor):
    (one,) = extracted(Eq(t[k], Sum(x[i, k], (i, 1, m)) / divisor), outputs=[t]).reductions
    assert not one.mean


def test_equal_reductions_are_computed_once():
    total = Sum(x[i, k], (i, 1, m))
    both = extracted(Eq(t[k], total**2), Eq(u[k], total + 1), outputs=[t, u])
    assert len(both.reductions) == 1


def test_sums_that_differ_in_the_names_of_their_indices_are_one():
    q = Symbol("q", integer=True, positive=True)
    s = Idx("s", (1, q))
    found = extracted(
        Eq(t[i, k], Sum(x[i, k, s], (s, 1, q))),
        Eq(u[k], Sum(w[j] * Sum(x[j, k, s], (s, 1, q)), (j, 1, m))),
        outputs=[t, u],
    )
    assert [(one.kept, one.over) for one in found.reductions] == [(("i", "k"), ("s",)), (("k",), ("i",))]


def test_a_reduction_that_no_output_needs_is_not_computed():
    found = extracted(Eq(t[k], Sum(x[i, k], (i, 1, m))), Eq(u[k], Sum(x[i, k] ** 2, (i, 1, m))), outputs=[u])
    assert [one.equation for one in found.reductions] == [2]


def test_a_mean_centres_in_two_parts():
    """x - mu is (x - high) - low: the high part first, straight from the sample."""
    found = extracted(Eq(t[k], Sum(x[i, k], (i, 1, m)) / m), Eq(y[i, k], x[i, k] - t[k]), outputs=[y])
    (mean,) = found.reductions
    sample, high, low = Load("x", (Var("i"), Var("k"))), Load(mean.hi, (Var("k"),)), Load(mean.lo, (Var("k"),))
    assert found.maps[0].value == Op("sub", (Op("sub", (sample, high)), low))


def test_outputs_keep_the_operators_order():
    found = extracted(Eq(t[k], w[k] + 1), Eq(u[k], w[k] + 2), outputs=[u, t])
    assert [one.name for one in found.maps] == ["u", "t"]


# ---- groups ------------------------------------------------------------------------------------------


def test_batch_norm_is_one_group_of_three_passes(operators):
    (group,) = groups_of(operators["batch_norm"])
    assert (group.kept, group.reduced) == (("k",), ("i",))
    assert [(len(one.reductions), len(one.stores)) for one in group.passes] == [(1, 0), (1, 0), (0, 1)]
    assert [store.array for store in group.stores] == ["mu", "sigma2"]


def test_the_factor_of_a_feature_is_computed_once(operators):
    """The root and the division stand outside of the loop over samples."""
    (group,) = groups_of(operators["batch_norm"])
    inside = [node for one in group.passes for expr in one.expressions() for node in ir.walk(expr)]
    outside = [node.name for value in group.values for node in ir.walk(value.expr) if isinstance(node, Op)]
    assert {node.name for node in inside if isinstance(node, Op)} <= {"add", "sub", "mul"}
    assert outside.count("sqrt") == 1
    assert outside.count("div") == 1


def test_the_root_is_taken_between_the_passes(operators):
    """In all nests, no loop over samples holds a root or a division."""
    program = schedule.lower(operators["batch_norm"], compensated=False)
    for nest in program.nests:
        over_samples = ir.walk(nest.body)
        if nest.name == "group1_panels":
            # Its other vector loops go over features alone.
            rows = [node for node in over_samples if isinstance(node, ir.Walk)]
            assert len(rows) == 4
            over_samples = (inner for node in rows for inner in ir.walk(node))
        for node in over_samples:
            if isinstance(node, For) and node.kind == "simd":
                assert not {part.name for part in ir.walk(node) if isinstance(part, Op)} & {"sqrt", "div"}


def test_reductions_over_different_indices_are_different_groups(operators):
    found = {(group.kept, group.reduced) for group in groups_of(operators["row_norm_gradient"])}
    assert {(("i",), ("k",)), (("k",), ("i",))} <= found


def test_independent_reductions_share_a_pass():
    operator = Operator(
        "two_sums", [Eq(t[k], Sum(x[i, k], (i, 1, m))), Eq(u[k], Sum(x[i, k] ** 2, (i, 1, m)))], outputs=[t, u]
    )
    (group,) = groups_of(operator)
    assert [len(one.reductions) for one in group.passes] == [2]


def test_outputs_are_stored_in_the_last_pass_of_their_group():
    """An output may be an input's own memory, which must be whole until everything has been read."""
    operator = Operator(
        "in_place",
        [
            Eq(t[k], Sum(x[i, k], (i, 1, m)) / m),
            Eq(y[i, k], x[i, k] - t[k]),
            Eq(u[k], Sum(y[i, k] ** 2, (i, 1, m))),
        ],
        outputs=[y, u],
    )
    (group,) = groups_of(operator)
    assert [len(one.stores) for one in group.passes] == [0, 1]


def test_what_a_later_step_reads_may_not_be_written_over(operators):
    """The memory of an input may be an output's where nothing reads it any more."""
    for operator in operators.values():
        program = schedule.lower(operator, compensated=False)
        nests = [{name for one in step for name in one.nests} for step in program.steps]
        for source, target in program.aliases:
            uses = [
                {
                    (node.array, isinstance(node, ir.Window) and node.written)
                    for name in names
                    for node in ir.walk(program.nest(name).body)
                    if isinstance(node, ir.Load | ir.Window)
                }
                for names in nests
            ]
            written = max(number for number, used in enumerate(uses) if any(array == target for array, _ in used))
            assert all((source, False) not in used for used in uses[written + 1 :])


def test_an_output_may_be_the_input_that_it_is_read_from(operators):
    assert ("x", "y") in schedule.lower(operators["batch_norm"], compensated=False).aliases


def test_an_output_may_not_be_an_input_that_is_read_at_other_places():
    n = Symbol("n", integer=True, positive=True)
    p, q = Idx("p", (1, n)), Idx("q", (1, n))
    operator = Operator("symmetric", [Eq(y[p, q], x[p, q] + x[q, p])], outputs=[y])
    assert schedule.lower(operator, compensated=False).aliases == ()


def test_an_output_may_not_be_an_input_that_another_group_reads_at_other_places_in_the_same_visit():
    p, q = Idx("p", (1, m)), Idx("q", (1, m))
    operator = Operator(
        "rows_and_columns",
        [
            Eq(u[q], Sum(x[q, p] * z[p, q], (p, 1, m))),
            Eq(t[p], Sum(x[p, q] * z[p, q], (q, 1, m))),
            Eq(y[p, q], x[p, q] - t[p]),
        ],
        outputs=[u, y],
    )
    program = schedule.lower(operator, compensated=False)
    assert any(name.endswith("crossed") for step in program.steps for one in step for name in one.nests)
    assert program.aliases == (("z", "y"),)


# ---- programs ----------------------------------------------------------------------------------------


def test_an_index_that_is_reduced_has_two_levels(operators):
    program = schedule.lower(operators["batch_norm"], compensated=False)
    assert [len(parts) for _, parts in program.extents] == [2, 1]
    assert [len(program.array(name).axes) for name in ("x", "gamma", "y", "mu")] == [3, 1, 3, 1]


def test_the_contiguous_nest_is_for_arrays_with_the_kept_index_contiguous(operators):
    program = schedule.lower(operators["batch_norm"], compensated=False)
    ((_, contiguous, general),) = program.steps
    level = program.array("x").axes[-1].name
    assert [set(program.nest(name).unit) for name in contiguous.nests] == [{("x", level), ("y", level)}]
    assert [program.nest(name).unit for name in general.nests] == [()]


def test_every_name_that_a_nest_reads_is_bound(operator):
    """What a statement reads is an argument, an extent, or bound by a statement around or before it."""
    program = schedule.lower(operator, compensated=True)
    for nest in program.nests:
        known = {*program.scalars, *program.level_extents()}
        arrays = {array.name for array in program.arrays}
        check_scope(nest.body, known, arrays)


def check_scope(body, known, arrays):
    known, arrays = set(known), set(arrays)

    def check(expr):
        for node in ir.walk(expr):
            if isinstance(node, Var):
                assert node.name in known, f"{node.name} is read but not bound"
            elif isinstance(node, Load):
                assert node.array in arrays, f"{node.array} is read but not there"

    for statement in body:
        match statement:
            case Let(name, value):
                check(value)
                known.add(name)
            case ir.Local(name):
                arrays.add(name)
            case ir.Row(name, array, subscripts, levels):
                assert array in arrays
                assert set(subscripts) <= known
                arrays.add(name)
            case ir.Assign(target, value):
                check(target)
                check(value)
            case For(index, start, stop, inner):
                check(start)
                check(stop)
                check_scope(inner, known | {index}, arrays)
            case ir.Walk(levels, counter, start, count, inner):
                check(start)
                check(count)
                check_scope(inner, known | {counter} | {level.name for level in levels}, arrays)
            case Window(name, array, subscripts, levels, start, count, _, _, inner):
                check(start)
                check(count)
                assert array in arrays
                free = set(subscripts) - {level.name for level in levels}
                assert free <= known, f"{sorted(free - known)}: a window's subscript is not bound"
                check_scope(inner, known, arrays | {name})


def test_lowering_twice_gives_equal_programs(operator):
    assert schedule.lower(operator, compensated=True) == schedule.lower(operator, compensated=True)


def test_a_power_becomes_products_and_roots():
    """x**3 and x**(3/2) need no pow; an odd exponent that is not half an integer does."""
    (third,) = extracted(Eq(y[k], w[k] ** 3), outputs=[y]).maps
    assert {node.name for node in ir.walk(third.value) if isinstance(node, Op)} == {"mul"}
    (halves,) = extracted(Eq(y[k], sqrt(w[k]) ** 3), outputs=[y]).maps
    assert {node.name for node in ir.walk(halves.value) if isinstance(node, Op)} == {"mul", "sqrt"}
    (other,) = extracted(Eq(y[k], w[k] ** Symbol("alpha")), outputs=[y]).maps
    assert other.value.name == "pow"


def test_functions_that_nobody_knows_do_not_reach_lowering():
    with pytest.raises(ValueError, match="unknown function"):
        Operator("op", [Eq(y[k], Function("f")(w[k]))], outputs=[y])


# ---- sharing and pruning -----------------------------------------------------------------------------

a, b = Var("a"), Var("b")
SUM = Op("add", (a, b))


def test_what_occurs_twice_is_computed_once():
    lets, (value,) = share([Op("mul", (SUM, SUM))], Names([]))
    assert [let.value for let in lets] == [SUM]
    assert value == Op("mul", (Var(lets[0].name), Var(lets[0].name)))


def test_what_is_shared_between_expressions_is_computed_before_both():
    inner = Op("sqrt", (SUM,))
    lets, values = share([Op("mul", (inner, a)), Op("mul", (inner, SUM))], Names([]))
    assert [let.value for let in lets] == [SUM, Op("sqrt", (Var(lets[0].name),))]
    assert all(node in (a, Var(lets[0].name), Var(lets[1].name)) for value in values for node in value.args)


def test_what_occurs_once_stays_where_it_is():
    assert share([Op("mul", (SUM, a))], Names([])) == ([], [Op("mul", (SUM, a))])


def test_conditions_are_not_kept_as_numbers():
    less = Op("lt", (a, b))
    lets, _ = share([Op("select", (less, a, Op("select", (less, b, a))))], Names([]))
    assert lets == []


def test_sharing_takes_fresh_names():
    lets, _ = share([Op("mul", (SUM, SUM))], Names(["t1"]))
    assert lets[0].name != "t1"


def test_values_that_nothing_reads_are_dropped():
    store = ir.Assign(Load("y", ()), a)
    body = (Let("a", Int(1)), Let("b", Int(2)), Let("c", b), store)
    assert prune(body) == (Let("a", Int(1)), store)


def test_a_value_that_only_an_inner_loop_reads_is_kept():
    inner = For("q", Int(0), Int(3), (Let("unread", a), ir.Assign(Load("y", ()), a)))
    kept = prune((Let("a", Int(1)), inner))
    assert kept[0] == Let("a", Int(1))
    assert kept[1].body == (ir.Assign(Load("y", ()), a),)


def test_an_index_that_only_a_windows_subscripts_read_is_kept():
    """However deep the window stands."""
    store = ir.Assign(Load("y", ()), Load("row", (Int(0),)))
    window = Window("row", "x", ("i", "k0"), (ir.Level("k0", "n0"),), Int(0), Int(1), 4, False, (store,))
    loop = For("block", Int(0), Int(1), (window,))
    bind = Let("i", Int(0), "index")
    assert prune((bind, window))[0] == bind
    assert prune((bind, loop))[0] == bind


# ---- names, levels, helpers --------------------------------------------------------------------------


def test_names_are_handed_out_once():
    names = Names(["total", "total2"])
    assert [names.fresh("total"), names.fresh("total"), names.fresh("row")] == ["total3", "total4", "row"]


def test_a_stem_is_part_of_no_taken_name():
    names = Names(["mu_hi_total"])
    assert names.stem("mu_hi") == "mu_hi2"


def test_a_branch_does_not_tell_its_parent():
    names = Names([])
    assert names.branch().fresh("q") == "q"
    assert names.fresh("q") == "q"


def test_users_names_are_not_taken_by_the_kernels_own():
    """An operator whose arrays are called as the kernel's own variables gives the same as any other."""
    own = ["block", "start", "count", "lane", "whole", "t1", "place", "task", "first", "width", "tile", "row"]
    own += ["sum", "product", "tight", "t1_low"]
    arrays = {name: IndexedBase(name) for name in own}
    total = sum((array[i, k] for array in arrays.values()), 0)
    operator = Operator("op", [Eq(t[k], Sum(total, (i, 1, m))), Eq(y[i, k], arrays["block"][i, k] - t[k])], outputs=[y])
    program = schedule.lower(operator, compensated=True)
    bound = [node.name for nest in program.nests for node in ir.walk(nest.body) if isinstance(node, Let | ir.Local)]
    assert not set(own) & set(bound)


def test_levels_of_indices_with_the_same_extent_have_the_same_extents():
    operator = Operator("op", [Eq(y[i, k], Sum(x[j, k], (j, 1, m)) * u[i])], outputs=[y])
    levels = Levels(operator, ["j"], names_of(operator))
    assert [level.extent for level in levels.of_index["i"]] == [level.extent for level in levels.of_index["j"]]
    assert len({level.name for level in levels.of(["i", "j", "k"])}) == 5


def test_unflatten_is_the_inverse_of_row_major_order():
    levels = (ir.Level("a", "A"), ir.Level("b", "B"), ir.Level("c", "C"))
    flat = Op("add", (Op("mul", (Op("add", (Op("mul", (Var("a"), Var("B"))), Var("b"))), Var("C"))), Var("c")))
    store = ir.Assign(Load("seen", (Var("place"),)), Op("real", (flat,)))
    loop = For("place", Int(0), Int(24), (*unflatten(Var("place"), levels), store))
    seen = ir.Array("seen", (ir.Level("place", "P"),), "output", "data")
    program = ir.Program((seen,), (), (), (), (ir.Nest("g", (), (loop,)),), ((ir.Alternative(("g",)),),), ())
    memory = {"seen": {}}
    interpreter.run(program, memory, {}, {"A": 2, "B": 3, "C": 4})
    assert memory["seen"] == {(place,): place for place in range(24)}


def test_index_arithmetic_drops_what_changes_nothing():
    assert ir.add(a, Int(0)) == a
    assert ir.add(Int(0), a) == a
    assert ir.add(Int(2), Int(3)) == Int(5)
    assert ir.mul(Int(1), a) == ir.mul(a, Int(1)) == a
    assert ir.prod([]) == Int(1)


def test_walk_visits_every_node():
    loop = For("q", Int(0), Var("n"), (Comment("here"), ir.Assign(Load("y", (Var("q"),)), SUM)))
    kinds = [type(node).__name__ for node in ir.walk((loop,))]
    assert kinds == ["For", "Int", "Var", "Comment", "Assign", "Load", "Var", "Op", "Var", "Var"]


# ---- the interpreter ---------------------------------------------------------------------------------


def test_stand_ins_depend_on_function_and_argument_alone():
    one, two = Fraction(1, 3), Fraction(2, 3)
    assert interpreter.stand_in("exp", one) == interpreter.stand_in("exp", one)
    assert len({interpreter.stand_in(f, v) for f in ("exp", "log", "sqrt") for v in (one, two)}) == 6


def test_parallel_loops_are_run_backwards():
    """So that a result that depends on their order differs from the equations."""
    loop = For("q", Int(0), Int(3), (ir.Assign(Load("last", ()), Op("real", (Var("q"),))),), kind="parallel")
    last = ir.Array("last", (), "output", "data")
    program = ir.Program((last,), (), (), (), (ir.Nest("g", (), (loop,)),), ((ir.Alternative(("g",)),),), ())
    memory = {"last": {}}
    interpreter.run(program, memory, {}, {})
    assert memory["last"] == {(): 0}


def test_constants_are_exact():
    (entry,) = extracted(Eq(y[k], w[k] / 3 + Rational(1, 10)), outputs=[y]).maps
    got = interpreter_value(entry.value, w=Fraction(7))
    assert got == Fraction(7, 3) + Fraction(1, 10)


def interpreter_value(expr, **elements):
    match expr:
        case Const(value):
            return value
        case Load(array):
            return elements[array]
        case Op(name, args):
            return interpreter.apply(name, *(interpreter_value(arg, **elements) for arg in args))
