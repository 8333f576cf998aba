"""Importing and calling the shipped functions is light: no SymPy, no Jinja2, no C parser, no compiler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

import symbn

HEAVY = ["sympy", "jinja2", "cffi", "pycparser", "typer", "rich", "sklearn", "symbn.build", "symbn.kernel", "mpmath"]


def run(script, **environment):
    """What a Python process with nothing on its PATH prints, as JSON."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PATH", "CC", "SYMBN_CHECK")}
    script = "import json, sys\n" + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", script],
        env=kept | {"PATH": ""} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def heavy(modules):
    return [name for name in modules if any(name == one or name.startswith(one + ".") for one in HEAVY)]


def test_import_loads_nothing_but_itself():
    modules = run("import symbn; json.dump(sorted(sys.modules), sys.stdout)")
    assert "symbn" in modules
    assert heavy(modules) == []
    assert "numpy" not in modules


@pytest.mark.parametrize("check", ["full", "sample", "off"])
def test_the_first_call_of_each_function_loads_numpy_and_no_more(check):
    modules = run(
        """
        import numpy as np, symbn
        x = np.arange(12.0).reshape(4, 3)
        r = symbn.batch_norm(x)
        symbn.batch_norm_inference(x, r.mean, r.var)
        symbn.update_running_stats(r.mean, r.var, r.mean, r.var, 4)
        symbn.batch_norm(x.astype("float32").T, axis=0)
        json.dump(sorted(sys.modules), sys.stdout)
        """,
        SYMBN_CHECK=check,
    )
    assert "symbn.shipped.native" in modules
    assert ("symbn.run.check" in modules) == (check != "off")
    assert heavy(modules) == []


def test_the_list_of_heavy_modules_is_not_blind():
    """The operators do load SymPy, so that its absence elsewhere means something."""
    modules = run("import symbn; symbn.operators.batch_norm; json.dump(sorted(sys.modules), sys.stdout)")
    assert "sympy" in heavy(modules)


def test_without_a_compiler_a_build_says_what_to_install():
    said = run(
        """
        import symbn
        try:
            symbn.build(symbn.operators.batch_norm)
        except symbn.CompilerError as error:
            json.dump(str(error), sys.stdout)
        """
    )
    assert "no C compiler" in said
    assert "install" in said


def test_public_names_resolve():
    for name in symbn.__all__:
        assert getattr(symbn, name) is not None
    for name in ("batch_norm", "batch_norm_inference", "update_running_stats"):
        assert callable(getattr(symbn, name))
    assert symbn.__all__ == sorted(symbn.__all__, key=lambda name: (not name[0].isupper(), name))


@pytest.mark.parametrize("first", ["symbn.pipeline", "symbn.build.cache", "symbn.build"])
def test_build_is_the_function_whatever_was_imported_before(first):
    """The folder of the same name must not take the function's place."""
    said = run(f"import {first}, symbn; json.dump([callable(symbn.build), 'CompilerError' in dir(symbn)], sys.stdout)")
    assert said == [True, True]


def test_star_import_gives_the_public_names():
    names = run("from symbn import *; json.dump(sorted(globals()), sys.stdout)")
    assert set(symbn.__all__) <= set(names)


def test_dir_lists_the_public_names():
    assert set(symbn.__all__) <= set(dir(symbn))
    assert {"batch_norm", "batch_norm_inference"} <= set(dir(symbn))


@pytest.mark.parametrize("name", ["unknown", "_private", "native", "batch_norms", "x.y", ""])
def test_an_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=r"module 'symbn' has no attribute"):
        getattr(symbn, name)


def test_exceptions_have_one_root_and_pythons_own_kinds():
    kinds = {
        "EquationError": ValueError,
        "LoweringError": ValueError,
        "ArgumentError": ValueError,
        "ArgumentTypeError": TypeError,
        "CompilerError": RuntimeError,
        "CacheError": RuntimeError,
        "NotBuiltError": RuntimeError,
        "CheckError": ArithmeticError,
    }
    for name, kind in kinds.items():
        assert issubclass(getattr(symbn, name), symbn.SymbnError)
        assert issubclass(getattr(symbn, name), kind)
