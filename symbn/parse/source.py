"""The text of a page, and how a place in it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from symbn.errors import ArgumentError, PageError

_LARGEST = 4_000_000
_WIDTH = 100


@dataclass(frozen=True)
class Source:
    """A file's text with ``\\n`` at the end of each line."""

    path: Path
    text: str

    def complaint(self, line: int, column: int, message: str) -> str:
        """``file:line:column: message``, the line, and a caret under the place."""
        shown = self.text.split("\n")[line - 1]
        first = max(0, column - 1 - _WIDTH // 2)
        part = shown[first : first + _WIDTH]
        indent = "".join("\t" if letter == "\t" else " " for letter in shown[first : column - 1])
        return f"{self.path}:{line}:{column}: {message}\n    {part}\n    {indent}^"


def load(path: str | Path) -> Source:
    """The page in a file of UTF-8 text, with or without a byte order mark."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArgumentError(f"path: {path} cannot be read: {error.strerror or error}") from None
    if len(content) > _LARGEST:
        raise PageError(f"{path}: a page of {len(content)} bytes; at most {_LARGEST} are read")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PageError(f"{path}:{line}: not UTF-8 text; save the page in that encoding") from None
    return Source(path, text.replace("\r\n", "\n").replace("\r", "\n"))
