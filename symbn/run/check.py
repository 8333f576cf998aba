"""The check: a run's outputs against the equations, element by element, in units that mean something.

An error is measured in scaled ulps: |computed - reference| in units of the last place, in the output's
dtype, of the element's natural scale (symbn.run.tracked). The limit follows from the equations: half a
unit for the last rounding, plus what rounding can have done before it. For float32 data that is far below
0.01 in all but pathological cases, and the limit is 0.51.

What is compared is accepted in three steps, each for what the one before leaves: what equals the reference's value,
rounded (symbn.run.quick); what a bound explains that takes what has been reduced as it is (symbn.run.bounds, at single
elements); what the whole bound explains, for whole features. Only the last refuses anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symbn.emit.interface import Interface
from symbn.run import settings
from symbn.run.bounds import Derived, at_places
from symbn.run.evaluation import Evaluation, Places, Table
from symbn.run.graph import Reduction, View, record
from symbn.run.parts import Group, drawn, expected_lots, groups, parts, pieces
from symbn.run.passes import Output
from symbn.run.quick import Program
from symbn.run.rounding import Arithmetic
from symbn.run.space import EVERYTHING, Part, Space
from symbn.run.tracked import Tracked
from symbn.run.workers import Workers, quietly

#: the limit for outputs of narrower dtype than the arithmetic, in scaled ulps
NARROW_LIMIT = 0.51
#: so many elements are looked at again at once
_AT_ONCE = 1 << 14
_WORST = 5

Array = Any
#: some outputs, and the features of them that are compared
Chosen = tuple[Group, Part]


@dataclass(frozen=True)
class Placed:
    """An array and which index each of its axes belongs to."""

    array: Array
    axes: tuple[str, ...]
    #: an output as the caller knows it: an axis there may be split here, where two indices share it
    result: Array | None = None


@dataclass(frozen=True)
class Place:
    """One element that was compared."""

    index: tuple[int, ...]
    computed: float
    expected: float
    error: float
    limit: float

    @property
    def ratio(self) -> float:
        return self.error / self.limit


@dataclass(frozen=True)
class OutputReport:
    """What the comparison of one output found; errors and limits in scaled ulps of its dtype."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    compared: int
    failed: int
    #: elements of which rounding leaves nothing certain (a division by what may be zero): not compared
    uncertain: int
    #: the worst elements, worst first: by error over limit
    worst: tuple[Place, ...]

    @property
    def passed(self) -> bool:
        return self.failed == 0


@dataclass(frozen=True)
class Report:
    """The comparison of one run."""

    operator: str
    outputs: tuple[OutputReport, ...]

    @property
    def passed(self) -> bool:
        return all(output.passed for output in self.outputs)

    def __str__(self) -> str:
        wrong = [output for output in self.outputs if not output.passed]
        if not wrong:
            return f"{self.operator}: every output agrees with its equations"
        lines = [f"{self.operator}: the kernel's result differs from its equations"]
        for output in wrong:
            lines.append(
                f"  {output.name}: {output.failed} of {output.compared} elements compared are over the limit "
                f"({output.dtype}, shape {output.shape}, strides {output.strides} bytes)"
            )
            if output.uncertain:
                lines.append(f"    of {output.uncertain} of them rounding leaves nothing certain")
            for place in output.worst:
                where = ", ".join(map(str, place.index))
                lines.append(
                    f"    [{where}]: computed {place.computed:.17g}, expected {place.expected:.17g}, "
                    f"error {place.error:.4g} scaled ulp, limit {place.limit:.4g}"
                )
        good = [output.name for output in self.outputs if output.passed]
        if good:
            lines.append(f"  within the limit: {', '.join(good)}")
        return "\n".join(lines)


@dataclass
class _Tally:
    """What has been found of an output."""

    compared: int = 0
    failed: int = 0
    uncertain: int = 0
    worst: list[Place] = field(default_factory=list)


