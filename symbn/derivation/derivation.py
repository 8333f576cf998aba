"""A derivation as a value: its steps, and the operators at its two ends."""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Eq

from symbn.equations import notation
from symbn.equations.operator import Operator


@dataclass(frozen=True)
class Step:
    """One line: ``before`` and ``after`` have the same left side and, proved exactly, the same value."""

    before: Eq
    after: Eq
    rule: str
    reason: str


@dataclass(frozen=True, repr=False)
class Derivation:
    """How the gradient (``mode`` "gradient") or the tangent ("jvp") of an operator follows from its equations.

    ``staged`` has one equation for each adjoint, ``collapsed`` is what the rules make of them; both are
    operators that compute the same. ``steps`` lead from the one to the other.
    """

    operator: Operator
    mode: str
    of: tuple[str, ...]
    wrt: tuple[str, ...]
    steps: tuple[Step, ...]
    staged: Operator
    collapsed: Operator

    def __repr__(self) -> str:
        return "\n".join(f"({n}) {notation.plain(step.after)}    [{step.rule}]" for n, step in enumerate(self.steps, 1))
