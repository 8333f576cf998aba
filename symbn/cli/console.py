"""What the commands print with."""

from __future__ import annotations

from rich.console import Console
from rich.syntax import Syntax

console = Console(emoji=False, highlight=False)
errors = Console(emoji=False, stderr=True, highlight=False)


def show_code(text: str, language: str) -> None:
    """Code in colour on a terminal, as it is anywhere else."""
    if console.is_terminal:
        console.print(Syntax(text, language, theme="ansi_dark", background_color="default"))
    else:
        print(text, end="" if text.endswith("\n") else "\n")
