"""Who takes part: a module for each, loaded where what it needs is installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from symbn.bench.problem import Problem

#: the contestant that the others are compared with
OWN = "symbn"
#: name -> module of this package
MODULES = {
    OWN: "own",
    "PyTorch": "pytorch",
    "oneDNN": "onednn",
    "JAX": "jax",
    "ONNX Runtime": "onnxruntime",
    "NumPy": "numpy",
    "numba": "numba",
}
#: those that are somebody's library; the others are what a user writes with one
LIBRARIES = ("PyTorch", "oneDNN", "JAX", "ONNX Runtime")


@dataclass(frozen=True)
class Form:
    """One way to have an operator computed: a call that is ready to be made, and what it gives.

    ``main`` takes what ``call`` returned and gives the main output (y or dx) as an array of the shape of the
    problem's data.
    """

    name: str
    call: Callable[[], Any]
    main: Callable[[Any], Any]


class Peer(Protocol):
    """What each module of this package has."""

    def version(self) -> str:
        """The version of what is measured."""

    def prepare(self, threads: int) -> None:
        """Called once, before anything else, in a process that has as many CPUs as threads."""

    def forms(self, problem: Problem) -> Iterable[Form]:
        """The ways in which this peer computes a problem; none where it has no such operator, layout or dtype."""


def load(name: str) -> Peer:
    """A contestant; ImportError where what it needs is not installed."""
    module: Any = importlib.import_module(f"{__name__}.{MODULES[name]}")
    return module  # type: ignore[no-any-return]
