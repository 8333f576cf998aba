"""Pages as a reader sees them: typeset by LaTeX, opened in a browser. Skipped where neither is installed."""

import html
import json
import re
import shutil
import subprocess

import pytest

from symbn.errors import RenderError
from symbn.render import pdf

NAMES = [
    "batch_norm",
    "batch_norm_inference",
    "batch_norm_backward",
    "running_stats",
    "mean_absolute_deviation_norm",
    "row_norm",
    "grouped_norm",
    "weighted_norm",
    "branches",
    "row_norm_gradient",
    "harmful",
]

latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@latex
@pytest.mark.parametrize("name", NAMES)
def test_latex_typesets_without_a_warning(derivations, name, tmp_path):
    (tmp_path / "page.tex").write_text(derivations(name).latex(), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "page.log").read_text(errors="replace")
    assert "Overfull" not in log
    assert "Warning" not in log


@latex
@poppler
def test_the_pdf_shows_the_equations(derivations, tmp_path):
    path = tmp_path / "page.pdf"
    path.write_bytes(pdf.typeset(derivations("batch_norm").latex()))
    text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True).stdout
    for words in ("The gradient of batch norm", "A term vanishes", "(F1)", "(21)", "(B3)", "is common to all terms"):
        assert words in text.replace("batch_norm", "batch norm")
    # The last line: dx = gamma/(m sqrt(...)) (m dy - ... - dbeta), in the letters that pdftotext sees.
    line = next(line for line in text.splitlines() if "(B3)" in line)
    around = "".join(text.splitlines()[text.splitlines().index(line) - 3 :][:6])
    for letter in ("dx", "γ", "µ", "β", "m"):
        assert letter in around.replace("μ", "µ")
    pages = subprocess.run(["pdfinfo", path], capture_output=True, text=True, check=True).stdout
    assert 3 <= int(re.search(r"Pages:\s+(\d+)", pages)[1]) <= 8


def test_without_latex_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RenderError, match=r"neither latexmk nor pdflatex .* install TeX Live .* tex, md or html"):
        pdf.typeset("")


@latex
def test_what_latex_refuses_is_said():
    with pytest.raises(RenderError, match=r"(?s)latex.* failed:"):
        pdf.typeset("\\documentclass{article}\\begin{document}\\nonsense\\end{document}")


_PAGES = """<!DOCTYPE html><meta charset="utf-8"><title></title>
%s
<script>addEventListener("load", () => {
  const seen = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentWindow;
    const all = (what) => [...page.document.querySelectorAll(what)];
    const boxes = all("math").map((one) => one.getBoundingClientRect());
    return {
      width: page.innerWidth, content: page.document.documentElement.scrollWidth, formulas: boxes.length,
      flat: boxes.filter((box) => box.height < 5 || box.width < 2).length,
      outside: boxes.filter((box) => box.right > page.innerWidth || box.left < 0).length,
      scrolled: all(".pieces").filter((one) => one.scrollWidth > one.clientWidth + 1).length,
    };
  });
  document.title = JSON.stringify(seen);
});</script>"""
_FRAME = '<iframe style="width:%dpx;height:800px;border:0" srcdoc="%s"></iframe>'


@browser
def test_formulas_have_height_and_fit_the_screen(derivations, tmp_path):
    """Each page on a telephone and on a desk, in a browser that is started once."""
    each = [(name, width) for name in NAMES for width in (390, 1200)]
    frames = [_FRAME % (width, html.escape(derivations(name).html())) for name, width in each]
    (tmp_path / "pages.html").write_text(_PAGES % "\n".join(frames), encoding="utf-8")
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --virtual-time-budget=2000 --dump-dom"
    ).split()
    command = [CHROMIUM, *options, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "pages.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    pages = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom)[1]))
    for (name, width), seen in zip(each, pages, strict=True):
        assert seen["width"] == width
        assert seen["formulas"] > 20
        assert (seen["flat"], seen["outside"], seen["scrolled"]) == (0, 0, 0), (name, seen)
        assert seen["content"] <= width
