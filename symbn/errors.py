"""The exceptions of symbn, one tree.

::

    SymbnError
    ├── EquationError      (ValueError)    equations that do not define an operator
    │   └── PageError                      formulas of a page that cannot be read, or that are no equations
    ├── DerivationError    (ValueError)    a gradient that cannot be derived, or a step of it that is not true
    ├── RenderError        (RuntimeError)  a document that could not be typeset
    ├── LoweringError      (ValueError)    an expression that no kernel can be generated for
    ├── ArgumentError      (ValueError)    an argument of the wrong shape or value
    ├── ArgumentTypeError  (TypeError)     an argument of the wrong type or dtype
    ├── CompilerError      (RuntimeError)  no compiler, or a compilation that failed
    ├── CacheError         (RuntimeError)  a cache folder that cannot be trusted or written
    ├── NotBuiltError      (RuntimeError)  the shipped kernels are not there
    └── CheckError         (ArithmeticError)  a run that differs from its equations
"""

from __future__ import annotations

from typing import Any


class SymbnError(Exception):
    """Base class of every exception that symbn raises on purpose."""


class EquationError(SymbnError, ValueError):
    """The equations do not define an operator; the message names the equation and the symbol.

    ``number`` is the equation's, from 1; 0 where the complaint is about none of them.
    """

    def __init__(self, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.number = number


class PageError(EquationError):
    """The formulas of a page cannot be read, or define no operator; the message has file, line and place."""


class DerivationError(SymbnError, ValueError):
    """The equations have no derivative that symbn knows, or a step of a derivation failed its exact check."""


class RenderError(SymbnError, RuntimeError):
    """A document could not be typeset; the message says what to install, or what LaTeX said."""


class LoweringError(SymbnError, ValueError):
    """The equations are sound, but hold something that no kernel can be generated for."""


class ArgumentError(SymbnError, ValueError):
    """An argument has the wrong shape, the wrong value or is missing."""


class ArgumentTypeError(SymbnError, TypeError):
    """An argument has the wrong type or dtype."""


class CompilerError(SymbnError, RuntimeError):
    """There is no C compiler, or it refused the source; the message has command and stderr."""


class CacheError(SymbnError, RuntimeError):
    """The kernel cache cannot be trusted or written."""


class NotBuiltError(SymbnError, RuntimeError):
    """The shipped kernels are not there: symbn is imported from a checkout, not from where it was installed."""

    def __init__(
        self,
        message: str = "the shipped kernels are not built in this copy of symbn; "
        "install it (python -m pip install .) and leave its checkout, or install with -e",
    ) -> None:
        super().__init__(message)


class CheckError(SymbnError, ArithmeticError):
    """A run differs from its equations by more than rounding explains.

    ``report`` (symbn.run.check.Report) holds, for each output, the number of failing elements and the
    worst of them; it is also the message.
    """

    def __init__(self, report: Any) -> None:
        super().__init__(f"{report}\n  nothing was written to the caller's arrays")
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.report,)
