"""Directional derivatives: the derivation of an operator's tangents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sympy import Add, Derivative, Mul

from symbn.derivation import request
from symbn.derivation.adjoints import occurrences
from symbn.derivation.assembly import assemble
from symbn.derivation.collapse import collapse
from symbn.derivation.expressions import Assignment, indices_of
from symbn.derivation.program import Program, total
from symbn.derivation.proof import Proof
from symbn.derivation.tangents import tangent
from symbn.equations.operator import Operator


def derive(operator: Operator, of: Iterable[Any] | None = None, wrt: Iterable[Any] | None = None) -> Operator:
    """Derive the tangents of outputs from those of inputs; see ``Operator.jvp``."""
    outputs = request.outputs(operator, operator.outputs if of is None else of)
    inputs = request.inputs(operator, wrt)
    taken = request.taken(operator)
    directions, results = request.names(inputs, taken), request.names(outputs, taken)
    program = Program(operator, (*directions.values(), *results.values()))
    proof = Proof(program, [(direction, name) for name, direction in directions.items()])
    ends = {program.renamed(name): result for name, result in results.items()}
    active = request.active(program, inputs, ends)

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
        value = program.tidy(tangent(equation, names, program), equation.indices)
        chains[own] = _differential(equation, names, program)
        proof.equal(target, chains[own], value, "total differential")
        proof.assign(target, value)
        names[name] = own
        found[name] = target
        staged.append(Assignment(target, value, False))
    proof.tangents(directions, found)
    _, collapsed = collapse(program, proof, frozenset(names.values()), staged, chains, frozenset(ends.values()))
    return assemble(
        program,
        f"{operator.name}_jvp",
        collapsed,
        [(direction, name) for name, direction in directions.items()],
        list(results.items()),
        request.about("directional derivative", operator),
    )


def _differential(equation: Assignment, names: dict[str, str], program: Program) -> Any:
    """The total differential with its derivatives unevaluated: over the elements of each array that are read."""
    terms: list[Any] = []
    for name, moved in names.items():
        places = [indices_of(one.leaf) for one in occurrences(equation, frozenset({name}))]
        if places:
            # An index that the equation has too is the same there, if every place where the array is read says so.
            own = [
                one if one in equation.indices and all(other[n] == one for other in places) else None
                for n, one in enumerate(places[0])
            ]
            over: list[Any] = []
            for number, index in enumerate(own):
                if index is None:
                    own[number] = program.fresh_index(places[0][number], {*equation.indices, *over})
                    over.append(own[number])
            change = dict(zip(indices_of(program.leaf(name)), own, strict=True))
            leaf, tangent_leaf = (
                program.rename(one, change) for one in (program.leaf(name), program.array(moved, name))
            )
            terms.append(total(Mul(Derivative(equation.target, leaf, evaluate=False), tangent_leaf), over, program))
    return Add(*terms)
