"""The rules applied, one after the other, each application proved and recorded as a step."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Add, Derivative, Eq, Piecewise

from symbn.derivation.derivation import Step
from symbn.derivation.facts import Facts
from symbn.derivation.program import Assignment, Program, indices_of, is_leaf, needed
from symbn.derivation.proof import Proof
from symbn.derivation.rules import EXPANDING, FACTORING, Context, Rule
from symbn.equations import notation
from symbn.errors import DerivationError

#: what has more terms than this, or is a choice, keeps its name and is not written out where it is read
_TERMS = 3
#: no derivation comes near: it stops rules that undo each other
_APPLICATIONS = 400


def collapse(
    program: Program,
    proof: Proof,
    marks: frozenset[str],
    staged: list[Assignment],
    chains: dict[str, Any],
    outputs: frozenset[str],
) -> tuple[list[Step], list[Assignment]]:
    """Apply the rules to each gradient in turn; returns the steps and the equations that are left."""
    facts = Facts(program)
    for equation in program.assignments:
        facts.learn(equation)
    context = Context(program, marks, facts, Facts(program))
    steps: list[Step] = []

    def apply(target: Any, value: Any, rules: tuple[Rule, ...]) -> Any:
        for _ in range(_APPLICATIONS):
            for rule in rules:
                result = rule.apply(value, context)
                if result is not None:
                    after = program.tidy(result[0], indices_of(target))
                    proof.equal(target, value, after, rule.name)
                    steps.append(_step(target, value, after, rule.name, result[1]))
                    value = after
                    break
            else:
                return value
        raise DerivationError(f"{target}: the rules come to no end; this is a fault of symbn")

    values: dict[str, Any] = {}
    for equation in staged:
        target, name = equation.target, equation.name
        reason = _chain_reason(chains[name])
        steps.append(_step(target, chains[name], equation.value, "chain rule", reason))
        context.output = name in outputs
        value = apply(target, equation.value, EXPANDING)
        if name in outputs:
            value = apply(target, value, FACTORING)
            context.shared.learn(Assignment(target, value, False))
        elif len(Add.make_args(value)) <= _TERMS and not value.has(Piecewise):
            context.found[name] = target, value
        values[name] = value
    wanted = needed(outputs, values)
    return steps, [Assignment(one.target, values[one.name], False) for one in staged if one.name in wanted]


def _chain_reason(line: Any) -> str:
    """What the chain rule says here: through which definitions something acts."""
    slopes = sorted(line.atoms(Derivative), key=sympy.default_sort_key)
    through = list(dict.fromkeys(f"${notation.tex(one.expr)}$" for one in slopes))
    given = [f"${notation.tex(one)}$" for one in Add.make_args(line) if is_leaf(one)]
    own = f" Its own {given[0]}, which is given, is added." if given else ""
    if not through:
        return own.strip() or "The outputs do not vary with it."
    (moved, *_) = (f"${notation.tex(one.variables[0])}$" for one in slopes)
    if len(through) == 1:
        return f"{moved} acts on the loss through {through[0]} alone.{own}"
    listed = f"{', '.join(through[:-1])} and {through[-1]}"
    return f"{moved} acts on the loss through {listed}; their contributions add up.{own}"


def _step(target: Any, before: Any, after: Any, rule: str, reason: str) -> Step:
    return Step(Eq(target, before, evaluate=False), Eq(target, after, evaluate=False), rule, reason)
