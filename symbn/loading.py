"""A compiled library into the process, for as long as that lives."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load(ffi: Any, path: Path) -> Any:
    """The library as cffi sees it; OSError where it cannot be loaded.

    It is never unloaded again. OpenMP's idle threads wait in OpenMP's own library, which would go with the last
    one that needs it and leave them without code: the process would die as it ends, or when a kernel is dropped.
    """
    return ffi.dlopen(str(path), getattr(ffi, "RTLD_NODELETE", 0))
