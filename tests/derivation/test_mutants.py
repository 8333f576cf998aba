"""A wrong derivative, a wrong adjoint, a wrong fact and a wrong simplification: each is refused when it is applied."""

from dataclasses import replace
from types import MappingProxyType

import pytest
import sympy
from sympy import (
    Abs,
    Add,
    Eq,
    Idx,
    Indexed,
    IndexedBase,
    Integer,
    Max,
    Min,
    Mul,
    Piecewise,
    Pow,
    Sum,
    exp,
    sqrt,
    symbols,
    tanh,
)
from sympy.codegen import cfunctions

from symbn.derivation import adjoints, collapse, facts, gradient, partials, tangents
from symbn.derivation.rules import EXPANDING, FACTORING, RULES, Rule
from symbn.equations.operator import Operator
from symbn.errors import DerivationError

m, n, p = symbols("m n p", integer=True, positive=True)
i, j, k, h = Idx("i", (1, m)), Idx("j", (1, m)), Idx("k", (1, n)), Idx("h", (1, n))
x, y, w, t, u, a = map(IndexedBase, "x y w t u a".split())


def operator(*equations, outputs=("y",)):
    return Operator("op", equations, outputs=outputs)


# ---- derivatives ----------------------------------------------------------------------------------------

X, W = x[k], w[k]
#: an expression that uses each function, real wherever it may be evaluated
USES = {
    Add: X + 2 * W,
    Mul: X * W,
    Pow: X**3,
    **{
        one: one(X)
        for one in (
            exp,
            sympy.sin,
            sympy.cos,
            sympy.atan,
            sympy.sinh,
            sympy.cosh,
            tanh,
            sympy.asinh,
            sympy.erf,
            sympy.erfc,
        )
    },
    **{one: one(X) for one in (Abs, sympy.floor, sympy.ceiling, sympy.sign, cfunctions.expm1, cfunctions.exp2)},
    **{one: one(2 + X**2) for one in (sympy.log, sympy.acosh, cfunctions.log2, cfunctions.log10, cfunctions.log1p)},
    **{one: one(X / (1 + X**2)) for one in (sympy.asin, sympy.acos, sympy.atanh, sympy.tan)},
    **{one: one(X, W) for one in (sympy.atan2, Max, Min, cfunctions.hypot)},
}

WRONG = {
    "sign": lambda right: lambda expr, place: -right(expr, place),
    "factor": lambda right: lambda expr, place: 2 * right(expr, place),
    "offset": lambda right: lambda expr, place: right(expr, place) + 1,
    "nothing": lambda right: lambda expr, place: Integer(0),
}


def test_each_function_has_a_use():
    assert USES.keys() == partials.PARTIALS.keys()


@pytest.mark.parametrize("function", USES, ids=lambda one: one.__name__)
def test_a_right_partial_derivative(function):
    one = operator(Eq(y[k], USES[function]))
    assert len(one.gradient().outputs) == len(one.inputs)
    assert one.jvp().outputs == ("dy",)


#: where the derivative is 0, most of the mutants are right
FLAT = (sympy.floor, sympy.ceiling, sympy.sign)
CASES = [(one, mutant) for one in USES for mutant in WRONG if one not in FLAT or mutant == "offset"]


@pytest.mark.parametrize(("function", "mutant"), CASES, ids=[f"{one.__name__}-{mutant}" for one, mutant in CASES])
def test_a_wrong_partial_derivative(monkeypatch, function, mutant):
    right = partials.PARTIALS[function]
    wrong = MappingProxyType({**partials.PARTIALS, function: WRONG[mutant](right)})
    one = operator(Eq(y[k], USES[function]))
    monkeypatch.setattr(partials, "PARTIALS", wrong)
    with pytest.raises(DerivationError):
        one.gradient()
    with pytest.raises(DerivationError):
        one.jvp()


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    "function", [Add, Mul, Pow, Max, Min, sympy.atan2, cfunctions.hypot], ids=lambda one: one.__name__
)
def test_each_argument_of_a_function_counts(monkeypatch, function, place):
    right = partials.PARTIALS[function]

    def wrong(expr, number):
        return 2 * right(expr, number) if number == place else right(expr, number)

    body = (1 + X**2) ** (1 + W**2) if function is Pow else function(X, W)
    one = operator(Eq(y[k], body))
    one.gradient()
    monkeypatch.setattr(partials, "PARTIALS", MappingProxyType({**partials.PARTIALS, function: wrong}))
    with pytest.raises(DerivationError):
        one.gradient()
    with pytest.raises(DerivationError):
        one.jvp()


