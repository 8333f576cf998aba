"""WHAT is computed: operators as SymPy equations, one file for each shipped operator."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from symbn.equations.binding import AxisBinding
from symbn.equations.operator import Operator

_MACHINERY = frozenset(
    {"binding", "constants", "functions", "later", "names", "notation", "operator", "order", "reductions", "validation"}
)


@cache
def names() -> tuple[str, ...]:
    """The names of the files of equations in this folder, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in _MACHINERY))


def load(name: str) -> tuple[Operator, AxisBinding | None]:
    """The operator of one of these files, and how its indices lie on a caller's axes."""
    module = importlib.import_module(f"{__name__}.{name}")
    return module.OPERATOR, module.BINDING
