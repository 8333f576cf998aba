"""How a kernel is called: what a C function takes, in terms that need neither SymPy nor a template."""

from __future__ import annotations

from dataclasses import dataclass

#: the layout's fields for how many bytes of inputs a thread may keep, and for whether outputs bypass the cache
CACHE_BYTES, CACHE_BYPASS = "cache__bytes", "cache__bypass"


@dataclass(frozen=True)
class ArrayArgument:
    """An array of the kernel: its indices in order, and the layout's stride fields for each of them."""

    name: str
    role: str
    wide: bool
    indices: tuple[str, ...]
    strides: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ScalarArgument:
    """A number of the kernel and the values it admits: a closed or open interval, or a few numbers."""

    name: str
    lower: float = float("-inf")
    upper: float = float("inf")
    lower_open: bool = False
    choices: tuple[float, ...] = ()


@dataclass(frozen=True)
class Interface:
    """The C function of one operator and dtype.

    ``extents`` maps an index to the layout's extent fields: two (outer, inner) where the index is
    reduced, else one. ``layout`` lists the layout's fields in order. ``reduced`` are the indices that a
    reduction goes over, ``features`` those whose elements do not depend on each other. ``aliases`` are the
    (input, output) pairs that may be the same memory.
    """

    function: str
    dtype: str
    arrays: tuple[ArrayArgument, ...]
    scalars: tuple[ScalarArgument, ...]
    extents: tuple[tuple[str, tuple[str, ...]], ...]
    fixed: tuple[tuple[str, int], ...]
    layout: tuple[str, ...]
    reduced: tuple[str, ...]
    features: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...]
    defaults: tuple[tuple[str, float], ...]
    #: (output, the array input without which it is not returned)
    optional: tuple[tuple[str, str], ...]
    #: the caller's order of inputs and outputs
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