def test_a_function_without_a_derivative_is_named(monkeypatch):
    left = {one: rule for one, rule in partials.PARTIALS.items() if one is not tanh}
    monkeypatch.setattr(partials, "PARTIALS", MappingProxyType(left))
    for derive in (operator(Eq(y[k], tanh(X))).gradient, operator(Eq(y[k], tanh(X))).jvp):
        with pytest.raises(DerivationError, match=r"'tanh\(x\[k\]\)': there is no derivative of tanh"):
            derive()


@pytest.mark.parametrize(
    ("function", "body", "wrong"),
    [
        (Abs, Abs(X), lambda expr, place: Piecewise((1, expr.args[0] >= 0), (-1, True))),
        (Max, Max(X, 0), lambda expr, place: Piecewise((1, expr.args[1 - place] <= expr.args[place]), (0, True))),
        (Max, Max(X, W), lambda expr, place: Piecewise((1, expr.args[1 - place] <= expr.args[place]), (0, True))),
        (Min, Min(X, W), lambda expr, place: Piecewise((1, expr.args[1 - place] >= expr.args[place]), (0, True))),
    ],
    ids=["Abs at 0", "Max with a number", "Max of two", "Min of two"],
)
def test_another_convention_at_a_kink(monkeypatch, function, body, wrong):
    """Right almost everywhere: the samples have to hold the kink."""
    monkeypatch.setattr(partials, "PARTIALS", MappingProxyType({**partials.PARTIALS, function: wrong}))
    with pytest.raises(DerivationError):
        operator(Eq(y[k], body)).gradient()


# ---- adjoints -------------------------------------------------------------------------------------------

COLUMN = operator(Eq(t[k], Sum(x[i, k], (i, 1, m))), Eq(y[i, k], x[i, k] * w[k] + t[k]))
TRANSPOSED = operator(Eq(y[i, j], x[j, i] * a[i, j]))
BOTH_WAYS = operator(Eq(t[i], Sum(x[i, j], (j, 1, m))), Eq(y[i, j], x[j, i] * t[i] * a[i, j]))
PAIRS = operator(Eq(y[i, j], Sum(x[i, k] * x[j, k], (k, 1, n))))
BRANCHES = operator(Eq(y[k], Piecewise((x[k] ** 2, x[k] > w[k]), (w[k] * x[k], x[k] < 0), (x[k] + w[k], True))))
NESTED = operator(Eq(y[k], Piecewise((exp(Piecewise((x[k], x[k] > w[k]), (w[k], True))), w[k] > 1), (x[k] / 3, True))))
SUMMED = operator(Eq(y[k], Sum(Piecewise((x[i, k] ** 2, x[i, k] > 0), (w[k] * x[i, k], True)), (i, 1, m))))


def changed(change):
    """Occurrences that are wrong in one way."""

    def mutate(monkeypatch):
        right = gradient.occurrences

        def wrong(expr, active):
            return change(right(expr, active))

        monkeypatch.setattr(gradient, "occurrences", wrong)

    return mutate


def each(**fields):
    return changed(lambda found: [replace(one, **{name: make(one) for name, make in fields.items()}) for one in found])


def permuted(one):
    indices = one.leaf.indices
    return one.leaf.base[indices[::-1]]


def sums(change):
    """What an occurrence contributes, with its sums changed."""

    def mutate(monkeypatch):
        right = gradient.contribution

        def wrong(found, equation, cotangent, target, program):
            return change(right(found, equation, cotangent, target, program), program, target)

        monkeypatch.setattr(gradient, "contribution", wrong)

    return mutate


def unsummed(value, program, target):
    """A sum's body at one index instead of the sum: the index of the target with the same extent."""
    if not isinstance(value, Sum):
        return value
    body = value.function
    for limit in value.limits:
        same = [index for index in target.indices if program.extent(index) == program.extent(limit[0])]
        body = program.rename(body, {limit[0]: same[0]}) if same else Integer(0)
    return body


