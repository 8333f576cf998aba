"""WHAT is computed: operators as SymPy equations, one file for each shipped operator."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from symbn.equations.binding import AxisBinding
from symbn.equations.operator import Operator
from symbn.errors import ArgumentError

_MACHINERY = frozenset({"binding", "functions", "names", "notation", "operator", "order", "validation"})


@cache
def names() -> tuple[str, ...]:
    """The names of the shipped operators, sorted: one for each file of equations in this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in _MACHINERY))


def load(name: str) -> tuple[Operator, AxisBinding | None]:
    """A shipped operator and how its indices lie on a caller's axes."""
    if name not in names():
        raise ArgumentError(f"operator: there is no {name!r}; shipped are {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    return module.OPERATOR, module.BINDING


class Operators:
    """The shipped operators as attributes: ``symbn.operators.batch_norm`` is an ``Operator``."""

    def __getattr__(self, name: str) -> Operator:
        if name.startswith("_") or name not in names():
            raise AttributeError(f"there is no operator {name!r}; shipped are {', '.join(names())}")
        return load(name)[0]

    def __dir__(self) -> list[str]:
        return list(names())


operators = Operators()
