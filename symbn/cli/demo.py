"""``symbn demo``: the whole way for batch norm, then every shipped function on real data."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from sympy import Eq, Expr, Sum

from symbn import catalogue, pipeline
from symbn.build import native
from symbn.catalogue import operators
from symbn.cli import kernels
from symbn.cli.console import console
from symbn.dtypes import DTYPES
from symbn.equations import notation
from symbn.equations.operator import Operator
from symbn.run.axes import Axes
from symbn.run.check import OutputReport, Report
from symbn.run.kernel import Kernel


def run() -> bool:
    """Show everything; False if a run failed its check or the broken kernel passed it."""
    shown = [operators.batch_norm, operators.batch_norm_backward]
    for operator in shown:
        text = Text(notation.terminal(operator.equations))
        console.print(Panel(text, title=operator.name, title_align="left", expand=False))
    _derivation(shown[0])
    kernels.build(shown, [*DTYPES])
    images, source = _images()
    console.print(f"\n[bold]The whole family[/] on {source}, each element of each output against the equations:")
    table, good = _table(images)
    console.print(table)
    same = _from_page(images)
    return _broken(shown[0], images) and good and same


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


def _layouts(images: Any, dtype: str) -> list[Any]:
    """The images as (N, C, H, W) in both memory orders, with a channel for each quadrant."""
    quadrants = images.reshape(-1, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 4, 4, 4).astype(dtype)
    last = np.ascontiguousarray(quadrants.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return [quadrants, last]


def _runs(x: Any) -> Iterator[tuple[str, Report]]:
    """Every shipped function that takes such data, as it was installed; what one returns is there for the next."""
    random = np.random.default_rng(1)
    known: dict[str, dict[str, Any]] = {}
    for name in catalogue.names():
        binding = catalogue.binding(name)
        if binding is None:
            continue
        module = importlib.import_module(f"symbn.shipped.{name}")
        interface, call = module.INTERFACE, module.CALL
        where = 2 if binding.groups else binding.axis
        axes = Axes(tuple(binding.places.items()), binding.argument)
        inputs = [one for one in interface.arrays if one.role == "input"]
        bound = axes.bind([(one, x, one.name) for one in inputs if axes.is_data(one)], where)
        saved = known.get(name.removesuffix("_backward").removesuffix("_inference"), {})
        arrays = []
        for one in inputs:
            drawn = random.normal(size=bound.shape(one, x.shape)).astype(x.dtype)
            arrays.append(x if one.name == "x" else saved.get(one.name, drawn))
        scalars = [dict(interface.defaults)[one.name] for one in interface.scalars]
        result = call(arrays, scalars, where, None, "off")
        known[name] = dict(zip(interface.outputs, result if isinstance(result, tuple) else [result], strict=True))
        yield name, call.report(arrays, scalars, where)


def _table(images: Any) -> tuple[Table, bool]:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title in ("operator", *DTYPES, "verdict"):
        table.add_column(title, no_wrap=True)
    found: dict[str, dict[str, list[OutputReport]]] = {}
    with kernels.progress() as progress:
        task = progress.add_task("running and checking", total=2 * len(DTYPES))
        for dtype in DTYPES:
            for x in _layouts(images, dtype):
                for name, report in _runs(x):
                    found.setdefault(name, {}).setdefault(dtype, []).extend(report.outputs)
                progress.advance(task)
    good = True
    for name, by_dtype in found.items():
        passed = all(one.passed for outputs in by_dtype.values() for one in outputs)
        good = good and passed
        worst = [max(outputs, key=lambda one: one.worst[0].ratio) for outputs in by_dtype.values()]
        errors = [f"{one.worst[0].error:.3f} of {one.worst[0].limit:.2f} ({one.name})" for one in worst]
        table.add_row(name, *errors, "[green]good[/]" if passed else "[red]refused[/]")
    table.caption = "the largest error of any output and its limit, in scaled ulps; both memory orders"
    table.caption_justify = "left"
    return table, good


def _from_page(images: Any) -> bool:
    """The shipped page of batch norm as a kernel of its own; does it give the shipped function's bits?"""
    page = Path(str(files("symbn") / "equations" / "batch_norm.md"))
    kernel = pipeline.build(Operator.from_markdown(page, name="from_page"))
    x = images.reshape(len(images), -1).astype("float32")
    gamma, beta = np.random.default_rng(2).normal(size=(2, x.shape[1])).astype("float32")
    shipped = importlib.import_module("symbn.shipped.batch_norm").batch_norm(x, gamma, beta)
    own = kernel(x=x, gamma=gamma, beta=beta, epsilon=1e-5)
    same = all(a.tobytes() == b.tobytes() for a, b in zip(own, shipped, strict=True))
    said = "[green]the same bits[/] as" if same else "[red]other bits than[/]"
    told = f"the formulas of {page.name}, compiled, give {said} the shipped batch_norm"
    console.print(f"\n[bold]From a page[/]: {told}", soft_wrap=True)
    return same


def _broken(operator: Operator, images: Any) -> bool:
    """Break one equation, run that kernel under the true equations' check, and show what it says."""
    number, broken = _mutate(operator)
    console.print(f"\n[bold]A broken kernel[/]: equation ({number}) is compiled as")
    console.print(notation.plain(broken.equations[number - 1]), markup=False)
    good = True
    for dtype in DTYPES.values():
        source = pipeline.emit(broken, dtype)
        impostor = Kernel(operator, source, native.build(source))
        report = impostor.report(x=images.reshape(len(images), -1).astype(dtype.name))
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
