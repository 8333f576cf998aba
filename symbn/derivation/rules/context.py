"""What a rule is, and what it may use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from symbn.derivation.expressions import reads
from symbn.derivation.facts import Facts
from symbn.derivation.program import Program


@dataclass
class Context:
    """What the rules may use: the equations, which names are cotangents, and the gradients found so far."""

    program: Program
    marks: frozenset[str]
    facts: Facts
    #: sums that an output of the gradient holds already
    shared: Facts
    #: is it one of the gradients that the user asked for?
    output: bool = False
    #: name of a gradient -> (its target, its simplified value), to be put in its place
    found: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def marked(self, expr: Any) -> bool:
        return bool(reads(expr) & self.marks)

    def is_read(self, name: str) -> bool:
        """Does another equation read what this one defines?"""
        return any(name in reads(one.value) for one in self.program.assignments)


@dataclass(frozen=True)
class Rule:
    """A rewriting that keeps the value: returns the new expression and the reason in words, or None."""

    name: str
    apply: Callable[[Any, Context], tuple[Any, str] | None]
