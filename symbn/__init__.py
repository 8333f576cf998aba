"""symbn: a normalization's equations as native code that is checked against them each time it runs."""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

from symbn.errors import NotBuiltError

__version__ = "0.1.0"

if TYPE_CHECKING:
    from symbn.catalogue import operators
    from symbn.equations.operator import Operator
    from symbn.equations.reductions import ReduceMax, ReduceMin
    from symbn.errors import (
        ArgumentError,
        ArgumentTypeError,
        CacheError,
        CheckError,
        CompilerError,
        DerivationError,
        EquationError,
        LoweringError,
        RenderError,
        SymbnError,
    )
    from symbn.pipeline import build
    from symbn.run.kernel import Kernel
    from symbn.run.settings import get_check, get_num_threads, set_check, set_num_threads
    from symbn.running import update_running_stats

# Where each public name lives; it is loaded when it is first used. The functions of the shipped operators
# are modules of symbn.shipped, which the installation fills.
_HOMES = {
    "Operator": "symbn.equations.operator",
    "operators": "symbn.catalogue",
    **dict.fromkeys(["ReduceMax", "ReduceMin"], "symbn.equations.reductions"),
    "Kernel": "symbn.run.kernel",
    "update_running_stats": "symbn.running",
    **dict.fromkeys(["get_check", "set_check", "get_num_threads", "set_num_threads"], "symbn.run.settings"),
    **dict.fromkeys(
        [
            "SymbnError",
            "EquationError",
            "DerivationError",
            "LoweringError",
            "ArgumentError",
            "ArgumentTypeError",
            "CompilerError",
            "CacheError",
            "NotBuiltError",
            "RenderError",
            "CheckError",
        ],
        "symbn.errors",
    ),
}

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "CacheError",
    "CheckError",
    "CompilerError",
    "DerivationError",
    "EquationError",
    "Kernel",
    "LoweringError",
    "NotBuiltError",
    "Operator",
    "ReduceMax",
    "ReduceMin",
    "RenderError",
    "SymbnError",
    "build",
    "get_check",
    "get_num_threads",
    "operators",
    "set_check",
    "set_num_threads",
    "update_running_stats",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None and not name.startswith("_") and name in _shipped():
        home = f"symbn.shipped.{name}"
    if home is None:
        raise AttributeError(f"module 'symbn' has no attribute {name!r}{_hint()}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def _shipped() -> tuple[str, ...]:
    """The shipped operators' functions: each is in a module of its own name."""
    try:
        operators: tuple[str, ...] = importlib.import_module("symbn.shipped").OPERATORS
    except ModuleNotFoundError:
        return ()
    return operators


def _hint() -> str:
    return "" if _shipped() else f": {NotBuiltError()}"


class _Package(types.ModuleType):
    """``symbn.build`` is the function, although the stage that compiles has the same name as a subpackage."""

    @property
    def build(self) -> Any:
        from symbn.pipeline import build

        return build

    @build.setter
    def build(self, module: Any) -> None:
        """Called by the import system when it has loaded the subpackage."""


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted([*__all__, *_shipped(), "__version__"])
