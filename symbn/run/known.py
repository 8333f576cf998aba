"""The short way of a call: what is left to do where one like it, validated and planned, was made before.

A shipped function and a built kernel write it out for their own arguments (templates/short_way.py.j2): a loop over
them would take as long as a small kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import _cffi_backend
import numpy as np

Array = Any
Pointer = Any

#: all that validation and planning ask of an array, but for where it lies
signature: Callable[[Array], tuple[Any, ...]] = attrgetter("__class__", "shape", "strides", "dtype", "flags.num")

_from_buffer = _cffi_backend.FFI().from_buffer


#: a named tuple of values: class, values
tuple_of = tuple.__new__


class Pair(NamedTuple):
    """Two arrays, by number, that must lie apart: the kernel writes the second."""

    first: int
    second: int
    #: what gives the place of each
    place: Callable[[Array], Any]
    other_place: Callable[[Array], Any]
    #: they lie apart where the first's place is so far behind the second's, or the second's so far behind the first's
    behind: int
    before: int
    #: may they be the very same memory?
    same: bool


class Known(NamedTuple):
    """What a call does."""

    function: Any
    layout: Any
    threaded: bool
    #: for each array of the C function: what gives its pointer
    pointers: tuple[Callable[[Array], Pointer], ...]
    #: what makes each output that is not given
    makers: tuple[Callable[[], Array], ...]
    #: which arrays have to be looked at for overlap
    pairs: tuple[Pair, ...]


def pointer_of(array: Array) -> Callable[[Array], Pointer]:
    """What gives a pointer to the first element of arrays that lie like this one; it keeps the array alive."""
    if array.flags.c_contiguous:
        return _from_buffer  # type: ignore[no-any-return]
    first = (*[0] * array.ndim, ...)
    return lambda a: _from_buffer(a[first])


def pointer_of_copy(dtype: Any) -> Callable[[Array], Pointer]:
    """What gives a pointer to a contiguous copy of an array."""
    return lambda a: _from_buffer(np.array(a, dtype, order="C"))


def pointer_to(value: float, dtype: Any) -> Callable[[Array], Pointer]:
    """What gives a pointer to a number that stands for an array that is not given."""
    pointer = _from_buffer(np.array([value], dtype))
    return lambda _: pointer


def apart(pairs: Sequence[Pair], *arrays: Array) -> bool:
    """Does each pair of arrays lie apart, by its bounds, or in the very same place where it may?"""
    for first, second, place, other_place, behind, before, same in pairs:
        p, q = place(arrays[first]), other_place(arrays[second])
        if p < q + behind and q < p + before and not (same and p == q):
            return False
    return True


def pairs(arrays: Sequence[Array | None], written: Sequence[int], aliases: Sequence[tuple[int, int]]) -> list[Pair]:
    """The pairs of arrays that have to be looked at, of arguments like these.

    ``written`` are the arrays that the caller gave for outputs, ``aliases`` (input, output) pairs that may be the same
    memory where they are laid out alike.
    """
    result = []
    for second in written:
        for first, a in enumerate(arrays[:second]):
            b = arrays[second]
            if a is None or b is None or not a.size or not b.size:
                continue
            alike = signature(a) == signature(b)
            same = (first, second) in aliases and a.shape == b.shape and a.strides == b.strides and a.dtype == b.dtype
            if a.flags.owndata and b.flags.owndata:
                # They share memory only where they are one object.
                if alike and not same:
                    result.append(Pair(first, second, id, id, 1, 1, False))
                continue
            (low, high), (other_low, other_high) = _bounds(a), _bounds(b)
            result.append(Pair(first, second, pointer_of(a), pointer_of(b), other_high - low, high - other_low, same))
    return result


def _bounds(array: Array) -> tuple[int, int]:
    """Where an array's memory begins and ends, in bytes from its first element."""
    steps = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    return sum(step for step in steps if step < 0), sum(step for step in steps if step > 0) + array.itemsize
