"""A formula against an operator, up to algebra: both in exact arithmetic, at several small extents.

The operator's inputs are drawn, and everything that it computes from them is known. A formula is evaluated on its
own with the operator's values for all that it reads, so that what differs is that formula and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product
from typing import Any

from sympy import Eq

from symbn.derivation.exact import Evaluator, Number, OutsideDomainError, Place, Values, close
from symbn.derivation.expressions import name_of, reads
from symbn.derivation.program import Program
from symbn.derivation.proof import Proof
from symbn.equations.operator import Operator
from symbn.equations.order import in_order
from symbn.errors import DerivationError
from symbn.parse.expressions import Definition


class Incomparable(Exception):
    """A formula reads or is something of which the operator has no value; the message says what."""


@dataclass(frozen=True)
class Difference:
    """A place at which a formula and the operator have different values."""

    place: Place
    value: Fraction
    expected: Fraction

    def __str__(self) -> str:
        at = f"[{', '.join(str(one + 1) for one in self.place)}]" if self.place else ""
        return f"differs: {_number(self.value)} here, {_number(self.expected)} there, at {at or 'some inputs'}"


@dataclass(frozen=True)
class OtherShape:
    """A formula whose arrays have other shapes than the operator's; and the one that has another rank, if one has."""

    name: str = ""
    here: int = 0
    there: int = 0

    def __str__(self) -> str:
        ranks = f": '{self.name}' has {self.here} indices here, {self.there} there" if self.name else ""
        return f"has another shape{ranks}"


def _number(value: Fraction) -> str:
    return str(value) if len(str(value)) <= 12 else f"{float(value):.6g}"


