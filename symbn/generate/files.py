"""The files of generated/, by name: the same text on every run and machine."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from symbn import equations, pipeline
from symbn.dtypes import DTYPES
from symbn.errors import ArgumentError
from symbn.generate import function


def files(name: str) -> dict[str, str]:
    """What a shipped operator becomes: C and header for each dtype, LaTeX, and the Python function."""
    operator, binding = equations.load(name)
    sources = [pipeline.emit(operator, dtype) for dtype in DTYPES.values()]
    result = {}
    for source in sources:
        result[f"{source.interface.function}.c"] = source.text
        result[f"{source.interface.function}.h"] = source.header
    result[f"{name}.tex"] = operator.latex() + "\n"
    result[f"{name}.py"] = function.module(operator, binding, tuple(source.interface for source in sources))
    return result


def write(names: Iterable[str], folder: Path) -> list[Path]:
    """Write the files of some operators; all of them or, where one cannot be written, an error."""
    wanted = [entry for name in names for entry in files(name).items()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in wanted:
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"output: {folder} cannot be written: {error.strerror}") from None
    return [folder / name for name, _ in wanted]


def stale(names: Iterable[str], folder: Path) -> str:
    """The difference between the folder and what the equations give, empty where there is none."""
    parts: list[str] = []
    for operator in names:
        for name, text in files(operator).items():
            path = folder / name
            there = path.read_text(encoding="utf-8") if path.is_file() else ""
            parts += difflib.unified_diff(
                there.splitlines(keepends=True),
                text.splitlines(keepends=True),
                f"{path} (there)",
                f"{path} (generated)",
            )
    return "".join(parts)
