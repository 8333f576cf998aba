"""The README's examples run as they stand, and its two commands are each complete on one line."""

import re
from pathlib import Path

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_examples_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 6
    space = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), space)
    assert space["r4"].y.shape == space["x4"].shape
    assert space["g"].dx.shape == space["D"].shape
    assert "<math" in space["page"]
    assert space["op"].outputs == ("y", "mu", "sigma2")
    assert space["running_mean"].dtype == "float32"
    assert "l1_batch_norm_float32" in capsys.readouterr().out


def test_two_commands_make_their_own_environment():
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv ")]
    assert len(commands) == 2
    assert commands[0].endswith("symbn demo")
    assert commands[1].endswith("pytest")


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (Path(__file__).resolve().parents[1] / target).exists(), target
