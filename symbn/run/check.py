"""The check: a run's outputs against the equations, element by element, in units that mean something.

An error is measured in scaled ulps: |computed - reference| in units of the last place, in the output's
dtype, of the element's natural scale (symbn.run.tracked). The limit follows from the equations: half a
unit for the last rounding, plus what rounding can have done before it. For float32 data that is far below
0.01 in all but pathological cases, and the limit is 0.51.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symbn.emit.interface import ArrayArgument, Interface
from symbn.run.rounding import Arithmetic
from symbn.run.tracked import Tracked

#: the limit for outputs of narrower dtype than the arithmetic, in scaled ulps
NARROW_LIMIT = 0.51
#: elements of one block: what a second-level cache holds of the reference's temporaries
BLOCK_ELEMENTS = 1 << 16
#: "sample" compares one feature in so many
SAMPLE_ONE_IN = 32
_WORST = 5

# Not the module's functions: a program's random.seed must not make every run check the same features.
_random = random.Random()

Array = Any


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


def compare(
    interface: Interface,
    reference: Callable[..., tuple[Any, ...]],
    arrays: Mapping[str, Placed],
    scalars: Mapping[str, float],
    mode: str,
    names: Mapping[str, str],
) -> Report:
    """Compare outputs with the reference.

    ``arrays`` has the inputs and the outputs; ``mode`` is "full" or "sample"; ``names`` are what the caller
    calls the outputs.
    """
    comparison = _Comparison(interface, reference, arrays, scalars, names)
    with np.errstate(all="ignore"):
        for picks in comparison.blocks(mode):
            comparison.block(picks)
    return comparison.report()


class _Comparison:
    def __init__(
        self,
        interface: Interface,
        reference: Callable[..., tuple[Any, ...]],
        arrays: Mapping[str, Placed],
        scalars: Mapping[str, float],
        names: Mapping[str, str],
    ) -> None:
        self.interface = interface
        self.reference = reference
        self.arrays = arrays
        self.scalars = scalars
        self.names = names
        self.narrow = interface.dtype == "float32"
        self.arithmetic = Arithmetic(compensated=not self.narrow)
        self.arguments = {argument.name: argument for argument in interface.arrays}
        self.order = (
            *(index for index, _ in interface.extents if index not in interface.reduced),
            *(index for index, _ in interface.extents if index in interface.reduced),
        )
        self.feature = self._feature()
        #: output -> elements compared, failed, uncertain
        self.tally = {name: [0, 0, 0] for name in interface.outputs}
        self.worst: dict[str, list[Place]] = {name: [] for name in interface.outputs}

    def _feature(self) -> str | None:
        """The index whose elements can be compared one by one: independent, and in each output."""
        for index, _ in self.interface.extents:
            in_outputs = all(index in self.arrays[name].axes for name in self.interface.outputs)
            if index in self.interface.features and in_outputs:
                return index
        return None

    # ---- which elements --------------------------------------------------------------------------

    def blocks(self, mode: str) -> Iterator[Array | None]:
        """Positions along the feature index, a block at a time; None for everything at once."""
        if self.feature is None:
            yield None
            return
        placed = self.arrays[self.interface.outputs[0]]
        sizes = [size for size, one in zip(placed.array.shape, placed.axes, strict=True) if one == self.feature]
        count = math.prod(sizes)
        largest = max(one.array.size for one in self.arrays.values())
        if mode == "sample":
            picks = sorted(_random.sample(range(count), math.ceil(count / SAMPLE_ONE_IN)))
        else:
            picks = list(range(count))
        step = max(1, BLOCK_ELEMENTS * count // max(largest, 1))
        for start in range(0, len(picks), step):
            part = picks[start : start + step]
            yield slice(part[0], part[-1] + 1) if part[-1] - part[0] == len(part) - 1 else np.array(part)

    def own(self, argument: ArrayArgument) -> list[str]:
        """An array's indices in the reference's order."""
        return [index for index in self.order if index in argument.indices]

    def natural(self, argument: ArrayArgument, picks: Array | None) -> Array:
        """The array with one axis for each index, in the reference's order; a view where it can be."""
        placed = self.arrays[argument.name]
        array = placed.array
        axes = {index: [axis for axis, one in enumerate(placed.axes) if one == index] for index in self.own(argument)}
        moved = array.transpose([axis for group in axes.values() for axis in group])
        key: list[Any] = []
        shape = []
        for index, group in axes.items():
            sizes = [array.shape[axis] for axis in group]
            if picks is not None and index == self.feature:
                key += _picked(picks, sizes)
                shape.append(picks.stop - picks.start if isinstance(picks, slice) else len(picks))
            else:
                key += [slice(None)] * len(sizes)
                shape.append(math.prod(sizes))
        return moved[tuple(key)].reshape(shape)

    def sizes(self, argument: ArrayArgument) -> list[list[int]]:
        """The lengths of the axes of each of the array's indices, as written."""
        placed = self.arrays[argument.name]
        return [
            [size for size, one in zip(placed.array.shape, placed.axes, strict=True) if one == index]
            for index in argument.indices
        ]

    # ---- comparing -------------------------------------------------------------------------------

    def block(self, picks: Array | None) -> None:
        values: dict[str, Any] = {}
        for argument in self.interface.arrays:
            if argument.role == "input":
                own = self.own(argument)
                array = np.ascontiguousarray(self.natural(argument, picks), dtype=self.arithmetic.wide)
                written = array.transpose([own.index(index) for index in argument.indices])
                # A block of features is a part of the array; its extents are those of the whole.
                full = [math.prod(sizes) for sizes in self.sizes(argument)]
                values[argument.name] = Tracked(written, self.arithmetic, shape=tuple(full))
        for name, value in self.scalars.items():
            values[name] = Tracked(np.asarray(value, np.longdouble), self.arithmetic)
        expected = self.reference(*(values[name] for name in self.interface.inputs))
        for name, value in zip(self.interface.outputs, expected, strict=True):
            one = value if isinstance(value, Tracked) else Tracked(np.asarray(value, np.longdouble), self.arithmetic)
            self.output(name, self.natural(self.arguments[name], picks), one, picks)

    def output(self, name: str, computed: Array, expected: Tracked, picks: Array | None) -> None:
        if computed.size == 0:
            return
        spread = [self.order.index(index) for index in self.own(self.arguments[name])]
        shape = [1] * len(self.order)
        for axis, extent in zip(spread, computed.shape, strict=True):
            shape[axis] = extent
        computed = computed.reshape(shape)
        target = np.broadcast_to(expected.value, shape)
        ulp = ulp_of(np.broadcast_to(expected.scale, shape), computed.dtype)
        error = np.abs(computed.astype(target.dtype, copy=False) - target) / ulp
        self.tally[name][0] += computed.size
        narrow = self.narrow and computed.dtype == np.float32
        if narrow and np.all(error <= NARROW_LIMIT):
            # All there is to say of nearly every block: nothing has to be derived.
            worst = np.array([np.argmax(error)])
            self.note(name, worst, computed, target, error, np.full((), NARROW_LIMIT), picks)
            return
        # What has no finite expectation must be met as it is.
        rounded = target.astype(computed.dtype)
        plain = np.isfinite(rounded) & np.isfinite(computed)
        same = (rounded == computed) | (np.isnan(rounded) & np.isnan(computed))
        error = np.where(plain, error, np.where(same, 0.0, np.inf)).astype(np.float64)
        limit = (0.5 + expected.held_error / ulp).astype(np.float64)
        limit = np.where(np.isnan(limit), 0.5, limit)
        limit = np.broadcast_to(np.maximum(limit, NARROW_LIMIT) if narrow else limit, shape)
        certain = np.isfinite(limit)
        self.tally[name][1] += int(np.count_nonzero(~(error <= limit)))
        self.tally[name][2] += int(np.count_nonzero(~certain))
        ratio = np.where(np.isinf(error) & certain, np.inf, np.where(certain, error / limit, 0.0)).ravel()
        worst = np.argpartition(ratio, max(ratio.size - _WORST, 0))[-_WORST:]
        self.note(name, worst, computed, target, error, limit, picks)

    def note(
        self, name: str, flats: Array, computed: Array, target: Array, error: Array, limit: Array, picks: Array | None
    ) -> None:
        """Keep some elements of the block, if they are among the worst."""
        for flat in flats:
            at = np.unravel_index(int(flat), computed.shape)
            here = limit[at] if limit.ndim else limit
            values = float(computed[at]), float(target[at]), float(error[at]), float(here)
            self.worst[name].append(Place(self.original(name, at, picks), *values))
        self.worst[name] = sorted(self.worst[name], key=lambda place: -place.ratio)[:_WORST]

    def original(self, name: str, at: Sequence[Any], picks: Array | None) -> tuple[int, ...]:
        """The index in the caller's array of an element of the block."""
        placed = self.arrays[name]
        result = [0] * placed.array.ndim
        for index, position in zip(self.order, at, strict=True):
            axes = [axis for axis, one in enumerate(placed.axes) if one == index]
            if not axes:
                continue
            flat = int(position)
            if index == self.feature and picks is not None:
                flat = flat + picks.start if isinstance(picks, slice) else int(picks[flat])
            places = np.unravel_index(flat, [placed.array.shape[axis] for axis in axes])
            for axis, place in zip(axes, places, strict=True):
                result[axis] = int(place)
        # An axis that is split is one of the caller's with its elements in the same order.
        if not result:
            return ()
        number = np.ravel_multi_index(result, placed.array.shape)
        return tuple(map(int, np.unravel_index(number, self.shown(name).shape)))

    def shown(self, name: str) -> Array:
        """An output as the caller knows it."""
        placed = self.arrays[name]
        return placed.array if placed.result is None else placed.result

    def report(self) -> Report:
        outputs = []
        for name in self.interface.outputs:
            array = self.shown(name)
            compared, failed, uncertain = self.tally[name]
            outputs.append(
                OutputReport(
                    self.names.get(name, name),
                    str(array.dtype),
                    array.shape,
                    array.strides,
                    compared,
                    failed,
                    uncertain,
                    tuple(self.worst[name]),
                )
            )
        return Report(self.interface.function, tuple(outputs))


def _picked(picks: Array, sizes: Sequence[int]) -> list[Array]:
    """Positions along several axes taken together, as a key for each of them."""
    if len(sizes) == 1:
        return [picks]
    flat = np.arange(picks.start, picks.stop) if isinstance(picks, slice) else picks
    return list(np.unravel_index(flat, sizes))


def ulp_of(scale: Array, dtype: Any) -> Array:
    """The distance between neighbouring numbers of the dtype in the binade of the scale, as float64."""
    info = np.finfo(dtype)
    bounded = np.fmin(scale, info.max).astype(np.float64)
    binade = (bounded.view(np.int64) & 0x7FF0000000000000).view(np.float64)
    return np.maximum(binade * 2.0**-info.nmant, float(info.smallest_subnormal))
