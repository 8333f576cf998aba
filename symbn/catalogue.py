"""The shipped operators by name: those in equations/, and the gradient of each that has an axis."""

from __future__ import annotations

from functools import cache

from symbn import equations
from symbn.equations.binding import AxisBinding
from symbn.equations.operator import Operator
from symbn.errors import ArgumentError

_BACKWARD = "_backward"


@cache
def names() -> tuple[str, ...]:
    """The names of the shipped operators, sorted."""
    forward = equations.names()
    return tuple(sorted([*forward, *(name + _BACKWARD for name in forward if has_gradient(name))]))


def has_gradient(name: str) -> bool:
    """Is the gradient of an operator shipped too?"""
    return name in equations.names() and equations.load(name)[1] is not None


def binding(name: str) -> AxisBinding | None:
    """How a shipped operator's indices lie on a caller's axes; a gradient's lie as its operator's do."""
    return equations.load(name.removesuffix(_BACKWARD))[1]


@cache
def load(name: str) -> tuple[Operator, AxisBinding | None]:
    """A shipped operator and how its indices lie on a caller's axes."""
    if name not in names():
        raise ArgumentError(f"operator: there is no {name!r}; shipped are {', '.join(names())}")
    if name in equations.names():
        return equations.load(name)
    operator, _ = equations.load(name.removesuffix(_BACKWARD))
    return operator.gradient(), binding(name)


class Operators:
    """The shipped operators as attributes: ``symbn.operators.batch_norm`` is an ``Operator``."""

    def __getattr__(self, name: str) -> Operator:
        if name.startswith("_") or name not in names():
            raise AttributeError(f"there is no operator {name!r}; shipped are {', '.join(names())}")
        return load(name)[0]

    def __repr__(self) -> str:
        return f"<the shipped operators: {', '.join(names())}>"

    def __dir__(self) -> list[str]:
        return list(names())


operators = Operators()
