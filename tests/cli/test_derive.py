"""``symbn derive``: where the page goes, in which format, and what is said where it cannot be made."""

import shutil

import pytest


def test_markdown_is_printed_by_default(command):
    code, out, _ = command("derive", "batch_norm")
    assert code == 0
    assert out.startswith("# The gradient of batch")
    assert "A term vanishes." in out


@pytest.mark.parametrize(
    ("kind", "begins"), [("tex", "\\documentclass"), ("md", "# The gradient"), ("html", "<!DOCTYPE html>")]
)
def test_a_format_is_named_or_follows_from_the_file(command, tmp_path, kind, begins):
    code, out, _ = command("derive", "batch_norm", "--format", kind)
    assert code == 0
    assert out.lstrip().startswith(begins)
    path = tmp_path / f"page.{kind}"
    code, said, _ = command("derive", "batch_norm", "-o", path)
    assert code == 0
    assert "wrote" in said
    assert path.read_text(encoding="utf-8").strip() == out.strip()


def test_forms(command):
    texts = {form: command("derive", "batch_norm", "--form", form)[1] for form in ("staged", "collapsed", "both")}
    for form, one, other in (("staged", True, False), ("collapsed", False, True), ("both", True, True)):
        assert ("## One gradient for each equation" in texts[form]) == one
        assert ("## Simplification" in texts[form]) == other


def test_the_committed_pages_are_what_is_printed(command):
    from pathlib import Path

    committed = Path(__file__).resolve().parents[2] / "generated" / "batch_norm_gradient.md"
    assert command("derive", "batch_norm")[1].strip() == committed.read_text(encoding="utf-8").strip()


def test_a_gradient_has_a_gradient(command):
    code, out, _ = command("derive", "batch_norm_inference_backward")
    assert code == 0
    assert r"\mathrm{d}\mathrm{d}x" in out


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_a_pdf_has_a_name_of_its_own(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said, _ = command("derive", "batch_norm_inference", "--format", "pdf")
    assert code == 0
    assert "batch_norm_inference_gradient.pdf" in said
    assert (tmp_path / "batch_norm_inference_gradient.pdf").read_bytes().startswith(b"%PDF")
    assert [path.name for path in tmp_path.iterdir()] == ["batch_norm_inference_gradient.pdf"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no 'nothing'"),
        (["batch_norm", "--form", "all"], "form: 'all' is not one of staged, collapsed, both"),
        (["batch_norm", "--format", "docx"], "format: 'docx' is not one of tex, md, html, pdf"),
        (["batch_norm", "-o", "page.txt"], "format: 'txt' is not one of tex, md, html, pdf"),
        (["batch_norm", "-o", "/nowhere/page.md"], "output: /nowhere/page.md cannot be written"),
    ],
)
def test_misuse_is_one_line(command, arguments, message):
    code, _, err = command("derive", *arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_without_latex_a_pdf_says_what_to_install(command, monkeypatch, tmp_path):
    import sys
    from pathlib import Path

    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    code, _, err = command("derive", "batch_norm", "--format", "pdf", "-o", tmp_path / "page.pdf")
    assert code == 2
    assert "install TeX Live" in err
    assert not (tmp_path / "page.pdf").exists()
