"""Libraries with several instruction sets, and the package of shipped kernels."""

import shutil
import subprocess
import sys
from pathlib import Path

import cffi
import numpy as np
import pytest

from symbn import dtypes, pipeline
from symbn.build import compiler, library, shipping
from symbn.build.declarations import declarations
from symbn.build.native import Native
from symbn.run.kernel import Kernel


@pytest.fixture
def kernels(operator, real_compiler, tmp_path):
    """The kernel of each instruction set that this CPU has, from one library, and the library's own choice."""
    assert real_compiler
    source = pipeline.emit(operator, dtypes.FLOAT32)
    targets = compiler.targets()
    unit = library.Unit(source.interface.function, source.text, source.header)
    path = library.compile_library([unit], compiler.find(), targets, tmp_path, "all.so")
    ffi = cffi.FFI()
    struct, function = declarations(source.header)
    ffi.cdef(struct)
    names = [library.name_for(unit.function, target) if len(targets) > 1 else unit.function for target in targets]
    for name in names:
        ffi.cdef(function.replace(f"{unit.function}(", f"{name}("))
    if len(targets) > 1:
        ffi.cdef(f"int {library.CHOOSE}(void);")
    loaded = ffi.dlopen(str(path))
    made = {
        target.name: Kernel(operator, source, Native(source.interface, ffi, getattr(loaded, name), path, False))
        for target, name in zip(targets, names, strict=True)
        if set(target.features) <= compiler.cpu_features()
    }
    chosen = targets[getattr(loaded, library.CHOOSE)() if len(targets) > 1 else 0]
    return made, chosen


@pytest.mark.parametrize("order", ["C", "F"])
def test_all_instruction_sets_give_the_same_bits(kernels, order):
    made, chosen = kernels
    assert chosen == compiler.native_target()
    rng = np.random.default_rng(1)
    for shape in ((1, 1), (37, 5), (700, 131)):
        x = np.asarray(rng.normal(100, 1, shape), "float32", order=order)
        results = {name: kernel(x=x, check="off") for name, kernel in made.items()}
        for name, result in results.items():
            for got, wanted in zip(result, results["baseline"], strict=True):
                assert got.tobytes() == wanted.tobytes(), f"{name} differs from the baseline"


def test_one_target_keeps_the_functions_name():
    unit = library.Unit("f", "", "")
    commands = library.commands([unit], compiler.Compiler(("cc",), "", True), [compiler.BASELINE], "l.so")
    assert len(commands) == 2
    assert not any("-Df" in word for command in commands for word in command)


def test_declarations_of_a_header(small):
    struct, function = declarations(small.header)
    assert struct.startswith("typedef struct {")
    assert struct.rstrip().endswith("} twice_float32_layout;")
    assert function.startswith("int twice_float32(")
    assert "float" not in function.replace("twice_float32", "")
    with pytest.raises(ValueError, match="no layout"):
        declarations("int x;")


_SCRIPT = """
import sys, types
import numpy as np
import symbn
package = types.ModuleType("symbn.shipped")
package.__path__ = [sys.argv[1]]
sys.modules["symbn.shipped"] = package
from symbn.shipped.running_stats import running_stats
one = np.ones(3, "float32")
for check in ("off", "full"):
    print(running_stats(one, one, 2 * one.astype("float64"), one.astype("float64"), 4.0, 0.5, False, check=check))
print(sorted(set(sys.modules) & {"sympy", "jinja2", "cffi"}))
"""


def test_the_shipped_package_works(tmp_path, real_compiler):
    """Compiled from committed C alone, and called without SymPy, Jinja2 or cffi's compiler side."""
    assert real_compiler
    generated = Path(__file__).resolve().parents[2] / "generated"
    some, made = tmp_path / "generated", tmp_path / "made"
    some.mkdir()
    made.mkdir()
    for path in generated.glob("running_stats*"):
        shutil.copy2(path, some)
    files = shipping.make(some, made)
    assert {path.name for path in files} == {"__init__.py", "native.py", shipping.LIBRARY, "running_stats.py"}
    assert all(path.is_file() for path in files)
    result = subprocess.run([sys.executable, "-c", _SCRIPT, str(made)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    *_, modules = result.stdout.splitlines()
    assert modules == "[]"
    assert result.stdout.count("1.5") >= 6
