"""Generated C: it compiles without a warning, alone, and says which equation each statement comes from."""

import os
import re
import subprocess
import sys

import jinja2
import pytest
from sympy import Eq, Idx, IndexedBase, Sum, Symbol, symbols

from symbn import equations, pipeline
from symbn.dtypes import FLOAT32, FLOAT64
from symbn.emit import templates
from symbn.equations.operator import Operator
from symbn.errors import LoweringError

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
x, y = IndexedBase("x"), IndexedBase("y")


@pytest.fixture(params=[FLOAT32, FLOAT64], ids=lambda dtype: dtype.name)
def dtype(request):
    return request.param


@pytest.mark.parametrize(("dtype", "flags"), [(FLOAT32, ["-fopenmp"]), (FLOAT64, [])], ids=["openmp", "one-thread"])
def test_compiles_without_a_warning(operator, dtype, emit, compiler, compiles, flags):
    compiles(compiler, emit(operator, dtype), "-fsyntax-only", *flags)


@pytest.mark.parametrize("name", equations.names())
def test_compiles_without_a_warning_when_optimized(operators, emit, compiler, compiles, name):
    """Optimizers see more: what may be used uninitialized, what is out of bounds."""
    compiles(compiler, emit(operators[name], FLOAT32), "-O2", "-fopenmp")


def test_is_standalone(operator, dtype, emit):
    source = emit(operator, dtype)
    included = re.findall(r"#include (\S+)", source.text + source.header)
    known = {"<math.h>", "<stdlib.h>", "<stddef.h>"}
    if "<stdint.h>" in included:  # what is written past the cache, where the processor can
        assert "#ifdef __SSE2__\n#include <immintrin.h>\n#endif\n" in source.text
        known |= {"<stdint.h>", "<string.h>", "<immintrin.h>"}
    assert set(included) == {f'"{source.interface.function}.h"', *known}


def test_lists_its_equations(operators, dtype):
    source = pipeline.emit(operators["batch_norm"], dtype)
    for text in (source.text, source.header):
        assert " *   (1) mu[k] = Sum(x[i, k], i=1..m)/m\n" in text
        assert "(3) y[i, k] = " in text


def test_each_value_carries_its_equations_label(operator, emit):
    """A statement that divides, calls or stores an output stands below a comment with an equation's number."""
    source = emit(operator, FLOAT32)
    known = {f"({number})" for number in range(1, len(operator.equations) + 1)}
    label = None
    body = source.text[source.text.index("_layout *layout") :]
    stored = set()
    for line in body.splitlines():
        comment = re.fullmatch(r"\s*/\* ((?:\(\d+\)(?:, )?)+) \*/", line)
        if comment:
            label = comment.group(1)
            assert set(label.split(", ")) <= known
        elif re.match(r"static void|\s*\}$|\s*for ", line):
            label = None if line.startswith("static") else label
        elif re.search(r"\b(sqrt|exp|log|tanh|fabs|nan_max|sign_of)\(", line) and not line.startswith("static"):
            assert label, f"no equation for: {line}"
        for name in operator.outputs:
            if re.match(rf"\s*(const double )?{name}(_row\w*)?\[.*\] = ", line):
                assert label, f"no equation for: {line}"
                stored.add(name)
    assert {name for name in operator.outputs if name.isidentifier()} <= stored


def test_constants_of_both_signs_and_sizes(compiler, compiles):
    expr = x[k] * 10**20 - 3 * x[k] ** 5 + Symbol("c") * 1e-300 - 7
    compiles(compiler, pipeline.emit(Operator("op", [Eq(y[k], expr)], outputs=[y]), FLOAT32))


def test_names_that_c_has_taken(compiler, compiles):
    """Arrays, scalars, indices and extents that are called like words of C, of the kernel or of its headers."""
    words = [
        "int",
        "double",
        "layout",
        "threads",
        "block",
        "lane",
        "malloc",
        "free",
        "exp",
        "y0",
        "status",
        "workspace",
    ]
    words += ["SIMD", "place", "smaller", "locate", "ptrdiff_t", "size_t", "NAN", "INFINITY", "EOF", "op_float32"]
    arrays = [IndexedBase(Symbol(word)) for word in words]
    a, b = Idx("for", (1, Symbol("while"))), Idx("static", (1, Symbol("void")))
    total = sum((array[a, b] for array in arrays), 0)
    t = IndexedBase("t")
    operator = Operator(
        "op",
        [
            Eq(t[b], Sum(total, (a, 1, Symbol("while"))) * Symbol("return") + Symbol("I")),
            Eq(y[a, b], arrays[0][a, b] - t[b]),
        ],
        outputs=[y, t],
    )
    for dtype in (FLOAT32, FLOAT64):
        compiles(compiler, pipeline.emit(operator, dtype))


@pytest.mark.parametrize(
    "word", ["sqrt", "malloc", "free", "SIMD", "smaller", "workspace", "ptrdiff_t", "fma", "y1", "abs"]
)
def test_an_output_or_index_of_a_taken_name(compiler, compiles, word):
    out, index = IndexedBase(Symbol(word)), Idx(Symbol(word + "x", integer=True), (1, m))
    operator = Operator("op", [Eq(out[k], (Sum(x[i, k] ** 2, (i, 1, m)) / m) ** 0.5)], outputs=[out])
    compiles(compiler, pipeline.emit(operator, FLOAT32))
    operator = Operator("op", [Eq(y[index], x[index] * 2)], outputs=[y])
    compiles(compiler, pipeline.emit(operator, FLOAT32))


@pytest.mark.parametrize("text", ["ends */ early", "opens /* again", "a\\", "*/", "/*/", "ünïcode"])
def test_a_description_stays_in_its_comment(compiler, compiles, text):
    operator = Operator("op", [Eq(y[k], x[k] * 2)], outputs=[y], description=f"{text}\n\nmore {text}")
    compiles(compiler, pipeline.emit(operator, FLOAT32))


@pytest.mark.parametrize("name", ["a*/b", "/*", "//", "a\\"])
def test_a_name_stays_in_its_comment(compiler, compiles, name):
    operator = Operator("op", [Eq(y[k], x[k] * Symbol(name))], outputs=[y])
    compiles(compiler, pipeline.emit(operator, FLOAT32))


def test_a_constant_too_large_is_refused():
    operator = Operator("op", [Eq(y[k], x[k] * 10**400)], outputs=[y])
    with pytest.raises(LoweringError, match="larger than any float64"):
        pipeline.emit(operator, FLOAT32)


_SCRIPT = """
import runpy, sys
from symbn import dtypes, equations, pipeline
operators = {**runpy.run_path(sys.argv[1])["OPERATORS"], **{n: equations.load(n)[0] for n in equations.names()}}
for name in ("batch_norm", "running_stats", "grouped_norm", "row_norm_gradient", "compound_conditions"):
    source = pipeline.emit(operators[name], dtypes.FLOAT64)
    print(source.header, source.text, source.interface)
"""


def test_the_same_text_on_every_run(request):
    users = request.path.parents[1] / "kernel" / "user_operators.py"
    texts = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", _SCRIPT, str(users)]
        texts.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(texts) == 1


def test_templates_refuse_a_name_that_they_are_not_given():
    with pytest.raises(jinja2.UndefinedError):
        templates.render("kernel.h.j2")


def test_templates_are_found():
    assert {"kernel.c.j2", "kernel.h.j2", "declarations.h.j2", "function.py.j2"} <= {
        path.name for path in templates.folder().iterdir()
    }
