"""Shapes and places of arrays, in the words of a function's documentation."""

from __future__ import annotations

from collections.abc import Iterable

from symbn.equations.binding import AxisBinding
from symbn.equations.names import identifier
from symbn.equations.operator import Operator


def shape(operator: Operator, binding: AxisBinding | None, name: str) -> str:
    """The shape of an input or output, by its identifier."""
    original = next(one for one in operator.arrays if identifier(one) == name)
    extents = dict(zip(operator.written[original], operator.arrays[original], strict=True))
    if binding is None:
        return _tuple(extents.values())
    #: the index or indices of a place -> the place, for the array's own
    own = {indices: place for indices, place in binding.places.items() if set(indices.split()) & extents.keys()}
    if binding.axis is None:
        return _tuple(size for indices, place in own.items() for size in _sizes(extents, indices, place))
    if own == binding.places:
        return "any shape"
    if all(place == "axis" for place in own.values()):
        return _tuple(extents.values())
    return "shape " + " + ".join(f"``x.shape[{place}]``" for place in own.values())


def _sizes(extents: dict[str, str], indices: str, place: str) -> list[str]:
    return ["..."] if place.endswith(":") else [" * ".join(extents[one] for one in indices.split() if one in extents)]


def _tuple(sizes: Iterable[str]) -> str:
    sizes = list(sizes)
    return "shape (" + ", ".join(sizes) + ("," if len(sizes) == 1 else "") + ")"


def places(binding: AxisBinding) -> str:
    """Where the indices lie, as a sentence."""
    return f"Index {', '.join(f'{index} {_place(place)}' for index, place in binding.places.items())}."


def _place(place: str) -> str:
    if place == "...":
        return "stands for all other axes together"
    start, colon, stop = (f"``{one}``" if one == "axis" else one for one in place.partition(":"))
    if not colon:
        return f"lies on {start}"
    return f"stands for the axes from {start} on" if not stop else f"stands for the axes before {stop}"
