"""NumPy, as its user writes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from symbn.bench.peers import Form, formulas
from symbn.bench.problem import Problem


def version() -> str:
    return str(np.__version__)


def prepare(threads: int) -> None:
    """Nothing: elementwise arithmetic and sums run on one thread."""


def forms(problem: Problem) -> Iterator[Form]:
    mean, var = (one.astype(problem.x.dtype) for one in (problem.mean, problem.var))

    def forward() -> Any:
        return formulas.forward(np, problem, problem.x, problem.gamma, problem.beta, mean, var)

    def backward() -> Any:
        return formulas.backward(np, problem, problem.dy, problem.x, problem.gamma, mean, var)

    call = backward if problem.case.backward else forward
    yield Form("natural", call, lambda result: result[0] if isinstance(result, tuple) else result)
