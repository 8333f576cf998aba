"""LaTeX -> PDF, with the LaTeX that is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from symbn.errors import RenderError

_SECONDS = 120


def typeset(tex: str) -> bytes:
    """Typeset a LaTeX document.

    Raises
    ------
    RenderError
        If neither latexmk nor pdflatex is installed, or LaTeX refuses the document; the message has its last lines.
    """
    for command, runs in ((["latexmk", "-pdf", "-silent"], 1), (["pdflatex"], 2)):
        if program := shutil.which(command[0]):
            return _run([program, *command[1:]], runs, tex)
    raise RenderError(
        "pdf: neither latexmk nor pdflatex is installed; install TeX Live (on Debian: texlive-latex-base), "
        "or choose another format: tex, md or html"
    )


def _run(command: list[str], runs: int, tex: str) -> bytes:
    options = ["-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "page.tex"]
    with tempfile.TemporaryDirectory(prefix="symbn-") as folder:
        (Path(folder) / "page.tex").write_text(tex, encoding="utf-8")
        for _ in range(runs):
            try:
                done = subprocess.run(
                    [*command, *options], cwd=folder, capture_output=True, text=True, errors="replace",
                    timeout=_SECONDS, stdin=subprocess.DEVNULL, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise RenderError(f"pdf: {command[0]} took more than {_SECONDS} s") from None
            if done.returncode != 0:
                said = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
                raise RenderError(f"pdf: {' '.join(command)} failed:\n{said}")
        return (Path(folder) / "page.pdf").read_bytes()
