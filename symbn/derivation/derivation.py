"""A derivation as a value: its steps, and the operators at its two ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sympy import Eq

from symbn.equations import notation
from symbn.equations.later import later
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
    """How the gradient of an operator follows from its equations.

    ``forward`` are the operator's equations under the names that the derivation uses, with those of the names that it
    has introduced. ``staged`` has one equation
    for each adjoint, ``collapsed`` is what the rules make of them; both are operators that compute the same.
    ``steps`` lead from the one to the other. ``slopes`` has, for each gradient by name, the derivatives of single
    equations that the chain rule took for it.
    """

    operator: Operator
    of: tuple[str, ...]
    wrt: tuple[str, ...]
    forward: tuple[Eq, ...]
    introduced: frozenset[str]
    steps: tuple[Step, ...]
    staged: Operator
    collapsed: Operator
    slopes: Mapping[str, tuple[Eq, ...]] = field(compare=False)

    def latex(self, form: str = "both") -> str:
        """The derivation as a LaTeX document; ``form`` is "staged", "collapsed" or "both"."""
        return later("render.latex").page(self, form)  # type: ignore[no-any-return]

    def markdown(self, form: str = "both") -> str:
        """The derivation as a Markdown document, as GitHub and Jupyter show it."""
        return later("render.markdown").page(self, form)  # type: ignore[no-any-return]

    def html(self, form: str = "both") -> str:
        """The derivation as an HTML page that stands alone: no network, no script."""
        return later("render.html").page(self, form)  # type: ignore[no-any-return]

    def _repr_latex_(self) -> str:
        return notation.align(step.after for step in self.steps)

    def _repr_html_(self) -> str:
        return later("render.html").fragment(self)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return "\n".join(f"({n}) {notation.plain(step.after)}    [{step.rule}]" for n, step in enumerate(self.steps, 1))
