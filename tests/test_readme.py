"""The README's examples run as they stand, and its two commands are each complete on one line."""

import importlib
import inspect
import re
from pathlib import Path

import symbn
from symbn import catalogue, equations

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_examples_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 7
    space = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), space)
    assert space["r4"].y.shape == space["x4"].shape
    assert space["g"].dx.shape == space["D"].shape
    assert "<math" in space["page"]
    assert space["op"].outputs == ("y", "mu", "sigma2")
    assert space["running_mean"].dtype == "float32"
    assert "l1_batch_norm_float32" in capsys.readouterr().out


def test_the_longest_example_is_a_users_own_operator_in_under_fifteen_lines():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    longest = max(blocks, key=lambda block: sum(bool(line.strip()) for line in block.splitlines()))
    assert "symbn.Operator(" in longest
    assert sum(bool(line.strip()) for line in longest.splitlines()) < 15


def test_the_table_of_functions_is_what_is_shipped():
    told = re.findall(r"^\| `(\w+)\((.*?)\)` \|.*\| ([\w, ]+) \|$", README, re.MULTILINE)
    bound = {name for name in equations.names() if catalogue.has_gradient(name)}
    assert {name for name, _, _ in told} == bound
    for name, arguments, returned in told:
        signature = inspect.signature(getattr(symbn, name))
        own = [one for one in signature.parameters if one not in ("out", "check")]
        assert own == re.findall(r"(\w+)(?:=[^,]+)?", re.sub(r"=[-.\we]+", "", arguments))
        module = importlib.import_module(f"symbn.shipped.{name}")
        words = {"mu": "mean", "sigma2": "var"}
        assert returned.split(", ") == [words.get(one, one) for one in module.INTERFACE.outputs]


def test_two_commands_make_their_own_environment():
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv ")]
    assert len(commands) == 2
    assert commands[0].endswith("symbn demo")
    assert commands[1].endswith("pytest")


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (Path(__file__).resolve().parents[1] / target).exists(), target
