"""``symbn derive``: the gradient of a shipped operator as a page."""

from __future__ import annotations

from pathlib import Path

from symbn import catalogue, files
from symbn.errors import ArgumentError
from symbn.render import pdf

_FORMATS = ("tex", "md", "html", "pdf")


def page(operator: str, form: str, kind: str | None, target: Path | None) -> tuple[str, Path | None]:
    """The page as text, and the file that it was written to, if it was."""
    loaded, _ = catalogue.load(operator)
    if kind is None:
        kind = target.suffix.lower().lstrip(".") if target is not None else "md"
    if not kind:
        raise ArgumentError(f"output: {target} has no ending that says the format; give --format too")
    if kind not in _FORMATS:
        raise ArgumentError(f"format: {kind!r} is not one of {', '.join(_FORMATS)}")
    derivation = loaded.derivation()
    if kind == "pdf":
        target = target or Path(f"{operator}_gradient.pdf")
    text = {"md": derivation.markdown, "html": derivation.html}.get(kind, derivation.latex)(form)
    content = pdf.typeset(text) if kind == "pdf" else text.encode()
    if target is not None:
        files.write(target, lambda file: file.write(content), "output")
    return text, target
