"""Gradients: the derivation of an operator's backward pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sympy import Add, Eq

from symbn.derivation import request
from symbn.derivation.adjoints import chain, contribution, occurrences, slope
from symbn.derivation.assembly import assemble
from symbn.derivation.collapse import collapse
from symbn.derivation.derivation import Derivation
from symbn.derivation.expressions import Assignment, element, indices_of, name_of, needed, reads
from symbn.derivation.program import Program
from symbn.derivation.proof import Proof
from symbn.equations.operator import Operator


def derive(operator: Operator, of: Iterable[Any] | None = None, wrt: Iterable[Any] | None = None) -> Derivation:
    """Derive the gradients of outputs with respect to inputs; see ``Operator.gradient``."""
    outputs, inputs = request.outputs(operator, of), request.inputs(operator, wrt)
    taken = request.taken(operator)
    cotangents = request.names(outputs, taken)
    targets = request.names(inputs, taken)
    program = Program(operator, (*cotangents.values(), *targets.values()))
    ends = {program.renamed(name): cotangent for name, cotangent in cotangents.items()}
    proof = Proof(program, [(cotangent, name) for name, cotangent in ends.items()])
    active = request.active(program, inputs, ends)

    adjoints: dict[str, Any] = {}
    staged: list[Assignment] = []
    chains: dict[str, Any] = {}
    slopes: dict[str, list[Eq]] = {}
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
            found = occurrences(equation, frozenset({name}))
            parts += [contribution(one, equation, adjoints[equation.name], leaf, program) for one in found]
            if found:
                lines.append(chain(equation, found, adjoints[equation.name], leaf, program))
                slopes[own] = [*slopes.get(own, []), *_proved(slope(equation, found, leaf, program), proof)]
        value = program.tidy(Add(*parts), indices_of(target))
        chains[own] = Add(*lines)
        proof.equal(target, chains[own], value, "chain rule")
        proof.assign(target, value)
        proof.gradient(name, target, ends)
        adjoints[name] = target
        staged.append(Assignment(target, value, False))
    marks = frozenset({*ends.values(), *(name_of(target) for target in adjoints.values())})
    steps, collapsed = collapse(program, proof, marks, staged, chains, frozenset(targets.values()))
    cots = [(cotangent, program.renamed(name)) for name, cotangent in cotangents.items()]
    about = request.about("gradient", operator)
    as_operator, collapsed_operator = (
        assemble(program, f"{operator.name}_backward", equations, cots, list(targets.items()), about)
        for equations in (staged, collapsed)
    )
    definitions = {one.name: one.value for one in program.assignments}
    shown = needed(
        (*definitions.keys() - program.introduced, *(one for own in staged for one in reads(own.value))), definitions
    )
    return Derivation(
        operator,
        of=tuple(outputs),
        wrt=tuple(inputs),
        forward=tuple(one.equation for one in program.assignments if one.name in shown),
        introduced=program.introduced,
        steps=tuple(steps),
        staged=as_operator,
        collapsed=collapsed_operator,
        slopes={name: tuple(one) for name, one in slopes.items()},
    )


def _proved(equation: Eq | None, proof: Proof) -> list[Eq]:
    """The derivative of one equation, if it could be written down."""
    if equation is None:
        return []
    proof.equal(element("slope", equation.rhs, equation.lhs), equation.lhs, equation.rhs, "derivative")
    return [equation]


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
