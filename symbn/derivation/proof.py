"""The proof of each line: both sides evaluated exactly, at several small extents."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import sympy

from symbn.derivation.exact import TIE, Evaluator, Number, OutsideDomainError, Values, close
from symbn.derivation.expressions import Assignment, element, name_of
from symbn.derivation.program import Program
from symbn.equations import constants, notation
from symbn.equations.reductions import ReduceMax, ReduceMin
from symbn.errors import DerivationError

#: extents in order of the program's indices, one row for each sample
_EXTENTS = ((2, 3, 2, 2), (3, 2, 2, 1), (1, 2, 3, 2))
#: where branches and ties are looked for
_SMALL = (2, 2, 1, 2)
_TRIES = 24
#: what numbers are drawn from: of both signs, positive, below one, above one, large
_RANGES = ((-12, 12), (1, 12), (1, 3), (5, 20), (200, 2000))
_DENOMINATORS = (3, 4, 5, 7)
#: how many draws look for branches that no sample has taken yet, and how many for ties
_SEARCHES = 60
#: functions that have no derivative somewhere
_KINKED = (
    sympy.Abs,
    sympy.Max,
    sympy.Min,
    sympy.Piecewise,
    sympy.sign,
    sympy.floor,
    sympy.ceiling,
    ReduceMax,
    ReduceMin,
)


class Proof:
    """Samples of a program's inputs, with everything that its equations define computed from them.

    Raises
    ------
    DerivationError
        If there are no inputs, among many that were drawn, at which the equations are real numbers.
    """

    def __init__(self, program: Program, cotangents: Iterable[tuple[str, str]]) -> None:
        """``cotangents`` are the names of new inputs, each with the name whose shape it has."""
        self.program = program
        self.leaves = [program.leaf(name) for name in program.operator.inputs if name not in program.defined]
        known = {name_of(leaf) for leaf in self.leaves}
        for equation in program.assignments:
            # What an equation between inputs reads need not be an input itself.
            for name in program.inputs_of(equation.value):
                if name not in known:
                    known.add(name)
                    self.leaves.append(program.leaf(name))
        self.leaves += [program.array(name, like) for name, like in cotangents]
        self.random = random.Random(20150211)
        self.samples = [one for row in _EXTENTS if (one := self._search(row)) is not None]
        if not self.samples:
            raise DerivationError(
                f"{program.operator.name}: found no inputs at which its equations are real numbers, "
                "so that no derivation of it can be checked; look at its roots, logarithms and divisions"
            )
        values = [expr for one in program.assignments for expr in (one.value, one.slope) if expr is not None]
        self._take_branches({part for value in values for part in value.atoms(sympy.Piecewise, ReduceMax, ReduceMin)})
        if any(value.has(*_KINKED) for value in values):
            ties = (self._sample(_SMALL, (-1, 1), (1,)) for _ in range(_SEARCHES))
            self.samples += [one for one in ties if one is not None][:2]

    def _search(self, row: tuple[int, ...]) -> Evaluator | None:
        drawn = (self._sample(row, _RANGES[attempt % len(_RANGES)], _DENOMINATORS) for attempt in range(_TRIES))
        return next((one for one in drawn if one is not None), None)

    def _take_branches(self, choices: set[Any]) -> None:
        """Add samples until each branch of each choice is taken by one, or none is found that takes it.

        Of a maximum over indices the branch that counts is that of equal terms.
        """
        branches = {one: range(len(one.args)) if isinstance(one, sympy.Piecewise) else (TIE,) for one in choices}
        wanted = {(choice, arm) for choice, arms in branches.items() for arm in arms}
        for sample in self.samples:
            wanted -= sample.taken
        for attempt in range(_SEARCHES):
            if not wanted:
                break
            kind = _RANGES[attempt % 2] if attempt % 3 else (-1, 1)
            found = self._sample(_SMALL, kind, _DENOMINATORS if attempt % 3 else (1,))
            if found is not None and wanted & found.taken:
                wanted -= found.taken
                self.samples.append(found)

    def _sample(self, row: tuple[int, ...], kind: tuple[int, int], denominators: tuple[int, ...]) -> Evaluator | None:
        """Inputs, and all that the equations make of them; None where that is not a real number."""
        symbols = sorted((one for one in self.program.extents if not one.is_Integer), key=str)
        extents = {symbol: row[number % len(row)] for number, symbol in enumerate(symbols)}
        evaluator = Evaluator(self.program, extents, {})
        for leaf in self.leaves:
            evaluator.values[name_of(leaf)] = {
                place: Number(self._draw(leaf, kind, denominators)) for place in evaluator.places(leaf)
            }
        try:
            for equation in self.program.assignments:
                evaluator.assign(equation)
            for equation in self.program.assignments:
                if equation.slope is not None:
                    # For the branches that it takes.
                    evaluator.all(element("slope", equation.slope), equation.slope)
        except OutsideDomainError:
            return None
        return evaluator

    def _draw(self, leaf: Any, kind: tuple[int, int], denominators: tuple[int, ...]) -> Fraction:
        low, high = kind
        domain = self.program.operator.domains.get(name_of(leaf))
        if isinstance(domain, sympy.FiniteSet):
            return constants.fraction(self.random.choice(sorted(domain)))
        if leaf.is_positive or leaf.is_nonnegative:
            low, high = max(low, 1), max(high, 1)
        elif leaf.is_negative or leaf.is_nonpositive:
            low, high = min(-high, -1), min(-low, -1)
        denominator = 1 if leaf.is_integer else self.random.choice(denominators)
        value = Fraction(self.random.randint(low, high) or leaf.is_nonzero or 0, denominator)
        if isinstance(domain, sympy.Interval) and value not in domain:
            step = Fraction(self.random.randint(1, 9), 10)
            ends = [constants.fraction(end) for end in (domain.start, domain.end) if end.is_finite]
            if len(ends) == 2:
                return ends[0] + step * (ends[1] - ends[0])
            return ends[0] + (step if domain.start.is_finite else -step)
        return value

    # ---- what is proved ---------------------------------------------------------------------------

    def equal(self, target: Any, before: Any, after: Any, rule: str) -> None:
        """Is a step true? It is where both sides agree at every element of every sample."""
        for sample in self.samples:
            try:
                left = sample.all(target, before)
            except OutsideDomainError:
                continue
            try:
                right = sample.all(target, after)
            except OutsideDomainError as error:
                raise DerivationError(
                    f"{notation.plain_text(target)}: the rule '{rule}' makes {notation.plain_text(after)}, "
                    f"which holds {error} where there was none"
                ) from None
            for place, one in left.items():
                other = right[place]
                if not close(one.value, other.value, one.noise + other.noise):
                    raise DerivationError(
                        f"{notation.plain_text(target)}: the rule '{rule}' does not hold here: "
                        f"{notation.plain_text(before)} is {float(one.value):.6g} at {place}, "
                        f"{notation.plain_text(after)} is {float(other.value):.6g}"
                    )

    def assign(self, target: Any, value: Any) -> None:
        """Let a gradient have a name from here on; a sample at which it is no number is not used any more."""
        kept = []
        for sample in self.samples:
            try:
                sample.assign(Assignment(target, value, False))
            except OutsideDomainError:
                continue
            kept.append(sample)
        if not kept:
            raise DerivationError(
                f"{notation.plain_text(target)}: is not a real number at any of the inputs that were drawn, "
                "so that its derivation cannot be checked; look at the roots, logarithms and divisions of the equations"
            )
        self.samples = kept

    def gradient(self, name: str, gradient: Any, outputs: dict[str, str]) -> None:
        """Is this the gradient with respect to ``name``? ``outputs`` has the cotangent of each output.

        The outputs are followed in a random direction with dual numbers: what they change by, times their
        cotangents, must be what the gradient says.
        """
        for sample in self.samples:
            try:
                moved, direction = self._move(sample, [name])
            except OutsideDomainError:
                continue
            change, said = Number(Fraction(0)), Number(Fraction(0))
            for output, cotangent in outputs.items():
                for place, one in moved.values[output].items():
                    change += Number(one.slope, noise=one.drift) * sample.values[cotangent][place]
            for place, one in sample.values[name_of(gradient)].items():
                said += one * Number(direction[name][place])
            self._agree(change, said, gradient)

    def tangents(self, names: dict[str, str], tangents: dict[str, Any]) -> None:
        """Are these the tangents? ``names`` has the tangent of each input, ``tangents`` that of each definition."""
        for sample in self.samples:
            try:
                moved, _ = self._move(sample, list(names), {name: sample.values[names[name]] for name in names})
            except OutsideDomainError:
                continue
            for name, tangent in tangents.items():
                for place, one in moved.values[name].items():
                    other = sample.values[name_of(tangent)][place]
                    self._agree(Number(one.slope, noise=one.drift), other, tangent)

    def _agree(self, change: Number, said: Number, target: Any) -> None:
        if not close(change.value, said.value, change.noise + said.noise):
            raise DerivationError(
                f"{notation.plain_text(target)}: the adjoint rules give {float(said.value):.6g} along a direction in "
                f"which the equations themselves change by {float(change.value):.6g}"
            )

    def _move(
        self, sample: Evaluator, names: list[str], by: dict[str, dict[Any, Number]] | None = None
    ) -> tuple[Evaluator, dict[str, dict[Any, Fraction]]]:
        """All values again, with a slope given to some of them."""
        values: Values = {name: dict(places) for name, places in sample.values.items()}
        moved = Evaluator(self.program, sample.extents, values)
        moved.differentiating = True
        direction: dict[str, dict[Any, Fraction]] = {}

        def push(name: str) -> None:
            direction[name] = {
                place: by[name][place].value if by else Fraction(self.random.randint(-5, 5), 3)
                for place in values[name]
            }
            for place, slope in direction[name].items():
                values[name][place] = Number(values[name][place].value, slope, values[name][place].noise)

        for name in names:
            if name not in self.program.defined:
                push(name)
        for equation in self.program.assignments:
            if equation.name in names:
                push(equation.name)
            else:
                moved.assign(equation)
        return moved, direction
