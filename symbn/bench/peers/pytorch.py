"""PyTorch: the functional form, and the operators beneath it with ``out=`` and with given statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F

from symbn.bench.peers import Form
from symbn.bench.problem import Problem

_aten = torch.ops.aten
#: below this, calling what torch.compile made costs more than it saves
_WORTH_COMPILING = 1 << 22


def version() -> str:
    return str(torch.__version__)


def prepare(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)


def forms(problem: Problem) -> Iterator[Form]:
    """Channels last is PyTorch's own memory format of that name."""

    def main(result: Any) -> Any:
        first = result[0] if isinstance(result, tuple) else result
        return problem.as_in_memory(first.detach().numpy())

    own = _backward(problem) if problem.case.backward else _forward(problem)
    for name, call in own:
        yield Form(name, call, main)


def _tensors(problem: Problem) -> list[Any]:
    """dy, x, gamma, beta, and mean and var in the data's dtype."""
    data = [torch.from_numpy(problem.channels_second(one)) for one in (problem.dy, problem.x)]
    statistics = [torch.from_numpy(one).to(data[0].dtype) for one in (problem.mean, problem.var)]
    return [*data, torch.from_numpy(problem.gamma), torch.from_numpy(problem.beta), *statistics]


def _natural(problem: Problem, mean: Any, var: Any) -> Callable[..., Any]:
    """The function of torch.nn.functional, of x, gamma and beta."""
    case, eps = problem.case, problem.eps
    functions: dict[str, Callable[..., Any]] = {
        "batch_norm": lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, eps),
        "batch_norm_inference": lambda x, w, b: F.batch_norm(x, mean, var, w, b, False, 0.1, eps),
        "batch_norm_relu": lambda x, w, b: F.relu_(F.batch_norm(x, None, None, w, b, True, 0.1, eps)),
        "layer_norm": lambda x, w, b: F.layer_norm(x, w.shape, w, b, eps),
        "rms_norm": lambda x, w, b: F.rms_norm(x, w.shape, w, eps),
        "group_norm": lambda x, w, b: F.group_norm(x, case.groups, w, b, eps),
        "instance_norm": lambda x, w, b: F.instance_norm(x, None, None, w, b, True, 0.1, eps),
    }
    return functions[case.operator.removesuffix("_backward")]


def _forward(problem: Problem) -> Iterator[tuple[str, Callable[[], Any]]]:
    case, eps = problem.case, problem.eps
    _, x, gamma, beta, mean, var = _tensors(problem)
    natural = _natural(problem, mean, var)
    grad_free = torch.inference_mode()
    yield "natural", grad_free(lambda: natural(x, gamma, beta))
    y, *saved = torch.empty_like(x), torch.empty_like(gamma), torch.empty_like(gamma)
    y.zero_()
    if case.operator in ("batch_norm", "batch_norm_relu"):
        out = {"out": y, "save_mean": saved[0], "save_invstd": saved[1]}

        def training() -> Any:
            _aten.native_batch_norm.out(x, gamma, beta, None, None, True, 0.1, eps, **out)
            return y.relu_() if case.relu else y

        yield "out=", grad_free(training)
    if case.inference:
        nothing = {"save_mean": torch.empty(0), "save_invstd": torch.empty(0)}
        yield (
            "out=",
            grad_free(
                lambda: _aten.native_batch_norm.out(x, gamma, beta, mean, var, False, 0.1, eps, out=y, **nothing)
            ),
        )
    compiled = _compiled(problem, grad_free(lambda x, w, b: natural(x, w, b)), (x, gamma, beta))
    if compiled is not None:
        yield "compiled", compiled
    if case.operator == "instance_norm":
        yield "as group norm", grad_free(lambda: F.group_norm(x, x.shape[1], gamma, beta, eps))


def _compiled(problem: Problem, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[[], Any] | None:
    """By torch.compile, for this shape; None where it has no C++ compiler, or computes something else."""
    if problem.case.nbytes < _WORTH_COMPILING:
        return None
    torch._dynamo.reset()
    try:
        made = torch.compile(function, dynamic=False)
        found = made(*arguments)
    except torch._dynamo.exc.BackendCompilerFailed:
        return None
    right = torch.allclose(found, function(*arguments), rtol=1e-3, atol=1e-3)
    return (lambda: made(*arguments)) if right else None


def _backward(problem: Problem) -> Iterator[tuple[str, Callable[[], Any]]]:
    """By autograd, from a graph that is kept; and by the operator that autograd calls."""
    case, eps = problem.case, problem.eps
    dy, x, gamma, beta, mean, var = _tensors(problem)
    centred = case.norm != "rms_norm"
    leaves = [one.detach().requires_grad_() for one in (x, gamma, *([beta] if centred else []))]
    y = _natural(problem, mean, var)(*leaves, *([] if centred else [None]))
    yield "autograd", lambda: torch.autograd.grad(y, leaves, dy, retain_graph=True)
    r, every = (var.double() + eps).rsqrt().to(x.dtype), [True, True, True]
    grad_free = torch.inference_mode()
    if case.norm == "batch_norm":
        yield (
            "native",
            grad_free(lambda: _aten.native_batch_norm_backward(dy, x, gamma, None, None, mean, r, True, eps, every)),
        )
    if case.norm == "layer_norm":
        mean, r = mean[:, None], r[:, None]
        yield (
            "native",
            grad_free(lambda: _aten.native_layer_norm_backward(dy, x, gamma.shape, mean, r, gamma, beta, every)),
        )
    if case.norm in ("group_norm", "instance_norm"):
        n, c = x.shape[:2]
        groups = case.groups if case.norm == "group_norm" else c
        positions = x.numel() // (n * c)
        yield (
            "native" if case.norm == "group_norm" else "as group norm",
            grad_free(lambda: _aten.native_group_norm_backward(dy, x, mean, r, gamma, n, c, positions, groups, every)),
        )
