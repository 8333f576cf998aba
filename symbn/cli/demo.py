"""``symbn demo``: the whole way, on real data, for every shipped operator that takes an axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from sympy import Eq, Expr, Sum

from symbn import catalogue, pipeline
from symbn.build import native
from symbn.cli import kernels
from symbn.cli.console import console
from symbn.dtypes import DTYPES
from symbn.equations import notation
from symbn.equations.binding import AxisBinding
from symbn.equations.operator import Operator
from symbn.run.kernel import Kernel


def run() -> bool:
    """Show everything; False if a run failed its check or the broken kernel passed it."""
    operators = _operators()
    for operator, _ in operators:
        text = Text(notation.terminal(operator.equations))
        console.print(Panel(text, title=operator.name, title_align="left", expand=False))
    _derivation(operators[0][0])
    built = kernels.build([operator for operator, _ in operators], [*DTYPES])
    images, source = _images()
    console.print(f"\n[bold]Runs[/] on {source}, each element of each output against the equations:")
    table, good = _table(operators, built, images)
    console.print(table)
    return _broken(operators[0][0], images) and good


def _operators() -> list[tuple[Operator, AxisBinding]]:
    """The operators that are bound to an axis; those that need another's statistics come after it."""
    loaded = [catalogue.load(name) for name in catalogue.names()]
    found = [(operator, binding) for operator, binding in loaded if binding is not None]
    return sorted(found, key=lambda entry: bool(set(entry[0].statistics) & set(entry[0].inputs)))


def _derivation(operator: Operator) -> None:
    """The gradient's derivation in a few lines: its end, and where a term vanishes."""
    derivation = operator.derivation()
    console.print(
        f"[bold]Derivation[/]: {operator.name}_backward from {operator.name} in {len(derivation.steps)} steps,"
    )
    console.print("each proved in exact rational arithmetic. At one of them a term vanishes:")
    step = next(one for one in derivation.steps if one.rule == "vanishing sum")
    (gone, *_) = step.before.rhs.atoms(Sum) - step.after.rhs.atoms(Sum)
    console.print(f"  {notation.plain(step.before)}", markup=False, soft_wrap=True)
    console.print(
        f"  {notation.plain(step.after)}, because {notation.plain_text(gone)} = 0", markup=False, soft_wrap=True
    )
    console.print(f"The whole page: symbn derive {operator.name} --format html -o page.html\n", markup=False)


def _images() -> tuple[Any, str]:
    """8x8 images of handwritten digits, or something like them."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        random = np.random.default_rng(0)
        made = np.round(16 * random.random((1797, 8, 8)) * (random.random((1, 8, 8)) > 0.1))
        return made, "1797 random 8x8 images (scikit-learn, which has real ones, is not installed)"
    return load_digits().images, "1797 handwritten digits of 8x8 pixels (scikit-learn)"


def _layouts(images: Any, dtype: str) -> list[tuple[str, Any, int]]:
    """The images as (N, C): a feature for each pixel; and as (N, C, H, W), both ways: one for each quadrant."""
    pixels = images.reshape(len(images), -1).astype(dtype)
    quadrants = images.reshape(-1, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 4, 4, 4).astype(dtype)
    last = np.ascontiguousarray(quadrants.transpose(0, 2, 3, 1))
    return [("N,C", pixels, 1), ("N,C,H,W", quadrants, 1), ("N,H,W,C", last, 3)]


def _inputs(operator: Operator, x: Any, axis: int, known: Mapping[str, Any]) -> dict[str, Any]:
    """An input for each name: the data, statistics of an earlier run, parameters, defaults for numbers."""
    random = np.random.default_rng(1)
    result = {}
    data = [name for name in operator.inputs if len(operator.arrays.get(name, ())) == 2]
    for name in operator.inputs:
        if name in data:
            # What comes before the data is the gradient of an output.
            result[name] = x if name == data[-1] else random.normal(size=x.shape).astype(x.dtype)
        elif name in operator.arrays:
            result[name] = known.get(name, random.uniform(0.5, 1.5, x.shape[axis]).astype(x.dtype))
        elif name not in operator.defaults:
            result[name] = 1.0
    return result


def _axes(operator: Operator, binding: AxisBinding, ndim: int, axis: int) -> dict[str, tuple[str, ...]]:
    axes = tuple(binding.index if one == axis else binding.rest for one in range(ndim))
    return {name: axes for name in operator.inputs if len(operator.arrays.get(name, ())) == 2}


def _table(operators: list[tuple[Operator, AxisBinding]], built: kernels.Kernels, images: Any) -> tuple[Table, bool]:
    table = kernels.table()
    good = True
    with kernels.progress() as progress:
        task = progress.add_task("running and checking", total=len(operators) * len(DTYPES) * 3)
        for dtype in DTYPES:
            for layout, x, axis in _layouts(images, dtype):
                table.add_row(f"[bold]{dtype}, {layout}[/]")
                known: dict[str, Any] = {}
                for operator, binding in operators:
                    kernel = built[operator.name, dtype]
                    inputs = _inputs(operator, x, axis, known)
                    axes = _axes(operator, binding, x.ndim, axis)
                    report = kernel.report(axes=axes, **inputs)
                    result = kernel(axes=axes, check="off", **inputs)
                    if hasattr(result, "_asdict"):
                        known.update(result._asdict())
                    good = good and report.passed
                    kernels.add_rows(table, operator.name, report)
                    progress.advance(task)
    return table, good


def _broken(operator: Operator, images: Any) -> bool:
    """Break one equation, run that kernel under the true equations' check, and show what it says."""
    number, broken = _mutate(operator)
    console.print(f"\n[bold]A broken kernel[/]: equation ({number}) is compiled as")
    console.print(notation.plain(broken.equations[number - 1]), markup=False)
    good = True
    for dtype in DTYPES.values():
        source = pipeline.emit(broken, dtype)
        impostor = Kernel(operator, source, native.build(source))
        _, x, axis = _layouts(images, dtype.name)[0]
        report = impostor.report(**_inputs(operator, x, axis, {}))
        good = good and not report.passed
        console.print(f"\n[bold]{dtype.name}[/]: " + ("[red]PASSED[/]" if report.passed else "[green]refused[/]"))
        console.print(str(report), markup=False, soft_wrap=True)
    return good


def _mutate(operator: Operator) -> tuple[int, Operator]:
    """The operator with the last mean in its equations divided by one too few."""
    number = max(n for n, eq in enumerate(operator.equations, 1) if eq.has(Sum))
    eq = operator.equations[number - 1]
    count: Expr = next(iter(eq.atoms(Sum))).limits[0][2]
    wrong = Eq(eq.lhs, eq.rhs * count / (count - 1))
    mutated = [wrong if n == number else one for n, one in enumerate(operator.equations, 1)]
    return number, Operator(
        operator.name,
        mutated,
        operator.outputs,
        inputs=operator.inputs,
        statistics=operator.statistics,
        defaults=operator.defaults,
        domains=operator.domains,
    )
