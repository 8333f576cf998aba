"""How a method of an early stage's value reaches a later stage: by name, when it is called.

The equations import nothing of what is made from them. ``op.gradient()`` and ``derivation.html()`` are only a
shorter way to write what the later stage does with the value.
"""

from __future__ import annotations

import importlib
from typing import Any


def later(stage: str) -> Any:
    """A module of a later stage, such as ``later("render.html")``."""
    return importlib.import_module(f"symbn.{stage}")
