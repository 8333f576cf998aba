"""``symbn verify-doc``: the README and other pages against what the kernels compute."""

from pathlib import Path

import pytest

from symbn import equations

README = Path(__file__).resolve().parents[2] / "README.md"
SHIPPED = Path(equations.__file__).with_name("batch_norm.md")


def test_the_readme_says_what_batch_norm_computes(command):
    code, out, err = command("verify-doc", README, "--against", "batch_norm")
    assert (code, err) == (0, "")
    assert "3 of 3 formulas agree with batch_norm" in out


def test_the_shipped_page_says_so_too(command):
    code, out, _ = command("verify-doc", SHIPPED, "--against", "batch_norm")
    assert code == 0
    assert f"{SHIPPED}:8: agrees \\mu_k" in out
    assert "skipped" in out


def test_a_page_that_is_wrong_exits_with_1_and_is_named(command, tmp_path):
    path = tmp_path / "page.md"
    text = SHIPPED.read_text(encoding="utf-8")
    path.write_text(text.replace(r"\sigma_k^2 = \frac{1}{m}", r"\sigma_k^2 = \frac{1}{m-1}"), encoding="utf-8")
    code, out, _ = command("verify-doc", path, "--against", "batch_norm")
    assert code == 1
    assert f"{path}:14: differs \\sigma_k^2 = " in out
    assert "'sigma2' differs: " in out
    assert "2 of 3 formulas agree with batch_norm" in out


def test_other_names_are_said(command, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(r"$$ \nu_k = \frac{1}{m} \sum_{i=1}^m x_{ik} $$", encoding="utf-8")
    assert command("verify-doc", path, "--against", "batch_norm")[0] == 2
    assert command("verify-doc", path, "--against", "batch_norm", "--name", r"\nu_k=mu")[0] == 0
    assert command("verify-doc", path, "--against", "batch_norm", "--name", r"\nu_k=sigma2")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no such file.md", "--against", "batch_norm"], "cannot be read"),
        ([SHIPPED, "--against", "bach_norm"], "'bach_norm'"),
        ([SHIPPED, "--against", "running_stats"], "none of its formulas can be compared with running_stats"),
        ([SHIPPED, "--against", "batch_norm", "--name", "x"], "'x' is not LATEX=NAME"),
        ([SHIPPED, "--against", "batch_norm", "--name", "x+=y"], "names: 'x+' cannot be read"),
        ([SHIPPED], "--against"),
    ],
)
def test_misuse_exits_with_2(command, arguments, message):
    code, out, err = command("verify-doc", *arguments)
    assert code == 2
    assert message in out + err
    assert "Traceback" not in err
