"""C sources -> one shared library, for one instruction set or for several with the choice left to run time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from symbn.build.compiler import Compiler, Target

#: the C function that tells which of a library's targets this machine's CPU can run, best first
CHOOSE = "symbn_target"


@dataclass(frozen=True)
class Unit:
    """One C function to compile: its name, its file and its header."""

    function: str
    text: str
    header: str


def name_for(function: str, target: Target) -> str:
    """A function's name in a library that has it for several targets."""
    return f"{function}_{target.name}"


def commands(units: Sequence[Unit], compiler: Compiler, targets: Sequence[Target], library: str) -> list[list[str]]:
    """The compiler's arguments for each object, and last for the library."""
    result, objects = [], []
    flags = list(compiler.flags())
    for unit in units:
        for target in targets:
            name = name_for(unit.function, target)
            rename = [f"-D{unit.function}={name}"] if len(targets) > 1 else []
            result.append([*flags, *target.flags, *rename, "-c", f"{unit.function}.c", "-o", f"{name}.o"])
            objects.append(f"{name}.o")
    if len(targets) > 1:
        result.append([*flags, "-c", f"{CHOOSE}.c", "-o", f"{CHOOSE}.o"])
        objects.append(f"{CHOOSE}.o")
    return [*result, [*flags, "-shared", *objects, "-o", library, "-lm"]]


def compile_library(
    units: Sequence[Unit], compiler: Compiler, targets: Sequence[Target], folder: Path, library: str
) -> Path:
    """Compile and link in ``folder``, which must be empty and private; returns the library's path."""
    for unit in units:
        (folder / f"{unit.function}.c").write_text(unit.text, encoding="utf-8")
        (folder / f"{unit.function}.h").write_text(unit.header, encoding="utf-8")
    if len(targets) > 1:
        (folder / f"{CHOOSE}.c").write_text(_choose(targets), encoding="utf-8")
    *objects, link = commands(units, compiler, targets, library)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda arguments: compiler.run(arguments, folder), objects))
    compiler.run(link, folder)
    return folder / library


def _choose(targets: Sequence[Target]) -> str:
    """The C of the function that picks a target."""
    lines = [f"int {CHOOSE}(void);", "", f"int {CHOOSE}(void)", "{"]
    for number, target in enumerate(targets):
        condition = " && ".join(f'__builtin_cpu_supports("{feature}")' for feature in target.features)
        lines += [f"    if ({condition})", f"        return {number};"] if condition else [f"    return {number};"]
    return "\n".join([*lines, "}", ""])