class Comparison:
    """A run's outputs against the equations.

    ``arrays`` has the inputs and the outputs; ``names`` are what the caller calls the outputs. It may be
    made before the run.
    """

    def __init__(
        self,
        interface: Interface,
        reference: Callable[..., tuple[Any, ...]],
        arrays: Mapping[str, Placed],
        scalars: Mapping[str, float],
        names: Mapping[str, str],
    ) -> None:
        self.interface = interface
        self.arrays = arrays
        self.names = names
        self.narrow = interface.dtype == "float32"
        self.arithmetic = Arithmetic(compensated=not self.narrow)
        #: the indices in the reference's order
        self.order = (
            *(index for index, _ in interface.extents if index not in interface.reduced),
            *(index for index, _ in interface.extents if index in interface.reduced),
        )
        written = {one.name: tuple(map(self.order.index, one.indices)) for one in interface.arrays}
        self.space = Space(
            {name: (one.array, [self.order.index(index) for index in one.axes]) for name, one in arrays.items()},
            written,
            self._sizes(),
        )
        shapes = {name: tuple(map(self.space.extent, axes)) for name, axes in written.items()}
        inputs = tuple((name, shapes.get(name)) for name in interface.inputs)
        with np.errstate(all="ignore"):
            graph = record(reference, inputs, tuple(scalars.items()), len(self.order))
        outputs = [
            Output(name, frozenset(written[name]), node)
            for name, node in zip(interface.outputs, graph.outputs, strict=True)
        ]
        self.groups = groups(outputs, self.space)
        self.tally = {name: _Tally() for name in interface.outputs}

    def _sizes(self) -> list[list[int]]:
        """The lengths of the caller's axes of each index."""
        sizes: dict[str, list[int]] = {index: [] for index in self.order}
        extents = dict(self.interface.extents)
        for one in self.arrays.values():
            for index in dict.fromkeys(one.axes):
                sizes[index] = [size for size, own in zip(one.array.shape, one.axes, strict=True) if own == index]
        # An index that no array has shares its extent with one that some array has, or the extent is fixed.
        fixed = dict(self.interface.fixed)
        present = {index for one in self.arrays.values() for index in one.axes}
        for index in self.order:
            if index not in present:
                alike = [other for other in self.order if other in present and extents[other] == extents[index]]
                sizes[index] = sizes[alike[0]] if alike else [fixed[index]] if index in fixed else []
        return [sizes[index] for index in self.order]

    # ---- what is compared ------------------------------------------------------------------------

    def everything(self) -> list[Chosen]:
        """All parts."""
        return [(group, part) for group in self.groups for part in parts(group, self.space)]

    def expected_lots(self) -> list[float]:
        """How many lots of each group a sample has in the mean: it follows from the arrays' shapes and strides."""
        return [expected_lots(group, self.space) for group in self.groups]

    def sample(self, lots: Sequence[int]) -> list[Chosen]:
        """Parts drawn at random: so many lots of each group."""
        pairs = zip(self.groups, lots, strict=True)
        return [(group, part) for group, number in pairs for part in drawn(group, self.space, number)]

    def forget(self, chosen: Sequence[Chosen]) -> None:
        """Fill what is to be compared with NaN: what is not written must not pass for the result of an earlier run."""
        for group, part in chosen:
            for output in group.outputs:
                self.space.fill(output.name, part, np.nan)

    def compare(self, chosen: Sequence[Chosen]) -> Report:
        """Compare parts of the outputs with what they should be.

        What equals the expected value, rounded, is right; limits are derived for the rest only.
        """
        common = {group: self._common(group) for group, _ in chosen}
        for group, part in self._differing(chosen, common):
            self._derive(group, part)
        return self.report()

    def measure(self) -> Report:
        """Compare everything, and find the error and limit of each element, even where all is right."""
        for group, part in self.everything():
            self._count(group, part)
            self._derive(group, part)
        return self.report()

    def report(self) -> Report:
        """What has been found so far."""
        outputs = []
        for name in self.interface.outputs:
            array, tally = self.shown(name), self.tally[name]
            outputs.append(
                OutputReport(
                    self.names.get(name, name),
                    str(array.dtype),
                    array.shape,
                    array.strides,
                    tally.compared,
                    tally.failed,
                    tally.uncertain,
                    tuple(tally.worst),
                )
            )
        return Report(self.interface.function, tuple(outputs))

    # ---- what is right at first sight ------------------------------------------------------------

    def _common(self, group: Group) -> dict[Any, Table]:
        """The results of the reductions that all parts of a group share."""
        tables: dict[Any, Table] = {}
        shared = [] if group.feature is None else [one for one in group.reductions() if group.feature not in one.axes]
        if shared:
            wide = self.arithmetic.wide
            with quietly(), self._workers() as workers:
                Program(self.space, EVERYTHING, (), shared, wide).run(EVERYTHING, tables, workers, _ignore)
        return tables

    def _workers(self) -> Workers:
        return Workers(settings.get_num_threads(), self.arithmetic.wide)

    def _program(self, group: Group, part: Part, common: Mapping[Any, Table]) -> Program:
        own = [one for one in group.reductions() if one not in common]
        return Program(self.space, part, group.outputs, own, self.arithmetic.wide, self._magnitudes(group))

    def _differing(self, chosen: Sequence[Chosen], common: Mapping[Group, dict[Any, Table]]) -> list[Chosen]:
        """Of each part what is left to derive limits for: outputs, and their features."""
        left = []
        first = dict(reversed(chosen))
        programs = {group: self._program(group, part, common[group]) for group, part in first.items()}
        with quietly(), self._workers() as workers:
            for group, part in chosen:
                found: dict[Output, list[Array]] = {}

                def differ(output: Output, places: Places, of: Evaluation, found: Any = found) -> None:
                    rest = self._unsettled(output, of, places)
                    if rest.size:
                        found.setdefault(output, []).append(rest)

                programs[group].run(part, dict(common[group]), workers, differ)
                self._count(group, part)
                for output, features in found.items():
                    rest = part
                    if part.feature is not None:
                        rest = Part(part.feature, part.positions[np.unique(np.concatenate(features))])
                    left.append((Group((output,), part.feature), rest))
        return left

    def _magnitudes(self, group: Group) -> frozenset[Reduction]:
        """The sums that are outputs in the accumulator's precision: of their bounds more has to be known."""
        return frozenset(
            output.node.source
            for output in group.outputs
            if isinstance(output.node, View)
            and isinstance(output.node.source, Reduction)
            and self.arrays[output.name].array.dtype == np.float64
            and output.node.source.function in (np.sum, np.mean)
        )

    def _unsettled(self, output: Output, evaluation: Evaluation, places: Places) -> Array:
        """Of elements that are not the rounded value those that a bound does not explain that is none too large.

        The answer is their places along the feature.
        """
        array = evaluation.output(output.name)
        count = len(next(iter(places.values()), ()))
        left = []
        for start in range(0, count, _AT_ONCE):
            here = {axis: one[start : start + _AT_ONCE] for axis, one in places.items()}
            computed = array[tuple(here.values())]
            expected = at_places(output.node, evaluation, here, self.arithmetic)
            verdict = judged(computed, expected, self.narrow)
            settled = (verdict.error <= verdict.limit) & np.isfinite(verdict.limit)
            number = next((axis for axis in here if axis[0] == evaluation.part.feature), None)
            left.append((np.zeros(len(computed), int) if number is None else here[number])[~settled])
        return np.concatenate(left)

    def _count(self, group: Group, part: Part) -> None:
        for output in group.outputs:
            size = self.space.output(output.name, part, list(self.space.axes(part, output.axes))).size
            self.tally[output.name].compared += size

    # ---- derived limits --------------------------------------------------------------------------

    def _derive(self, group: Group, part: Part) -> None:
        """Compare a part with values, scales and bounds of all its elements, some features at a time."""
        for piece in pieces(group, self.space, part):
            derived = Derived(self.space, piece, self.arithmetic)
            for output in group.outputs:
                with quietly():
                    self._output(output, derived)

    def _output(self, output: Output, derived: Derived) -> None:
        computed = derived.array(output.name)
        if computed.size == 0:
            return
        verdict = judged(computed, derived.value(output.node), self.narrow)
        error, limit = verdict.error, np.broadcast_to(verdict.limit, computed.shape)
        certain = np.isfinite(limit)
        tally = self.tally[output.name]
        tally.failed += int(np.count_nonzero(~(error <= limit)))
        tally.uncertain += int(np.count_nonzero(~certain))
        ratio = np.where(np.isinf(error) & certain, np.inf, np.where(certain, error / limit, 0.0)).ravel()
        for flat in np.argpartition(ratio, max(ratio.size - _WORST, 0))[-_WORST:]:
            at = np.unravel_index(int(flat), computed.shape)
            values = float(computed[at]), float(verdict.expected[at]), float(error[at]), float(limit[at])
            tally.worst.append(Place(self.original(output.name, at, derived.part), *values))
        tally.worst = sorted(tally.worst, key=lambda place: -place.ratio)[:_WORST]

    def original(self, name: str, at: Sequence[Any], part: Part) -> tuple[int, ...]:
        """The index in the caller's array of an element of the part, which is given on the reference's axes."""
        placed = self.arrays[name]
        result = [0] * placed.array.ndim
        for number, (index, position) in enumerate(zip(self.order, at, strict=True)):
            axes = [axis for axis, one in enumerate(placed.axes) if one == index]
            if not axes:
                continue
            flat = int(part.positions[position]) if number == part.feature else int(position)
            places = np.unravel_index(flat, [placed.array.shape[axis] for axis in axes])
            for axis, place in zip(axes, places, strict=True):
                result[axis] = int(place)
        # An axis that is split is one of the caller's with its elements in the same order.
        if not result:
            return ()
        place = np.ravel_multi_index(result, placed.array.shape)
        return tuple(map(int, np.unravel_index(place, self.shown(name).shape)))

    def shown(self, name: str) -> Array:
        """An output as the caller knows it."""
        placed = self.arrays[name]
        return placed.array if placed.result is None else placed.result


