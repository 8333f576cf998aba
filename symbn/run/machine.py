"""What a plan needs to know of the machine: how large its caches are."""

from __future__ import annotations

import os
from functools import cache

#: outputs of so many bytes are written past the cache: they would drive out what is read, and not be found there later
BYPASS = 16 << 20
#: a core's own cache, where the system does not tell
_USUAL = 1 << 20


@cache
def cache_bytes() -> int:
    """How many bytes of its inputs a thread may keep: a quarter of a core's own (second-level) cache."""
    try:
        size = os.sysconf("SC_LEVEL2_CACHE_SIZE")
    except (AttributeError, ValueError, OSError):
        size = 0
    return (size if size > 0 else _USUAL) // 4
