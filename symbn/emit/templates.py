"""Jinja2 rendering of the files in templates/: strict, and with no logic beyond loops."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2


def folder() -> Path:
    """Where the templates are: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # C and LaTeX, not HTML
    )


def render(template: str, **values: Any) -> str:
    """One template, filled in; a name that the template does not get is an error."""
    return _environment().get_template(template).render(**values)
