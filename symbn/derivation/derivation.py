"""A derivation: a gradient (or a tangent) found step by step, each step proved as it is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Add, Derivative, Eq, Mul

from symbn.derivation.adjoints import chain, contribution, occurrences
from symbn.derivation.assembly import assemble
from symbn.derivation.facts import Facts
from symbn.derivation.program import Assignment, Program, indices_of, name_of, reads, total
from symbn.derivation.proof import Proof
from symbn.derivation.rules import EXPANDING, FACTORING, Context, Rule
from symbn.derivation.tangents import tangent
from symbn.equations import notation
from symbn.equations.operator import Operator
from symbn.equations.validation import name_of as given_name
from symbn.errors import DerivationError

#: a gradient with more terms than this keeps its name and is not written out where it is read
_TERMS = 3
_APPLICATIONS = 400


@dataclass(frozen=True)
class Step:
    """One line: ``before`` and ``after`` have the same left side and, proved exactly, the same value."""

    before: Eq
    after: Eq
    rule: str
    reason: str


@dataclass(frozen=True, repr=False)
class Derivation:
    """How the gradient (``mode`` "gradient") or the tangent ("jvp") of an operator follows from its equations.

    ``staged`` has one equation for each adjoint, ``collapsed`` is what the rules make of them; both are
    operators that compute the same. ``steps`` lead from the one to the other.
    """

    operator: Operator
    mode: str
    of: tuple[str, ...]
    wrt: tuple[str, ...]
    steps: tuple[Step, ...]
    staged: Operator
    collapsed: Operator

    def __repr__(self) -> str:
        return "\n".join(f"({n}) {notation.plain(step.after)}    [{step.rule}]" for n, step in enumerate(self.steps, 1))


def gradient(operator: Operator, of: Iterable[Any] | None = None, wrt: Iterable[Any] | None = None) -> Derivation:
    """Derive the gradients of outputs with respect to inputs; see ``Operator.gradient``."""
    outputs, inputs = _outputs(operator, of), _inputs(operator, wrt)
    taken = {*operator.inputs, *operator.indices, *operator.indices.values()}
    cotangents = _names(outputs, taken)
    targets = _names(inputs, taken)
    program = Program(operator, (*cotangents.values(), *targets.values()))
    ends = {program.renamed(name): cotangent for name, cotangent in cotangents.items()}
    proof = Proof(program, [(cotangent, name) for name, cotangent in ends.items()])
    active = _influencing(program, frozenset(ends)) & _dependent(program, frozenset(inputs))

    adjoints: dict[str, Any] = {}
    staged: list[Assignment] = []
    chains: dict[str, Any] = {}
    for name, readers in _backward_order(program, active, inputs):
        if name in ends and not readers and name not in targets:
            adjoints[name] = program.array(ends[name], name)
            continue
        own = targets.get(name) or program.fresh(f"{name}_bar")
        target = program.array(own, name)
        leaf = program.leaf(name)
        parts = [program.array(ends[name], name)] if name in ends else []
        lines = list(parts)
        for equation in reversed(readers):
            found = occurrences(equation.value, frozenset({name}))
            parts += [contribution(one, equation, adjoints[equation.name], leaf, program) for one in found]
            if found:
                leaves = [one.leaf for one in found]
                lines.append(chain(equation, leaves, adjoints[equation.name], leaf, program))
        value = program.tidy(Add(*parts), indices_of(target))
        chains[own] = Add(*lines)
        proof.equal(target, chains[own], value, "chain rule")
        proof.assign(target, value)
        proof.gradient(name, target, ends)
        adjoints[name] = target
        staged.append(Assignment(target, value, False))
    marks = frozenset({*ends.values(), *(name_of(target) for target in adjoints.values())})
    steps, collapsed = _collapse(program, proof, marks, staged, chains, frozenset(targets.values()))
    cots = [(cotangent, program.renamed(name)) for name, cotangent in cotangents.items()]
    both = [
        assemble(program, f"{operator.name}_backward", equations, cots, list(targets.items()), _about("gradient", operator))
        for equations in (staged, collapsed)
    ]
    return Derivation(operator, "gradient", tuple(outputs), tuple(inputs), tuple(steps), *both)


def jvp(operator: Operator, of: Iterable[Any] | None = None, wrt: Iterable[Any] | None = None) -> Derivation:
    """Derive the tangents of outputs from those of inputs; see ``Operator.jvp``."""
    outputs = _outputs(operator, operator.outputs if of is None else of)
    inputs = _inputs(operator, wrt)
    taken = {*operator.inputs, *operator.indices, *operator.indices.values()}
    directions, results = _names(inputs, taken), _names(outputs, taken)
    program = Program(operator, (*directions.values(), *results.values()))
    proof = Proof(program, [(direction, name) for name, direction in directions.items()])
    ends = {program.renamed(name): result for name, result in results.items()}
    active = _influencing(program, frozenset(ends)) & _dependent(program, frozenset(inputs))

    names = dict(directions)
    staged: list[Assignment] = []
    chains: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for equation in program.assignments:
        name = equation.name
        if name not in active and name not in ends:
            continue
        own = ends.get(name) or program.fresh(f"{name}_dot")
        target = program.array(own, name)
        value = program.tidy(tangent(equation.value, names, program), equation.indices)
        chains[own] = _differential(equation, names, program)
        proof.equal(target, chains[own], value, "total differential")
        proof.assign(target, value)
        names[name] = own
        found[name] = target
        staged.append(Assignment(target, value, False))
    proof.tangents(directions, found)
    steps, collapsed = _collapse(program, proof, frozenset(names.values()), staged, chains, frozenset(ends.values()))
    tangents = [(direction, name) for name, direction in directions.items()]
    both = [
        assemble(program, f"{operator.name}_jvp", equations, tangents, list(results.items()), _about("tangent", operator))
        for equations in (staged, collapsed)
    ]
    return Derivation(operator, "jvp", tuple(outputs), tuple(inputs), tuple(steps), *both)


def _differential(equation: Assignment, names: dict[str, str], program: Program) -> Any:
    """The total differential with its derivatives unevaluated: over the elements of each array that are read."""
    terms: list[Any] = []
    for name, moved in names.items():
        places = [indices_of(one.leaf) for one in occurrences(equation.value, frozenset({name}))]
        if places:
            # An index that the equation has too is the same there, if every place where the array is read says so.
            own = [one if one in equation.indices and all(other[n] == one for other in places) else None for n, one in enumerate(places[0])]
            over: list[Any] = []
            for number, index in enumerate(own):
                if index is None:
                    own[number] = program.fresh_index(places[0][number], {*equation.indices, *over})
                    over.append(own[number])
            change = dict(zip(indices_of(program.leaf(name)), own, strict=True))
            leaf, tangent_leaf = (program.rename(one, change) for one in (program.leaf(name), program.array(moved, name)))
            terms.append(total(Mul(Derivative(equation.target, leaf, evaluate=False), tangent_leaf), over, program))
    return Add(*terms)


# ---- what is asked for -----------------------------------------------------------------------------


def _outputs(operator: Operator, of: Iterable[Any] | None) -> list[str]:
    if of is None:
        plain = [name for name in operator.outputs if name not in operator.statistics]
        return plain or list(operator.outputs)
    names = _listed(of, "of")
    for name in names:
        if name not in operator.outputs:
            raise DerivationError(f"of: {name!r} is not an output of {operator.name}; it has {', '.join(operator.outputs)}")
    return names


def _inputs(operator: Operator, wrt: Iterable[Any] | None) -> list[str]:
    saved = {given_name(eq.lhs.base if hasattr(eq.lhs, "base") else eq.lhs, "given") for eq in operator.given}
    if wrt is None:
        free = [name for name in operator.inputs if name in operator.arrays and name not in saved]
        names = [name for name in free if name not in operator.statistics] or free
        if not names:
            raise DerivationError(f"wrt: {operator.name} has no array input; name what to differentiate by, wrt=[...]")
        return names
    names = _listed(wrt, "wrt")
    for name in names:
        if name in saved:
            raise DerivationError(f"wrt: {name!r} follows from other inputs of {operator.name}; name those")
        if name not in operator.inputs:
            raise DerivationError(f"wrt: {name!r} is not an input of {operator.name}; it has {', '.join(operator.inputs)}")
    return names


def _listed(given: Any, argument: str) -> list[str]:
    if isinstance(given, str | sympy.Symbol | sympy.IndexedBase):
        given = [given]
    try:
        names = [given_name(one, argument) for one in given]
    except TypeError:
        raise DerivationError(f"{argument}: {given!r} is not a list of names") from None
    if not names:
        raise DerivationError(f"{argument}: the list is empty")
    return list(dict.fromkeys(names))


def _names(names: list[str], taken: set[str]) -> dict[str, str]:
    """The name of the gradient for each of some names: d and the name; with a number where an input has that."""
    result = {}
    for name in names:
        own, number = f"d{name}", 1
        while own in taken:
            number += 1
            own = f"d{name}_{number}"
        taken.add(own)
        result[name] = own
    return result


def _backward_order(
    program: Program, active: frozenset[str], inputs: list[str]
) -> Iterator[tuple[str, list[Assignment]]]:
    """What gets a gradient, each with the equations that read it, after all of these; inputs as soon as they can be."""
    done: set[str] = set()
    definitions = [one.name for one in reversed(program.assignments) if one.name in active]
    waiting = [*inputs]
    while definitions or waiting:
        for name in (*waiting, *definitions):
            readers = [one for one in program.assignments if one.name in active and name in reads(one.value)]
            if all(one.name in done for one in readers):
                (waiting if name in waiting else definitions).remove(name)
                done.add(name)
                yield name, readers
                break


def _dependent(program: Program, inputs: frozenset[str]) -> frozenset[str]:
    found = set(inputs)
    for equation in program.assignments:
        if reads(equation.value) & found:
            found.add(equation.name)
    return frozenset(found)


def _influencing(program: Program, outputs: frozenset[str]) -> frozenset[str]:
    found = set(outputs)
    for equation in reversed(program.assignments):
        if equation.name in found:
            found |= reads(equation.value)
    return frozenset(found)


def _about(what: str, operator: Operator) -> str:
    """What a derived operator is, with the forward operator's first line and source."""
    title, _, rest = operator.description.partition("\n")
    source = rest.partition("Source:")[2].strip()
    about = f"The {what} of {operator.name}, derived from its equations.\n"
    about += f"\n{title.rstrip('.')}.\n" if title else ""
    return about + (f"\nSource of the equations: {source}\n" if source else "")


