"""The map of the house: what happens to equations on their way to a kernel, stage by stage."""

from __future__ import annotations

from symbn import dtypes
from symbn.build import native
from symbn.dtypes import DType
from symbn.emit import c
from symbn.emit.c import Source
from symbn.equations.operator import Operator
from symbn.errors import ArgumentTypeError
from symbn.kernel import schedule
from symbn.run.kernel import Kernel


def build(operator: Operator, dtype: object = "float32") -> Kernel:
    """Compile an operator for one dtype of data: equations -> loops -> C -> library -> kernel.

    Parameters
    ----------
    operator : Operator
    dtype : "float32", "float64", or a NumPy dtype

    Returns
    -------
    Kernel
        Called by keyword with the operator's inputs; the compiled library is kept in the user's cache.

    Raises
    ------
    LoweringError
        If the equations hold something that no kernel can be generated for.
    CompilerError
        If there is no C compiler, or it fails; the message has its command and what it said.
    CacheError
        If the cache folder cannot be written or trusted.
    """
    if not isinstance(operator, Operator):
        raise ArgumentTypeError(f"operator: is a {type(operator).__name__}, expected a symbn.Operator")
    source = emit(operator, dtypes.dtype(dtype))
    return Kernel(operator, source, native.build(source))


def emit(operator: Operator, dtype: DType) -> Source:
    """The first half of it, which needs no compiler: equations -> loops -> C."""
    program = schedule.lower(operator, compensated=dtype.compensated)
    return c.emit(operator, program, dtype)
