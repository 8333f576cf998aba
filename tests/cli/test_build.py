"""``symbn build``: pages of any rank to checked kernels, what it prints and what it writes."""

import subprocess
from pathlib import Path

import pytest

from symbn import equations

SHIPPED = Path(equations.__file__).with_name("batch_norm.md")


def test_it_shows_formulas_equations_gradient_and_runs(command):
    code, out, err = command("build", SHIPPED)
    assert (code, err) == (0, "")
    last = r"y_k^{(i)} = \gamma_k \hat{x}_k^{(i)} + \beta_k"
    number = SHIPPED.read_text(encoding="utf-8").split("\n").index(last) + 1
    assert f"line {number}   defined {last}" in out
    assert "4 of 4 define something" in out
    assert "batch_norm(x, gamma, beta, epsilon) → y, mu, sigma2" in out
    assert "Gradient in" in out
    for kernel in ("batch_norm_float32", "batch_norm_float64", "batch_norm_backward_float32"):
        assert f"{kernel}: " in out
    assert out.count("good") == 12
    assert "refused" not in out


def test_it_writes_c_latex_and_pages(command, tmp_path):
    code, out, _ = command("build", SHIPPED, "--dtype", "float32", "--output", tmp_path / "out")
    assert code == 0
    assert "wrote 9 files to" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "batch_norm.tex",
        "batch_norm_backward.tex",
        "batch_norm_backward_float32.c",
        "batch_norm_backward_float32.h",
        "batch_norm_float32.c",
        "batch_norm_float32.h",
        "batch_norm_gradient.html",
        "batch_norm_gradient.md",
        "batch_norm_gradient.tex",
    ]
    flags = ["cc", "-std=c11", "-Wall", "-Werror", "-c", "-o", tmp_path / "a.o"]
    subprocess.run([*flags, tmp_path / "out" / "batch_norm_float32.c"], check=True)


PAGES = {
    "three axes": r"$$ \mu_{nc} = \frac{1}{L} \sum_{l=1}^{L} x_{ncl} $$"
    "\n"
    r"$$ y_{ncl} = \frac{x_{ncl} - \mu_{nc}}{\epsilon + |x_{ncl}|} $$",
    "one axis and numbers": r"$$ y_i = a x_i + b + \sum_{j=1}^n x_j $$",
    "a fixed extent": r"$$ y_k = \sum_{i=1}^{3} x_{ik} $$",
    "no gradient": r"$$ y_i = \lfloor x_i \rfloor $$",
}


@pytest.mark.parametrize("kind", PAGES)
def test_any_page_is_built_run_and_checked(command, tmp_path, kind):
    path = tmp_path / "page.md"
    path.write_text(PAGES[kind], encoding="utf-8")
    code, out, err = command("build", path, "--dtype", "float32")
    assert code == 0, out + err
    assert "good" in out


def test_what_is_skipped_has_its_reason(command, tmp_path):
    path = tmp_path / "page.md"
    path.write_text("$$ y_i = 2 x_i $$\n\n$$ x > 0 $$\n", encoding="utf-8")
    code, out, _ = command("build", path, "--dtype", "float32")
    assert code == 0
    assert "line 3    skipped it has no = and so defines nothing" in out
    assert "1 of 2 define something" in out


def test_a_run_that_fails_its_check_exits_with_1(command, tmp_path, monkeypatch):
    from symbn.run.check import Report

    monkeypatch.setattr(Report, "passed", False)
    path = tmp_path / "page.md"
    path.write_text("$$ y_i = 2 x_i $$", encoding="utf-8")
    assert command("build", path, "--dtype", "float32")[0] == 1


def test_names_can_be_given(command, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(r"$$ y_i = \nu x_i $$", encoding="utf-8")
    _, out, _ = command("build", path, "--dtype", "float32", "--name", r"\nu=scale")
    assert "page(x, scale) → y" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "path: "),
        ("no formula", "no displayed formula"),
        (r"$$ y = \foo $$", r"page.md:1:8: '\foo' is not LaTeX that symbn reads"),
        ("$$ y_i = x_{ij} $$", "page.md:1:4: equation (1)"),
    ],
)
def test_mistakes_exit_with_2(command, tmp_path, text, message):
    path = tmp_path / "page.md"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    code, _, err = command("build", path)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_a_wrong_dtype_exits_with_2(command):
    code, _, err = command("build", SHIPPED, "--dtype", "int8")
    assert code == 2
    assert "int8" in err
