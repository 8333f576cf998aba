"""The order of the house: imports flow along the pipeline, and only equations/ knows an operator's name."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from symbn import equations

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "symbn"

#: the stages, each of which may import itself and what stands before it
STAGES = (
    {"dtypes", "errors", "files", "loading"},
    {"equations"},
    {"derivation"},
    {"parse"},
    {"kernel"},
    {"emit"},
    {"build"},
    {"run"},
    {"render"},
    {"catalogue", "generate", "pipeline", "running", "shipped", "bench", "cli"},
)
#: the public names are loaded from wherever they live
EXEMPT = {"symbn/__init__.py", "symbn/__main__.py"}
RANK = {name: rank for rank, names in enumerate(STAGES) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "shipped" not in path.relative_to(PACKAGE).parts[:-1])


def imports_of(path):
    """The parts of symbn that a file imports, wherever in the file; not those for types alone."""
    return imports_in(ast.parse(path.read_text(encoding="utf-8")), path)


def imports_in(tree, path):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in node.orelse:
                yield from imports_in(other, path)
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1:] for alias in node.names if alias.name.split(".")[0] == "symbn")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            first, *rest = (node.module or "").split(".")
            if first == "symbn":
                yield from ([*rest, alias.name] for alias in node.names)
        else:
            yield from imports_in(node, path)


def stage_of(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert part in RANK, f"symbn/{part} has no place in the pipeline; give it one in STAGES"
    return part


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_flow_along_the_pipeline(path):
    if path.relative_to(ROOT).as_posix() in EXEMPT:
        return
    own = stage_of(path)
    for parts in imports_of(path):
        if parts and parts[0] not in RANK:
            continue  # a public name or __version__, from the package itself
        if parts:
            assert RANK[parts[0]] <= RANK[own], f"{own} imports {'.'.join(parts)}, which comes after it"


def test_imports_within_functions_are_seen():
    found = list(imports_in(ast.parse("def f():\n    if True:\n        from symbn.run import check\n"), "example"))
    assert found == [["run", "check"]]


def test_imports_for_types_alone_are_not_counted():
    assert list(imports_in(ast.parse("if TYPE_CHECKING:\n    from symbn.run import check\n"), "example")) == []


def test_only_values_reach_later_stages_and_only_by_methods():
    """An operator's and a derivation's methods may call a later stage by its name; nothing else does."""
    calls = {}
    for path in FILES:
        for named in re.findall(r"\blater\(\"([\w.]+)\"\)\.", path.read_text(encoding="utf-8")):
            calls.setdefault(path.relative_to(PACKAGE).as_posix(), set()).add(named)
            assert PACKAGE.joinpath(*named.split(".")).with_suffix(".py").is_file(), named
            assert RANK[named.split(".")[0]] > RANK[stage_of(path)], named
    assert set(calls) == {"equations/operator.py", "derivation/derivation.py"}


def test_the_reference_is_independent():
    """What results are compared with shares no code with what computes them."""
    seen, waiting = set(), [PACKAGE / "run" / "reference.py"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for parts in imports_of(path):
            assert not parts or parts[0] not in ("derivation", "kernel", "emit", "build"), f"{path} imports {parts}"
            for depth in range(len(parts), 0, -1):
                file = PACKAGE.joinpath(*parts[:depth]).with_suffix(".py")
                if file.is_file():
                    waiting.append(file)
    assert len(seen) > 1


MACHINERY = sorted(
    path
    for folder in (PACKAGE / "kernel", PACKAGE / "emit", PACKAGE / "build", ROOT / "templates")
    for path in folder.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
)


@pytest.mark.parametrize("path", MACHINERY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_machinery_knows_no_operator(path):
    words = {*equations.names(), "batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm"}
    forms = {form for word in words for form in (word, word.replace("_", " "), word.replace("_", ""))}
    forms |= {"batchnorm", "batch normalization", "layer normalization"}
    text = path.read_text(encoding="utf-8").lower()
    found = sorted(form for form in forms if re.search(rf"\b{re.escape(form)}", text))
    assert not found, f"{path} names an operator: {found}"


def test_files_of_equations_hold_equations_and_nothing_else():
    """No function, class, loop or condition: assignments of SymPy objects, OPERATOR and BINDING."""
    for name in equations.names():
        tree = ast.parse((PACKAGE / "equations" / f"{name}.py").read_text(encoding="utf-8"))
        kinds = {type(node).__name__ for node in tree.body}
        assert kinds <= {"Expr", "Import", "ImportFrom", "Assign"}, f"{name}: {kinds}"


def test_the_top_level_of_the_repository():
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip("not a git checkout")
    top = {line.partition("/")[0] for line in result.stdout.splitlines() if (ROOT / line).exists()}
    assert {name for name in top if not name.startswith(".")} == {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "symbn",
        "templates",
        "generated",
        "tests",
    }


HOT = [
    "symbn",
    "symbn.run.call",
    "symbn.run.plan",
    "symbn.run.layout",
    "symbn.run.settings",
    "symbn.run.arguments",
    "symbn.run.shipped",
    "symbn.run.check",
    "symbn.emit.interface",
    "symbn.running",
    "symbn.errors",
    "symbn.dtypes",
]


@pytest.mark.parametrize("module", HOT)
def test_calling_a_shipped_kernel_loads_no_symbolic_mathematics(module):
    script = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(json.loads(result.stdout))
    assert not loaded & {"sympy", "jinja2", "cffi", "mpmath", "typer", "rich"}
