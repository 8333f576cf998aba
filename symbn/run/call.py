"""One call of a kernel: arguments in, outputs out, checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symbn.emit.interface import Interface
from symbn.errors import ArgumentError, ArgumentTypeError, CheckError
from symbn.run import plan as planning
from symbn.run import settings

_PLANS = 512

Array = Any


class Call:
    """A compiled function that can be called with arrays.

    Parameters
    ----------
    interface, ffi, function
        The C function, and cffi's view of it.
    reference
        The equations in NumPy, for the check.
    along
        (index, rest): arrays with both carry ``index`` on the axis that a call names and ``rest`` on all
        others. None where every array has one axis for each index.
    names
        What the caller calls arguments and outputs, where that is not the equations' name.
    result
        The named tuple of several outputs; None where there is one.
    """

    def __init__(
        self,
        interface: Interface,
        ffi: Any,
        function: Any,
        reference: Callable[..., tuple[Any, ...]],
        along: tuple[str, str] | None,
        names: Mapping[str, str],
        result: Any,
    ) -> None:
        self.interface = interface
        self._function = function
        self._ffi = ffi
        self._reference = reference
        self._along = along
        self._names = names
        self._result = result
        self._plans: dict[Any, tuple[planning.Plan, Any]] = {}
        self._inputs = tuple(one for one in interface.arrays if one.role == "input")
        self._outputs = tuple(one for one in interface.arrays if one.role == "output")
        dtypes = [planning.dtype_of(interface, one) for one in interface.arrays]
        c_types = ["double" if dtype == np.float64 else "float" for dtype in dtypes]
        self._from_buffer = ffi.from_buffer
        self._array_types = tuple(ffi.typeof(f"{c_type}[]") for c_type in c_types)
        self._pointer_types = tuple(ffi.typeof(f"{c_type} *") for c_type in c_types)
        defaults = dict(interface.defaults)
        self._defaults = tuple(
            np.array([defaults[one.name]], dtype) if one.name in defaults else None
            for one, dtype in zip(self._inputs, dtypes, strict=False)
        )

    def __call__(
        self, inputs: Sequence[Array | None], scalars: Sequence[float], axis: int, out: Any, check: str | None
    ) -> Any:
        """Run the kernel.

        ``inputs`` are ndarrays in the interface's order, None for a default; ``scalars`` are floats.
        """
        mode = settings.resolve_check(check)
        if out is None:
            given: Sequence[Array | None] = (None,) * len(self._outputs)
            writable: tuple[bool, ...] = ()
        else:
            given = self._given(out)
            writable = self._writable(inputs, given, mode)
        key = (
            axis,
            writable,
            *[None if a is None else (a.shape, a.strides, a.dtype, a.flags.num) for a in inputs],
            *[None if a is None else (a.shape, a.strides, a.dtype, a.flags.num) for a in given if out is not None],
        )
        found = self._plans.get(key)
        plan, layout = self._plan(key, inputs, given, writable, axis) if found is None else found
        if True in plan.copies:
            inputs = [
                np.array(a, planning.dtype_of(self.interface, one), order="C") if copy else a
                for one, a, copy in zip(self._inputs, inputs, plan.copies, strict=True)
            ]
        outputs = [
            a if spec.direct else spec.make() for a, spec in zip(given, plan.outputs, strict=True)
        ]
        pointers = [
            self._pointer(number, self._defaults[number] if a is None else a)
            for number, a in enumerate([*inputs, *outputs])
        ]
        threads = settings.get_num_threads() if plan.threaded else 1
        if self._function(layout, *pointers, *scalars, threads):
            raise MemoryError(f"{self.interface.function}: there is no memory for its workspaces")
        if mode != "off":
            self._check(plan, inputs, outputs, scalars, mode)
        if out is not None:
            for number, target in enumerate(given):
                if target is not None and target is not outputs[number]:
                    target[...] = outputs[number]
                    outputs[number] = target
        return outputs[0] if self._result is None else self._result._make(outputs)

    def _pointer(self, number: int, a: Array) -> Any:
        if a.flags.c_contiguous:
            return self._from_buffer(self._array_types[number], a)
        return self._ffi.cast(self._pointer_types[number], a.__array_interface__["data"][0])

    def _plan(
        self, key: Any, inputs: Sequence[Array | None], given: Sequence[Array | None], writable: tuple[bool, ...], axis: int
    ) -> tuple[planning.Plan, Any]:
        for one, a, default in zip(self._inputs, inputs, self._defaults, strict=True):
            if a is None and default is None:
                raise ArgumentError(f"{self._names.get(one.name, one.name)}: is missing; the operator has no default for it")
        plan = planning.make(
            self.interface,
            inputs,
            given,
            writable or (False,) * len(given),
            self._along,
            axis,
            self._names,
        )
        made = plan, self._ffi.new(f"{self.interface.function}_layout *", dict(plan.fields))
        if len(self._plans) >= _PLANS:
            self._plans.clear()
        self._plans[key] = made
        return made

    # ---- outputs that the caller gives -----------------------------------------------------------

    def _given(self, out: Any) -> tuple[Array | None, ...]:
        """``out`` as one entry for each output: an array stands for the first."""
        given = tuple(out) if isinstance(out, tuple | list) else (out, *[None] * (len(self._outputs) - 1))
        if len(given) != len(self._outputs):
            expected = ", ".join(self._names.get(one.name, one.name) for one in self._outputs)
            raise ArgumentError(f"out: has {len(given)} entries, expected one (an array or None) for each of {expected}")
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
        for number, (one, a) in enumerate(zip(self._outputs, given, strict=True)):
            may = a is not None and mode == "off"
            for argument, source in zip(self._inputs, inputs, strict=True):
                if a is None or source is None or not np.may_share_memory(a, source):
                    continue
                if _same_memory(a, source):
                    alike = argument.indices == one.indices and argument.wide == one.wide
                    may = may and alike and self.interface.in_place and set(argument.indices) == self._all_indices()
                elif np.shares_memory(a, source):
                    name = self._names.get(argument.name, argument.name)
                    raise ArgumentError(
                        f"out: overlaps {name} in part; give {name} itself, or an array that shares no memory with it"
                    )
            for other in given[:number]:
                if a is not None and other is not None and np.shares_memory(a, other):
                    raise ArgumentError("out: two of its arrays share memory")
            result.append(may)
        return tuple(result)

    def _all_indices(self) -> set[str]:
        return {index for index, _ in self.interface.extents}

    # ---- the check -------------------------------------------------------------------------------

    def _check(
        self, plan: planning.Plan, inputs: Sequence[Array | None], outputs: Sequence[Array], scalars: Sequence[float], mode: str
    ) -> None:
        from symbn.run import check

        placed = {}
        for one, a, default in zip(self._inputs, inputs, self._defaults, strict=True):
            if a is None:
                a = np.broadcast_to(default, [plan.extents[index] for index in one.indices])
            placed[one.name] = check.Placed(a, plan.axes.get(one.name, one.indices))
        for one, a in zip(self._outputs, outputs, strict=True):
            placed[one.name] = check.Placed(a, plan.axes[one.name])
        named = dict(zip((scalar.name for scalar in self.interface.scalars), scalars, strict=True))
        report = check.compare(self.interface, self._reference, placed, named, mode, self._names)
        if not report.passed:
            raise CheckError(report)


def _same_memory(a: Array, b: Array) -> bool:
    return bool(
        a.shape == b.shape
        and a.strides == b.strides
        and a.dtype == b.dtype
        and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    )