def summed(value, program, target):
    """One more sum than there should be."""
    bound = {limit[0] for one in value.atoms(Sum) for limit in one.limits}
    index = program.fresh_index(target.indices[0], {*target.indices, *bound})
    return Sum(value, (index, 1, program.extent(index)))


def guards(change):
    """Branches of a Piecewise that are wrong in one way."""

    def mutate(monkeypatch):
        right = adjoints._branch
        monkeypatch.setattr(adjoints, "_branch", lambda expr, place: change(right, expr, place))

    return mutate


def unrenamed(monkeypatch):
    """The indices of the equation stay where those of the array belong."""
    right = gradient.contribution

    def wrong(found, equation, cotangent, target, program):
        value = right(found, equation, cotangent, target, program)
        back = dict(zip(target.indices, found.leaf.indices, strict=True))
        free = {index: other for index, other in back.items() if other in target.indices}
        return program.rename(value, free)

    monkeypatch.setattr(gradient, "contribution", wrong)


ADJOINTS = {
    "an occurrence dropped": (changed(lambda found: found[:-1]), (COLUMN, TRANSPOSED, PAIRS, SUMMED)),
    "an occurrence twice": (changed(lambda found: [*found, found[0]]), (COLUMN, TRANSPOSED, PAIRS, BRANCHES)),
    "the other sign": (each(outside=lambda one: -one.outside), (COLUMN, TRANSPOSED, PAIRS, BRANCHES, SUMMED)),
    "a constant slope": (each(outside=lambda one: Integer(1)), (COLUMN, TRANSPOSED, PAIRS)),
    "a constant slope inside of a branch": (each(inside=lambda one: Integer(1)), (BRANCHES, NESTED, SUMMED)),
    "the array read the other way round": (each(leaf=permuted), (TRANSPOSED,)),
    "a renaming skipped": (unrenamed, (BOTH_WAYS,)),
    "a sum dropped": (sums(unsummed), (COLUMN, PAIRS)),
    "a sum too many": (sums(summed), (COLUMN, TRANSPOSED, PAIRS)),
    "no guard": (each(guards=lambda one: ()), (BRANCHES, NESTED, SUMMED)),
    "only the outer guard": (each(guards=lambda one: one.guards[:1]), (NESTED,)),
    "only the inner guard": (each(guards=lambda one: one.guards[-1:]), (NESTED,)),
    "the guard of another branch": (
        guards(lambda right, expr, place: right(expr, (place + 1) % len(expr.args))),
        (BRANCHES, NESTED, SUMMED),
    ),
    "a guard that ignores the branches before": (
        guards(lambda right, expr, place: lambda value: Piecewise((value, expr.args[place][1]), (0, True))),
        (BRANCHES, SUMMED),
    ),
    "a guard that is inverted": (
        guards(lambda right, expr, place: lambda value: value - right(expr, place)(value)),
        (BRANCHES, SUMMED),
    ),
}


@pytest.mark.parametrize(
    "one",
    [COLUMN, TRANSPOSED, BOTH_WAYS, PAIRS, BRANCHES, NESTED, SUMMED],
    ids="column transposed both pairs branches nested summed".split(),
)
def test_right_adjoints(one):
    assert one.gradient().outputs == tuple(f"d{name}" for name in one.inputs)


@pytest.mark.parametrize("mutant", ADJOINTS)
def test_a_wrong_adjoint(monkeypatch, mutant):
    mutate, uses = ADJOINTS[mutant]
    mutate(monkeypatch)
    for one in uses:
        with pytest.raises(DerivationError):
            one.gradient()


def test_a_wrong_adjoint_in_a_branch_that_is_seldom_taken(monkeypatch):
    """Of three branches the last one is lost."""
    ADJOINTS["an occurrence dropped"][0](monkeypatch)
    with pytest.raises(DerivationError):
        BRANCHES.gradient()


def test_an_adjoint_that_is_wrong_in_both_of_its_forms(monkeypatch):
    """The line with derivatives and the line without leave out the same term: the equations themselves know."""
    right, chain = gradient.contribution, gradient.chain
    monkeypatch.setattr(gradient, "contribution", lambda *args: 2 * right(*args))
    monkeypatch.setattr(gradient, "chain", lambda *args: 2 * chain(*args))
    with pytest.raises(DerivationError, match="the adjoint rules give"):
        COLUMN.gradient()


