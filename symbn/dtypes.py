"""The data types of kernels: NumPy's name, C's type, and what arithmetic on them needs."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from symbn.errors import ArgumentTypeError


@dataclass(frozen=True)
class DType:
    """A dtype of data.

    Arithmetic is done in C's ``double``; ``compensated`` says that it needs the rounding error of each
    operation, because that is no wider than the data.
    """

    name: str
    c_type: str
    itemsize: int
    compensated: bool


FLOAT32 = DType("float32", "float", 4, compensated=False)
FLOAT64 = DType("float64", "double", 8, compensated=True)

DTYPES = MappingProxyType({dtype.name: dtype for dtype in (FLOAT32, FLOAT64)})


def dtype(name: object) -> DType:
    """The dtype of a name, a NumPy dtype or a NumPy scalar type."""
    text = name if isinstance(name, str) else getattr(name, "name", getattr(name, "__name__", str(name)))
    if text not in DTYPES:
        raise ArgumentTypeError(f"dtype: {text} has no kernels; expected {' or '.join(DTYPES)}")
    return DTYPES[text]
