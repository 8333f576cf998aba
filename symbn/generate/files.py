"""The files of generated/, by name: the same text on every run and machine."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from symbn import catalogue, pipeline
from symbn.derivation.derivation import Derivation
from symbn.dtypes import DTYPES
from symbn.emit.c import Source
from symbn.equations.operator import Operator
from symbn.errors import ArgumentError
from symbn.files import write as write_file
from symbn.generate import function

_KINDS = frozenset({".c", ".h", ".tex", ".py", ".md", ".html"})


def files(name: str) -> dict[str, str]:
    """What a shipped operator becomes: C for each dtype, LaTeX, a Python function, the pages of its gradient."""
    operator, binding = catalogue.load(name)
    sources = [pipeline.emit(operator, dtype) for dtype in DTYPES.values()]
    result = texts(operator, sources, operator.derivation() if catalogue.has_gradient(name) else None)
    result[f"{name}.py"] = function.module(operator, binding, tuple(source.interface for source in sources))
    return result


def texts(operator: Operator, sources: Iterable[Source], derivation: Derivation | None) -> dict[str, str]:
    """What any operator becomes: its C, its LaTeX, and the pages of its gradient where there is one."""
    result = {}
    for source in sources:
        result[f"{source.interface.function}.c"] = source.text
        result[f"{source.interface.function}.h"] = source.header
    result[f"{operator.name}.tex"] = operator.latex() + "\n"
    if derivation is not None:
        result[f"{operator.name}_gradient.tex"] = derivation.latex()
        result[f"{operator.name}_gradient.md"] = derivation.markdown()
        result[f"{operator.name}_gradient.html"] = derivation.html()
    return result


def write(names: Iterable[str], folder: Path) -> list[Path]:
    """Write the files of some shipped operators."""
    return put({name: text for operator in names for name, text in files(operator).items()}, folder)


def put(wanted: Mapping[str, str], folder: Path) -> list[Path]:
    """Write files into a folder, each whole or not at all; ArgumentError where one cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"output: {folder} cannot be made: {error.strerror}") from None
    for name, text in wanted.items():
        write_file(folder / name, lambda file, text=text: file.write(text.encode()), "output")  # type: ignore[misc]
    return [folder / name for name in wanted]


def stale(names: Iterable[str], folder: Path) -> str:
    """The difference between the folder and what the equations give, empty where there is none.

    Where all operators are asked for, a file that belongs to none of them is a difference too.
    """
    if not folder.is_dir():
        raise ArgumentError(
            f"output: there is no folder {folder} here; run this in a checkout of symbn or name another"
        )
    wanted = {name: text for operator in names for name, text in files(operator).items()}
    if set(names) == set(catalogue.names()):
        wanted |= {path.name: "" for path in folder.iterdir() if path.suffix in _KINDS and path.name not in wanted}
    parts: list[str] = []
    for name, text in wanted.items():
        path = folder / name
        there = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        before, after = there.splitlines(keepends=True), text.splitlines(keepends=True)
        parts += difflib.unified_diff(before, after, f"{path} (there)", f"{path} (generated)")
    return "".join(parts)