@pytest.mark.parametrize("one", [COLUMN, PAIRS, BRANCHES, SUMMED], ids=["column", "pairs", "branches", "summed"])
def test_a_wrong_tangent(monkeypatch, one):
    from symbn.derivation import jvp

    monkeypatch.setattr(jvp, "tangent", lambda *args: 2 * tangents.tangent(*args))
    with pytest.raises(DerivationError):
        one.jvp()


def test_a_tangent_that_is_wrong_in_both_of_its_forms(monkeypatch):
    from symbn.derivation import jvp

    right = jvp._differential
    monkeypatch.setattr(jvp, "tangent", lambda *args: 2 * tangents.tangent(*args))
    monkeypatch.setattr(jvp, "_differential", lambda *args: 2 * right(*args))
    with pytest.raises(DerivationError):
        COLUMN.jvp()


# ---- simplification -------------------------------------------------------------------------------------


def norm(**options):
    mu, v = IndexedBase("mu"), IndexedBase("v")
    return Operator(
        "norm",
        [
            Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
            Eq(v[k], Sum((x[i, k] - mu[k]) ** 2, (i, 1, m)) / m),
            Eq(y[i, k], w[k] * (x[i, k] - mu[k]) / sqrt(v[k] + 1) + u[k]),
        ],
        outputs=["y", "mu", "v"],
        **options,
    )


def known():
    """The gradient with respect to w reads the sum that t is."""
    return operator(
        Eq(t[k], Sum(x[i, k] ** 2, (i, 1, m)) / m),
        Eq(y[k], w[k] * Sum(x[i, k] ** 2, (i, 1, m)) + t[k]),
    )


#: rule -> a derivation that applies it
FIRES = {
    "substitution": norm().gradient,
    "linearity": norm().jvp,
    "constant factor": norm().gradient,
    "constant sum": operator(Eq(y[k], Sum(w[k] + x[i, k], (i, 1, m)))).gradient,
    "vanishing sum": norm().gradient,
    "known sum": known().gradient,
    "shared reduction": norm().gradient,
    "named value": operator(Eq(t[k], sqrt(1 + w[k] ** 2)), Eq(y[i, k], x[i, k] / t[k])).gradient,
    "named product": operator(Eq(t[k], w[k] * x[k]), Eq(y[k], t[k] * w[k] * x[k])).gradient,
    "division inside": operator(Eq(t[k], w[k] ** 2), Eq(y[i, k], x[i, k] / t[k])).gradient,
    "same branches": operator(
        Eq(
            y[k],
            Piecewise((x[k] * w[k], w[k] > 1), (x[k] ** 2, True)) + Piecewise((x[k] ** 3, w[k] > 1), (x[k], True)),
        )
    ).gradient,
    "common factor": norm().gradient,
}


def test_each_rule_has_a_use():
    assert FIRES.keys() == {rule.name for rule in RULES} == {rule.name for rule in (*EXPANDING, *FACTORING)}


def rules(monkeypatch, name, change):
    """The rule with its results changed; says whether it applied at all."""
    applied = []

    def wrap(rule):
        def apply(expr, context):
            result = rule.apply(expr, context)
            if result is None:
                return None
            wrong = change(result[0], context)
            applied.append(wrong)
            return wrong, result[1]

        return Rule(rule.name, apply) if rule.name == name else rule

    monkeypatch.setattr(collapse, "EXPANDING", tuple(map(wrap, EXPANDING)))
    monkeypatch.setattr(collapse, "FACTORING", tuple(map(wrap, FACTORING)))
    return applied


def first_term_lost(expr, context):
    """Without its first term, of the sum that is outermost."""
    for part in sympy.preorder_traversal(expr):
        if isinstance(part, Add) and context.marked(part):
            return expr.xreplace({part: Add(*part.args[1:])})
    return Integer(0)