class Comparison:
    """Samples of an operator's inputs with all that it computes, to hold formulas against.

    Parameters
    ----------
    operator
    definitions
        What a page defines besides: names that the operator does not know are followed through them.
    order
        The order in which the page writes the operator's indices; default: the operator's own.
    """

    def __init__(
        self, operator: Operator, definitions: Mapping[str, Definition] | None = None, order: Iterable[str] = ()
    ) -> None:
        self.operator = operator
        self.definitions = definitions or {}
        self.program = Program(operator)
        try:
            self.samples = Proof(self.program, ()).samples
        except DerivationError as error:
            raise Incomparable(str(error)) from None
        self.order = tuple(order) or tuple(operator.indices)

    def difference(self, left: Any, value: Any) -> Difference | OtherShape | None:
        """Where ``left = value`` is not what the operator has for that name; None where it is, everywhere.

        Raises
        ------
        Incomparable
            Where the formula cannot be evaluated with what the operator knows.
        """
        single = self._operator(left, value)
        program = Program(single)
        dropped = self._dropped(single, name_of(left))
        compared = False
        for sample in self.samples:
            for values in self._views(sample, dropped):
                try:
                    found = self._evaluate(single, program, values, sample)
                except OutsideDomainError:
                    continue
                if isinstance(found, OtherShape):
                    return found
                known = values[name_of(left)]
                ranks = len(next(iter(found))), len(next(iter(known)))
                if ranks[0] != ranks[1]:
                    return OtherShape(name_of(left), *ranks)
                if found.keys() != known.keys():
                    return OtherShape()
                compared = True
                for place, one in found.items():
                    other = known[place]
                    if not close(one.value, other.value, one.noise + other.noise):
                        return Difference(place, one.value, other.value)
        if not compared:
            raise Incomparable("is a real number at none of the inputs that were tried")
        return None

    # ---- the formula as an operator of its own -----------------------------------------------------

    def followed(self, left: Any, value: Any) -> list[str]:
        """The names of the page through which a formula is compared, as the operator does not know them."""
        return [name for name in self._needed(left, value) if name != name_of(left)]

    def _needed(self, left: Any, value: Any) -> dict[str, Eq]:
        """The formula, and what it needs of the page."""
        needed: dict[str, Eq] = {name_of(left): Eq(left, value, evaluate=False)}
        waiting = [*reads(value)]
        while waiting:
            name = waiting.pop()
            if name in needed or name in self.samples[0].values or name in self._extents:
                continue
            if name in self.definitions:
                needed[name] = self.definitions[name].equation
                waiting += reads(needed[name].rhs)
        return needed

    def _operator(self, left: Any, value: Any) -> Operator:
        """The formula with what it needs of the page, over inputs that the operator knows."""
        needed = self._needed(left, value).values()
        try:
            equations = in_order(needed, lambda eq: name_of(eq.lhs), lambda eq: set(reads(eq.rhs)))
            single = Operator("formula", equations, [name_of(left)])
        except ValueError as error:
            raise Incomparable(str(error)) from None
        extents = set(single.indices.values())
        for name in single.inputs:
            if name not in self.samples[0].values and name not in self._extents | extents:
                raise Incomparable(f"it reads '{name}', which neither the page defines nor the operator knows")
        return single

    @property
    def _extents(self) -> set[str]:
        return {str(extent) for extent in self.program.extents}

    # ---- values --------------------------------------------------------------------------------------

    def _dropped(self, single: Operator, left: str) -> tuple[str, ...]:
        """The features that the page leaves out: it writes x_i for x[i, k] where it speaks of one feature."""
        shapes = {name: len(axes) for name, axes in single.arrays.items() if name in self.samples[0].values}
        shapes |= {name: 0 for name in single.scalars if name in self.samples[0].values}
        shapes[left] = len(single.arrays[left])
        features = self.operator.features
        for count in range(len(features) + 1):
            for dropped in combinations(features, count):
                if all(len(self._kept(name, dropped)) == rank for name, rank in shapes.items()):
                    return dropped
        return ()

    def _kept(self, name: str, dropped: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(index for index in self.program.written(name) if index not in dropped)

    def _views(self, sample: Evaluator, dropped: tuple[str, ...]) -> Iterator[Values]:
        """The sample's values as the page sees them: for each feature that it leaves out, with its order of axes."""
        sizes = [sample.size(self.program.index(index)) for index in dropped]
        for chosen in product(*map(range, sizes)):
            at = dict(zip(dropped, chosen, strict=True))
            yield {name: self._seen(name, places, at) for name, places in sample.values.items()}

    def _seen(self, name: str, places: dict[Place, Any], at: Mapping[str, int]) -> dict[Place, Any]:
        written = self.program.written(name)
        kept = sorted((index for index in written if index not in at), key=self.order.index)
        axes = [written.index(index) for index in kept]
        return {
            tuple(place[axis] for axis in axes): value
            for place, value in places.items()
            if all(place[written.index(index)] == fixed for index, fixed in at.items() if index in written)
        }

    def _evaluate(
        self, single: Operator, program: Program, values: Values, sample: Evaluator
    ) -> dict[Place, Number] | OtherShape:
        """The formula's value at each place, if the arrays have the shapes that it takes."""
        extents: dict[Any, int] = {}
        given: Values = {}
        for name in single.inputs:
            if name not in values:
                size = {str(one): size for one, size in sample.extents.items()}[name]
                given[name] = {(): Number(Fraction(size))}
                continue
            given[name] = values[name]
            shape = tuple(max(one) + 1 for one in zip(*values[name], strict=True))
            axes = [program.extent(index) for index in single.written.get(name, ())]
            if len(shape) != len(axes):
                return OtherShape(name, len(axes), len(shape))
            for extent, size in zip(axes, shape, strict=True):
                if (size if extent.is_Integer else extents.setdefault(extent, size)) != (
                    int(extent) if extent.is_Integer else size
                ):
                    return OtherShape()
        evaluator = Evaluator(program, extents, given)
        for assignment in program.assignments:
            evaluator.assign(assignment)
        return evaluator.values[single.outputs[0]]