def _ignore(output: Output, places: Places, of: Evaluation) -> None:
    """Nothing is compared."""


@dataclass(frozen=True)
class _Verdict:
    """Errors and limits of some elements, in scaled ulps."""

    expected: Array
    error: Array
    limit: Array


def judged(computed: Array, expected: Tracked, narrow: bool) -> _Verdict:
    """How far some elements are off, and may be; ``narrow``: is the arithmetic wider than float32 data?"""
    target = np.broadcast_to(expected.value, computed.shape)
    ulp = ulp_of(np.broadcast_to(expected.scale, computed.shape), computed.dtype)
    error = np.abs(computed.astype(target.dtype, copy=False) - target) / ulp
    narrow = narrow and computed.dtype == np.float32
    if narrow and np.all(error <= NARROW_LIMIT):
        # All there is to say of nearly every element: nothing has to be derived.
        return _Verdict(target, error, np.full((), NARROW_LIMIT))
    # What has no finite expectation must be met as it is.
    rounded = target.astype(computed.dtype)
    plain = np.isfinite(rounded) & np.isfinite(computed)
    same = (rounded == computed) | (np.isnan(rounded) & np.isnan(computed))
    error = np.where(plain, error, np.where(same, 0.0, np.inf)).astype(np.float64)
    limit = (0.5 + expected.held_error / ulp).astype(np.float64)
    limit = np.where(np.isnan(limit), 0.5, limit)
    return _Verdict(target, error, np.maximum(limit, NARROW_LIMIT) if narrow else limit)


def ulp_of(scale: Array, dtype: Any) -> Array:
    """The distance between neighbouring numbers of the dtype in the binade of the scale, as float64."""
    info = np.finfo(dtype)
    bounded = np.fmin(scale, info.max).astype(np.float64)
    binade = (bounded.view(np.int64) & 0x7FF0000000000000).view(np.float64)
    return np.maximum(binade * 2.0**-info.nmant, float(info.smallest_subnormal))
