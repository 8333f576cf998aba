"""A generated header -> the declarations that cffi reads."""

from __future__ import annotations

import re


def declarations(header: str) -> tuple[str, str]:
    """The layout struct and the function.

    Arrays are ``void *``: cffi then takes any buffer's address without asking for its element type, which
    the caller has already checked.
    """
    text = "\n".join(line for line in header.splitlines() if not line.startswith("#"))
    struct = re.search(r"typedef struct \{.*?\} \w+;", text, re.DOTALL)
    function = re.search(r"^int \w+\(.*?\);", text, re.DOTALL | re.MULTILINE)
    if struct is None or function is None:
        raise ValueError("the header declares no layout and function")
    return struct.group() + "\n", re.sub(r"\b(const )?(float|double) \*", "void *", function.group()) + "\n"
