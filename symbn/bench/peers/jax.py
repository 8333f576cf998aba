"""JAX, jitted: two passes, and the gradient by vjp or from the saved statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from symbn.bench.peers import Form, formulas
from symbn.bench.problem import Problem


def version() -> str:
    return str(jax.__version__)


def prepare(threads: int) -> None:
    """XLA's pool has a thread for each CPU of the process."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)


def forms(problem: Problem) -> Iterator[Form]:
    dtype = problem.x.dtype
    dy, x, gamma, beta = map(jnp.asarray, (problem.dy, problem.x, problem.gamma, problem.beta))
    mean, var = (jnp.asarray(one.astype(dtype)) for one in (problem.mean, problem.var))
    if not problem.case.backward:
        function = partial(formulas.forward, jnp, problem)
        yield from _forms("", function, (x, gamma, beta, mean, var))
        return

    def by_vjp(dy: Any, x: Any, gamma: Any, beta: Any) -> Any:
        def y(x: Any, gamma: Any, beta: Any) -> Any:
            return formulas.forward(jnp, problem, x, gamma, beta, mean, var)[0]

        return jax.vjp(y, x, gamma, beta)[1](dy)

    yield from _forms("vjp", by_vjp, (dy, x, gamma, beta))
    yield from _forms("from statistics", partial(formulas.backward, jnp, problem), (dy, x, gamma, mean, var))


def _forms(name: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Iterator[Form]:
    """The jitted function; and with the last result's memory donated to the next one, which is JAX's ``out=``."""
    natural = jax.jit(function)
    yield Form(name or "natural", lambda: jax.block_until_ready(natural(*arguments)), _main)
    donating = jax.jit(lambda last, *given: function(*given), donate_argnums=0, keep_unused=True)
    held = natural(*arguments)

    def call() -> Any:
        nonlocal held
        held = jax.block_until_ready(donating(held, *arguments))
        return held

    yield Form(f"{name}, donated".removeprefix(", "), call, _main)


def _main(result: Any) -> Any:
    return jax.device_get(result[0] if isinstance(result, tuple) else result)
