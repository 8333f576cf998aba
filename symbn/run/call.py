"""A call of a kernel: arguments in, outputs out, checked on the way."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from symbn.emit.interface import ArrayArgument, Interface
from symbn.errors import ArgumentError, ArgumentTypeError, CheckError
from symbn.run import arguments, known, settings
from symbn.run import plan as planning
from symbn.run.axes import Axes, Bound

if TYPE_CHECKING:
    from symbn.run.check import Chosen, Comparison, Report

_PLANS = 512

Array = Any


@dataclass(frozen=True)
class Compiled:
    """A C function as cffi sees it, for data of one dtype."""

    interface: Interface
    ffi: Any
    function: Any


@dataclass(frozen=True)
class _Ready:
    """A plan in the form in which a call uses it."""

    plan: planning.Plan
    compiled: Compiled
    layout: Any
    #: for each input: what gives a pointer to its default where that stands for it, else None
    defaults: tuple[Callable[[Array], known.Pointer] | None, ...]
    #: what makes each output that is not given
    makers: tuple[Callable[[], Array], ...]


@dataclass(frozen=True)
class _Run:
    """What has been computed: inputs as the kernel read them, outputs as it wrote them and as the caller knows them."""

    ready: _Ready
    inputs: Sequence[Array | None]
    scalars: Sequence[float]
    outputs: Sequence[Array]
    results: list[Array]
    #: None where nothing is checked
    comparison: Comparison | None
    #: what it compares
    chosen: Sequence[Chosen]


class Call:
    """An operator's compiled functions, one for each dtype, as a function of arrays and numbers.

    Parameters
    ----------
    interfaces
        How each function is called; they differ in dtype alone.
    load
        Gives the function of an interface, when it is first needed.
    reference
        The equations in NumPy, for the check.
    axes
        Which axes of the data an index stands for. None where every array has one axis for each index.
    names
        What the caller calls arguments and outputs, where that is not the equations' name.
    result
        The named tuple of several outputs; None where there is one.
    """

    def __init__(
        self,
        interfaces: Sequence[Interface],
        load: Callable[[Interface], Compiled],
        reference: Callable[..., tuple[Any, ...]],
        axes: Axes | None,
        names: Mapping[str, str],
        result: Any,
    ) -> None:
        first = interfaces[0]
        self._interfaces = {np.dtype(interface.dtype): interface for interface in interfaces}
        self._load = load
        self._reference = reference
        self._axes = axes
        self._names = names
        self._pack = result._make if result is not None else None
        self._inputs = tuple(one for one in first.arrays if one.role == "input")
        self._outputs = tuple(one for one in first.arrays if one.role == "output")
        self._scalars = first.scalars
        places = {one.name: number for role in (self._inputs, self._outputs) for number, one in enumerate(role)}
        #: (number of an output, number of the input without which it is not returned)
        self._optional = tuple((places[output], places[name]) for output, name in first.optional)
        self._compiled: dict[Any, Compiled] = {}
        self._plans: dict[Any, _Ready] = {}
        #: a kind of call -> how much a sample of it has in the mean
        self._lots: dict[Any, Sequence[float]] = {}
        #: (the axes' argument, then for each input and given output None or its signature) -> what such a call does
        self.known: dict[Any, known.Known] = {}

    def __call__(
        self,
        arrays: Sequence[Any],
        scalars: Sequence[Any],
        where: Any = None,
        out: Any = None,
        check: str | None = None,
        axes: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Any:
        """Run the kernel on arrays and numbers in the interface's order; None takes an array's default.

        ``where`` is the value of the argument that the places of indices depend on; ``axes`` gives the index of each
        axis of an array.
        """
        mode = settings.resolve_check(check)
        given = self._given(out)
        run = self._run(arrays, scalars, where, given, mode, axes or {})
        if run.comparison is not None:
            report = run.comparison.compare(run.chosen)
            if not report.passed:
                raise CheckError(report)
        results = run.results
        for number, target in enumerate(given):
            if target is not None:
                if not run.ready.plan.outputs[number].direct:
                    target[...] = results[number]
                results[number] = target
        for number, source in self._optional:
            if arrays[source] is None:
                results[number] = None
        return results[0] if self._pack is None else self._pack(results)

    def report(
        self,
        arrays: Sequence[Any],
        scalars: Sequence[Any],
        where: Any = None,
        axes: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Report:
        """Run the kernel and compare every element with the equations, whatever the verdict."""
        run = self._run(arrays, scalars, where, self._given(None), "full", axes or {})
        assert run.comparison is not None
        return run.comparison.measure()

    def _run(
        self,
        arrays: Sequence[Any],
        scalars: Sequence[Any],
        where: Any,
        given: Sequence[Array | None],
        mode: str,
        axes: Mapping[str, tuple[str, ...]],
    ) -> _Run:
        scalars = [
            arguments.number(value, spec, self._names.get(spec.name, spec.name))
            for value, spec in zip(scalars, self._scalars, strict=True)
        ]
        arrays = [
            None if a is None else arguments.array(a, self._label(one))
            for a, one in zip(arrays, self._inputs, strict=True)
        ]
        for number, source in self._optional:
            if arrays[source] is None and given[number] is not None:
                output, name = self._label(self._outputs[number]), self._label(self._inputs[source])
                raise ArgumentError(f"out: {output} is not returned where {name} is not given; leave its entry None")
        bound, originals = self._bind(arrays, given, where), (*arrays, *given)
        where = None if where is None else operator.index(where)
        signature = [None if a is None else (a.shape, a.strides, a.dtype, a.flags.num) for a in (*arrays, *given)]
        if bound is not None:
            arrays, given = self._split(arrays, given, bound)
        kind = (where, tuple(axes.items()), *signature)
        lots: Sequence[int] | None = None
        if mode == "sample" and kind in self._lots:
            lots = self._drawn(kind)
            mode = mode if any(lots) else "off"
        writable = self._writable(arrays, given, mode)
        key = (writable, *kind)
        ready = self._plans.get(key)
        new = ready is None
        if ready is None:
            ready = self._prepare(key, arrays, given, writable, bound, axes)
        interface = ready.compiled.interface
        inputs = [
            np.array(a, planning.dtype_of(interface, one), order="C") if copy else a
            for one, a, copy in zip(self._inputs, arrays, ready.plan.copies, strict=True)
        ]
        outputs: list[Array] = [
            a if spec.direct else make() for a, spec, make in zip(given, ready.plan.outputs, ready.makers, strict=True)
        ]
        shapes = self._shapes(ready.plan, bound)
        results = [a if a.shape == shape else a.reshape(shape) for a, shape in zip(outputs, shapes, strict=True)]
        comparison: Comparison | None = None
        chosen: Sequence[Chosen] = ()
        if mode != "off":
            comparison = self._comparison(ready, inputs, outputs, results, scalars)
            if mode == "sample" and lots is None:
                self._lots[kind] = comparison.expected_lots()
                lots = self._drawn(kind)
            chosen = comparison.everything() if lots is None else comparison.sample(lots)
            comparison.forget(chosen)
        pointers = [(default or known.pointer_of(a))(a) for default, a in zip(ready.defaults, inputs, strict=True)]
        pointers += [known.pointer_of(a)(a) for a in outputs]
        threads = settings.get_num_threads() if ready.plan.threaded else 1
        if ready.compiled.function(ready.layout, *pointers, *scalars, threads):
            raise no_memory(interface.function)
        for a, result in zip(outputs, results, strict=True):
            if not np.may_share_memory(a, result):  # what is one axis to the caller does not lie in one piece
                result[...] = a.reshape(result.shape)
        if new and not axes:
            self._remember(ready, where, originals, outputs, results)
        return _Run(ready, inputs, scalars, outputs, results, comparison, chosen)

    # ---- the caller's axes -----------------------------------------------------------------------

    def _bind(self, arrays: Sequence[Array | None], given: Sequence[Array | None], where: Any) -> Bound | None:
        """Which axes each index stands for; None where every array has one axis for each."""
        if self._axes is None:
            return None
        first = next(n for n, one in enumerate(self._inputs) if self._axes.is_data(one))
        if arrays[first] is None:
            raise ArgumentError(f"{self._label(self._inputs[first])}: is missing; the operator has no default for it")
        labels = [*map(self._label, self._inputs), *(f"out ({self._label(one)})" for one in self._outputs)]
        return self._axes.bind(
            list(zip((*self._inputs, *self._outputs), (*arrays, *given), labels, strict=True)), where
        )

    def _split(
        self, arrays: Sequence[Array | None], given: Sequence[Array | None], bound: Bound
    ) -> tuple[list[Array | None], list[Array | None]]:
        """Views in which each index has axes of its own."""
        views: list[list[Array | None]] = []
        for of, some in ((self._inputs, arrays), (self._outputs, given)):
            views.append(
                [
                    bound.split(a, one) if a is not None and a.ndim == len(bound.places(one)) else a
                    for a, one in zip(some, of, strict=True)
                ]
            )
        return views[0], views[1]

    def _shapes(self, plan: planning.Plan, bound: Bound | None) -> list[tuple[int, ...]]:
        """The shapes of the outputs, as the caller knows them."""
        if bound is None:
            return [spec.shape for spec in plan.outputs]
        return [bound.merged(spec.shape, one) for spec, one in zip(plan.outputs, self._outputs, strict=True)]

    def _label(self, argument: ArrayArgument) -> str:
        return self._names.get(argument.name, argument.name)

    # ---- plans -----------------------------------------------------------------------------------

    def _prepare(
        self,
        key: Any,
        arrays: Sequence[Array | None],
        given: Sequence[Array | None],
        writable: tuple[bool, ...],
        bound: Bound | None,
        axes: Mapping[str, tuple[str, ...]],
    ) -> _Ready:
        compiled = self._for(arrays)
        interface, ffi = compiled.interface, compiled.ffi
        indices = dict(axes)
        if self._axes is not None and bound is not None:
            indices = {one.name: bound.indices for one in self._inputs if self._axes.is_data(one)}
        plan = planning.make(interface, arrays, given, writable, indices, self._names)
        values = dict(interface.defaults)
        defaults = []
        for one, a in zip(self._inputs, arrays, strict=True):
            if a is None and one.name not in values:
                raise ArgumentError(f"{self._label(one)}: is missing; the operator has no default for it")
            dtype = planning.dtype_of(interface, one)
            defaults.append(known.pointer_to(values[one.name], dtype) if a is None else None)
        ready = _Ready(
            plan,
            compiled,
            ffi.new(f"{interface.function}_layout *", dict(plan.fields)),
            tuple(defaults),
            tuple(planning.maker(spec.shape, spec.dtype, spec.order) for spec in plan.outputs),
        )
        if len(self._plans) >= _PLANS:
            self._plans.clear()
            self._lots.clear()
        self._plans[key] = ready
        return ready

    def _remember(
        self,
        ready: _Ready,
        where: Any,
        arrays: Sequence[Array | None],
        outputs: Sequence[Array],
        results: Sequence[Array],
    ) -> None:
        """Let a call with inputs and given outputs like these take the short way next time."""
        plan, interface = ready.plan, ready.compiled.interface
        count = len(self._inputs)
        given = [number for number, a in enumerate(arrays[count:], count) if a is not None]
        unlike = any(
            not spec.direct if number in given else not np.may_share_memory(a, result)
            for number, (spec, a, result) in enumerate(zip(plan.outputs, outputs, results, strict=True), count)
        )
        # A copy's place says nothing of overlap.
        if unlike or (given and any(plan.copies)):
            return
        pointers = [
            default or (known.pointer_of_copy(planning.dtype_of(interface, one)) if copy else known.pointer_of(a))
            for one, a, copy, default in zip(self._inputs, arrays, plan.copies, ready.defaults, strict=False)
        ]
        places = {one.name: number for number, one in enumerate((*self._inputs, *self._outputs))}
        aliases = [(places[source], places[output]) for source, output in interface.aliases]
        if len(self.known) >= _PLANS:
            self.known.clear()
        key = (where, *[None if a is None else known.signature(a) for a in arrays])
        self.known[key] = known.Known(
            ready.compiled.function,
            ready.layout,
            plan.threaded,
            (*pointers, *map(known.pointer_of, results)),
            tuple(planning.maker(a.shape, a.dtype, planning.memory_order(a)) for a in results),
            tuple(known.pairs(arrays, given, aliases)),
        )

    def _for(self, arrays: Sequence[Array | None]) -> Compiled:
        """The function for the dtype of the first array: the data's, unless that one is a statistic."""
        if not self._inputs:
            (interface,) = self._interfaces.values()
            return self._load(interface)
        number = next((n for n, one in enumerate(self._inputs) if not one.wide), 0)
        first, label = arrays[number], self._label(self._inputs[number])
        if first is None:
            raise ArgumentError(f"{label}: is missing; the operator has no default for it")
        dtype = first.dtype.newbyteorder("=")
        if dtype not in self._interfaces:
            expected = " or ".join(one.name for one in self._interfaces)
            raise ArgumentTypeError(
                f"{label}: has dtype {first.dtype}, expected {expected}; cast it with {label}.astype('float32')"
            )
        if dtype not in self._compiled:
            self._compiled[dtype] = self._load(self._interfaces[dtype])
        return self._compiled[dtype]

    # ---- outputs that the caller gives -----------------------------------------------------------

    def _given(self, out: Any) -> tuple[Array | None, ...]:
        """``out`` as one entry for each output: an array stands for the first."""
        given = tuple(out) if isinstance(out, tuple | list) else (out, *[None] * (len(self._outputs) - 1))
        if len(given) != len(self._outputs):
            expected = ", ".join(map(self._label, self._outputs))
            raise ArgumentError(f"out: has {len(given)} entries, expected an array or None for each of {expected}")
        for a in given:
            if a is not None and type(a) is not np.ndarray:
                raise ArgumentTypeError(f"out: holds a {type(a).__name__}, expected a numpy.ndarray")
        return given

    def _writable(self, inputs: Sequence[Array | None], given: Sequence[Array | None], mode: str) -> tuple[bool, ...]:
        """Which of the given outputs the kernel may write while it reads its inputs.

        None while a check can still refuse the result; an input's own memory only where the kernel reads
        each of its elements before it writes there.
        """
        result = []
        aliases = next(iter(self._interfaces.values())).aliases
        for number, (one, a) in enumerate(zip(self._outputs, given, strict=True)):
            may = a is not None and mode == "off"
            for argument, source in zip(self._inputs, inputs, strict=True):
                if a is None or source is None or not np.may_share_memory(a, source):
                    continue
                if _same_memory(a, source):
                    may = may and (argument.name, one.name) in aliases
                elif np.shares_memory(a, source):
                    name = self._label(argument)
                    raise ArgumentError(
                        f"out: overlaps {name} in part; give {name} itself, or an array that shares no memory with it"
                    )
            for other in given[:number]:
                if a is not None and other is not None and np.may_share_memory(a, other) and np.shares_memory(a, other):
                    raise ArgumentError("out: two of its arrays share memory; give each output its own")
            result.append(may)
        return tuple(result)

    # ---- the check -------------------------------------------------------------------------------

    def _drawn(self, kind: Any) -> Sequence[int]:
        """How much of each part of a kind of call is compared this time."""
        from symbn.run import parts

        return parts.drawn_lots(self._lots[kind])

    def _comparison(
        self,
        ready: _Ready,
        inputs: Sequence[Array | None],
        outputs: Sequence[Array],
        results: Sequence[Array],
        scalars: Sequence[float],
    ) -> Comparison:
        from symbn.run import check

        interface, plan = ready.compiled.interface, ready.plan
        values = dict(interface.defaults)
        placed = {}
        for one, a in zip(self._inputs, inputs, strict=True):
            if a is None:
                placed[one.name] = check.Placed(np.array(values[one.name], planning.dtype_of(interface, one)), ())
            else:
                placed[one.name] = check.Placed(a, plan.axes[one.name])
        for one, a, result in zip(self._outputs, outputs, results, strict=True):
            placed[one.name] = check.Placed(a, plan.axes[one.name], result)
        named = dict(zip((scalar.name for scalar in self._scalars), scalars, strict=True))
        return check.Comparison(interface, self._reference, placed, named, self._names)


def no_memory(function: str) -> MemoryError:
    """What is raised where a kernel found no memory for its workspaces."""
    return MemoryError(f"{function}: there is no memory for its workspaces")


def _same_memory(a: Array, b: Array) -> bool:
    return bool(
        a.shape == b.shape
        and a.strides == b.strides
        and a.dtype == b.dtype
        and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    )