def last_factor_lost(expr, context):
    """Without one factor of the first product that holds a cotangent."""
    for part in sympy.preorder_traversal(expr):
        if isinstance(part, Mul):
            lost = next(factor for factor in part.args if not factor.is_Number or len(part.args) == 1)
            return expr.xreplace({part: part / lost})
    return 3 * expr


def another_extent(expr, context):
    """The number of terms miscounted, where it stands outside of sums; else counted twice."""
    extent = min(context.program.extents, key=str)

    def miscount(part):
        if part == extent:
            return extent + 1
        return part if isinstance(part, Sum | Indexed) or not part.args else part.func(*map(miscount, part.args))

    wrong = miscount(expr)
    return wrong if wrong != expr else expr * extent + 1


RESULTS = {
    "sign": lambda expr, context: -expr,
    "factor": lambda expr, context: expr * 2,
    "one more": lambda expr, context: expr + 1,
    "nothing": lambda expr, context: Integer(0),
    "a term lost": first_term_lost,
    "a factor lost": last_factor_lost,
    "another extent": another_extent,
}


@pytest.mark.parametrize("mutant", RESULTS)
@pytest.mark.parametrize("name", FIRES)
def test_a_wrong_simplification(monkeypatch, name, mutant):
    applied = rules(monkeypatch, name, RESULTS[mutant])
    with pytest.raises(DerivationError, match=f"the rule '{name}' does not hold here"):
        FIRES[name]()
    assert applied


@pytest.mark.parametrize("name", FIRES)
def test_a_right_simplification_is_let_through(monkeypatch, name):
    """The change of a rule's results is what is refused, not the wrapping."""
    applied = rules(monkeypatch, name, lambda expr, context: expr)
    FIRES[name]()
    assert applied


def test_rules_that_undo_each_other_are_stopped(monkeypatch):
    """Each application is true, and there is no last one."""
    there_and_back = Rule("never done", lambda expr, context: (expr, "It stays what it is."))
    monkeypatch.setattr(collapse, "EXPANDING", (there_and_back,))
    monkeypatch.setattr(collapse, "_APPLICATIONS", 5)
    with pytest.raises(DerivationError, match="come to no end"):
        operator(Eq(y[k], x[k] ** 2)).gradient()


# ---- facts ----------------------------------------------------------------------------------------------

FACTS = {
    "sign": lambda value: -value,
    "factor": lambda value: 2 * value,
    "one more": lambda value: value + 1,
    "nothing": lambda value: Integer(0),
}


def wrong_facts(monkeypatch, change):
    right = facts._solve

    def wrong(*args):
        value = right(*args)
        return None if value is None else change(value)

    monkeypatch.setattr(facts, "_solve", wrong)


@pytest.mark.parametrize("mutant", FACTS)
def test_a_wrong_fact(monkeypatch, mutant):
    """Sum(x) = m*mu and the like: what is known of a definition is used by 'known sum' and 'shared reduction'."""
    FIRES["known sum"]()
    wrong_facts(monkeypatch, FACTS[mutant])
    with pytest.raises(DerivationError, match="does not hold here"):
        FIRES["known sum"]()
    with pytest.raises(DerivationError, match="does not hold here"):
        FIRES["shared reduction"]()


def test_a_sum_that_does_not_vanish(monkeypatch):
    """The mean of something else is taken for mu."""
    wrong_facts(monkeypatch, lambda value: Integer(0))
    off = operator(Eq(t[k], Sum(x[i, k], (i, 1, m)) / m), Eq(y[i, k], x[i, k] * Sum(x[j, k], (j, 1, m)) + t[k] ** 2))
    with pytest.raises(DerivationError, match=r"vanishing sum|known sum"):
        off.gradient()


def test_a_fact_about_another_array(monkeypatch):
    """Facts are matched by what is summed, not by its shape."""
    monkeypatch.setattr(facts.Facts, "_match", lambda self, fact, one: {})
    with pytest.raises(DerivationError, match="does not hold here"):
        norm().gradient()


def test_an_inverse_that_is_not_safe_is_not_taken():
    """t = w*Sum(x) says nothing of Sum(x) where w is 0."""
    one = operator(Eq(t[k], w[k] * Sum(x[i, k], (i, 1, m))), Eq(y[i, k], x[i, k] * t[k]), outputs=["y", "t"])
    assert "/" not in str(one.gradient())
