"""``symbn run``: a shipped operator on a user's file."""

from __future__ import annotations

import importlib
import inspect
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from symbn import catalogue, files
from symbn.errors import ArgumentError
from symbn.generate.function import ARGUMENT_NAMES
from symbn.run.settings import get_num_threads

_KINDS = (".npz", ".npy", ".csv")


def run(operator: str, source: Path, target: Path, settings: list[str], dtype: str | None, check: str | None) -> str:
    """Read, run, write; returns a line that says what was done."""
    catalogue.load(operator)
    get_num_threads()  # a bad setting is an error even where one thread is enough
    for path, argument in ((source, "input"), (target, "output")):
        if path.suffix.lower() not in _KINDS:
            raise ArgumentError(f"{argument}: {path} is not a file of a known kind; expected {', '.join(_KINDS)}")
    function = getattr(importlib.import_module(f"symbn.shipped.{operator}"), operator)
    signature = inspect.signature(function)
    arrays = read(source)
    first = next(iter(signature.parameters))
    # A file may call an array or a number what the equations or what the function calls it.
    arrays = {ARGUMENT_NAMES.get(name, name) if name else first: a for name, a in arrays.items()}
    values = {**{name: _cast(a, dtype, name) for name, a in arrays.items()}, **_numbers(settings, signature)}
    known = ", ".join(_settable(signature))
    for name in values:
        if name not in _settable(signature):
            raise ArgumentError(f"input: {operator} has no argument {name!r}; it has {known}")
    required = [name for name, one in signature.parameters.items() if one.default is inspect.Parameter.empty]
    missing = [name for name in required if name not in values]
    if missing:
        raise ArgumentError(
            f"input: {source} has no {', '.join(missing)}, which {operator} needs; a number comes from --set"
        )
    for name, value in values.items():
        # A scalar input may come from the file too.
        if isinstance(value, np.ndarray) and value.ndim == 0:
            values[name] = value.item()
    result = function(**values, check=check)
    outputs = result._asdict() if hasattr(result, "_asdict") else {catalogue.load(operator)[0].outputs[0]: result}
    write(target, outputs)
    shapes = ", ".join(f"{name} {a.dtype}{list(a.shape)}" for name, a in outputs.items())
    return f"{target}: {shapes if target.suffix.lower() == '.npz' else shapes.partition('], ')[0].rstrip(']') + ']'}"


def _settable(signature: inspect.Signature) -> list[str]:
    """The arguments that a file or an option can give."""
    return [name for name in signature.parameters if name not in ("out", "check")]


def _cast(array: Any, dtype: str | None, name: str) -> Any:
    if dtype is None:
        return array
    if dtype not in ("float32", "float64"):
        raise ArgumentError(f"dtype: {dtype!r} has no kernels; expected float32 or float64")
    if array.dtype.kind not in "fiu":
        raise ArgumentError(f"input: {name} has dtype {array.dtype}, which is not a real number")
    return array.astype(dtype)


def _numbers(settings: list[str], signature: inspect.Signature) -> Mapping[str, Any]:
    result: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = ARGUMENT_NAMES.get(name, name)
        if not equals or name not in _settable(signature):
            known = ", ".join(_settable(signature))
            raise ArgumentError(f"set: {setting!r} is not NAME=VALUE with a name among {known}")
        for convert in (int, float):
            try:
                result[name] = convert(text)
                break
            except ValueError:
                continue
        else:
            if text.lower() not in ("true", "false", "none"):
                raise ArgumentError(f"set: {text!r} for {name} is not a number")
            result[name] = {"true": True, "false": False, "none": None}[text.lower()]
    return result


def read(path: Path) -> dict[str, Any]:
    """The arrays of a file; the one of a file that names none is called ''."""
    try:
        if path.suffix.lower() == ".csv":
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # NumPy warns of a file without data
                return {"": np.loadtxt(path, delimiter=",", ndmin=2)}
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return {"": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise ArgumentError(f"input: {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, UserWarning, EOFError, KeyError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        pickled = "allow_pickle" in str(error) or "pickled" in str(error)
        reason = "it holds something other than arrays" if pickled else str(error).partition("\n")[0]
        raise ArgumentError(f"input: {path} is not a {path.suffix[1:]} file of numbers: {reason}") from None


def write(path: Path, outputs: Mapping[str, Any]) -> None:
    """Write the outputs; a file is there whole or not at all."""
    first = next(iter(outputs.values()))
    kind = path.suffix.lower()
    if kind == ".csv" and first.ndim > 2:
        raise ArgumentError(f"output: a csv file has two dimensions, the result has {first.ndim}; write .npz or .npy")
    save: dict[str, Callable[[Any], object]] = {
        ".npz": lambda file: np.savez(file, **outputs),
        ".npy": lambda file: np.save(file, first),
        ".csv": lambda file: np.savetxt(file, first, delimiter=",", fmt="%.17g" if first.itemsize == 8 else "%.9g"),
    }
    files.write(path, save[kind], "output")
