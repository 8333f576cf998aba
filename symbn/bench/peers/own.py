"""symbn, as its user calls it, unchecked."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import symbn
from symbn.bench.peers import Form
from symbn.bench.problem import Problem


def version() -> str:
    return symbn.__version__


def prepare(threads: int) -> None:
    symbn.set_num_threads(threads)


def forms(problem: Problem, check: str = "off") -> Iterator[Form]:
    """With ``out=`` and without."""
    call = partial(_call(problem), check=check)
    first = call()
    outputs = tuple(first) if isinstance(first, tuple) else (first,)
    out = tuple(np.zeros_like(one) for one in outputs)

    def main(result: Any) -> Any:
        return _as_in_memory(problem, result[0] if isinstance(result, tuple) else result)

    yield Form("out=", partial(call, out=out if len(out) > 1 else out[0]), main)
    yield Form("natural", call, main)


def _call(problem: Problem) -> partial[Any]:
    case = problem.case
    function = getattr(symbn, case.operator)
    grouped = case.norm in ("group_norm", "instance_norm")
    x, dy = (problem.channels_second(one) if grouped else one for one in (problem.x, problem.dy))
    where: dict[str, Any] = {"eps": problem.eps}
    if case.norm == "group_norm":
        where["num_groups"] = case.groups
    elif not grouped:
        where["axis"] = -1 if case.memory_shape != case.shape or case.norm != "batch_norm" else 1
    mean = {} if case.norm == "rms_norm" else {"mean": problem.mean}
    statistics = mean | {"mean_square" if case.norm == "rms_norm" else "var": problem.var}
    if case.backward:
        return partial(function, dy, x, **statistics, gamma=problem.gamma, **where)
    parameters = {"gamma": problem.gamma} | ({} if case.norm == "rms_norm" else {"beta": problem.beta})
    return partial(function, x, **(statistics if case.inference else {}), **parameters, **where)


def _as_in_memory(problem: Problem, array: Any) -> Any:
    return problem.as_in_memory(array) if array.shape != problem.x.shape else array