# ---- simplification --------------------------------------------------------------------------------


def _collapse(
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

    values: dict[str, tuple[Any, Any]] = {}
    for equation in staged:
        target, name = equation.target, equation.name
        reason = _chain_reason(chains[name])
        steps.append(_step(target, chains[name], equation.value, "chain rule", reason))
        value = apply(target, equation.value, EXPANDING)
        if name in outputs:
            value = apply(target, value, FACTORING)
            context.shared.learn(Assignment(target, value, False))
        elif len(Add.make_args(value)) <= _TERMS:
            context.found[name] = target, value
        values[name] = target, value
    wanted, waiting = set(), [*outputs]
    while waiting:
        name = waiting.pop()
        if name in values and name not in wanted:
            wanted.add(name)
            waiting += reads(values[name][1])
    result = [Assignment(target, value, False) for name, (target, value) in values.items() if name in wanted]
    return steps, result


def _chain_reason(line: Any) -> str:
    names = [notation.tex(one.expr) for one in sorted(line.atoms(Derivative), key=sympy.default_sort_key)]
    names = list(dict.fromkeys(names))
    if not names:
        return "Nothing that counts reads it."
    through = " and ".join(f"${name}$" for name in names)
    return f"It acts through {through}: each passes on its own gradient times the derivative of its equation."


def _step(target: Any, before: Any, after: Any, rule: str, reason: str) -> Step:
    return Step(Eq(target, before, evaluate=False), Eq(target, after, evaluate=False), rule, reason)
