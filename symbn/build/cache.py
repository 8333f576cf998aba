"""The cache of compiled kernels: a folder of the user's own, an entry for everything that a kernel depends on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from symbn.errors import CacheError

_HINT = "name another folder in the environment variable SYMBN_CACHE_DIR"


def folder() -> Path:
    """The cache folder: SYMBN_CACHE_DIR, else symbn in XDG_CACHE_HOME or ~/.cache."""
    named = os.environ.get("SYMBN_CACHE_DIR", "").strip()
    if named:
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "").strip()
    try:
        return (Path(base) if base else Path.home() / ".cache").absolute() / "symbn"
    except RuntimeError:
        raise CacheError(f"there is no home folder for the kernel cache; {_HINT}") from None


def trusted_folder() -> Path:
    """The cache folder, made if need be; CacheError where others could have put code into it."""
    path = folder()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as error:
        raise CacheError(f"the cache folder {path} cannot be made: {error.strerror}; {_HINT}") from None
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise CacheError(f"the cache folder {path} belongs to another user; {_HINT}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        mode = oct(stat.S_IMODE(status.st_mode))[2:]
        raise CacheError(f"the cache folder {path} has mode {mode}, open to others; run chmod 700 on it, or {_HINT}")
    return path


def key(parts: dict[str, object]) -> str:
    """The name of the entry for everything that a compiled kernel depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def entry(name: str, library: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
    """The library of an entry, and whether it was there already.

    ``make`` fills a temporary folder beside the entry, which is then renamed into place: a reader finds
    a whole entry or none, and of two that build the same one, one wins.
    """
    root = trusted_folder()
    place = root / name
    if (place / library).is_file():
        return place / library, True
    try:
        temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=root))
    except OSError as error:
        raise CacheError(f"the cache folder {root} cannot be written: {error.strerror}; {_HINT}") from None
    try:
        make(temporary)
        with suppress(OSError):
            os.replace(temporary, place)
        if not (place / library).is_file():
            shutil.rmtree(place, ignore_errors=True)
            os.replace(temporary, place)
    except OSError as error:
        raise CacheError(f"the cache folder {root} cannot be written: {error.strerror or error}; {_HINT}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return place / library, False


def discard(name: str) -> None:
    """Remove an entry that turned out to be damaged."""
    shutil.rmtree(trusted_folder() / name, ignore_errors=True)


def size() -> tuple[int, int]:
    """The number of entries in the cache and their bytes together."""
    if not folder().exists():
        return 0, 0
    try:
        entries = [path for path in folder().iterdir() if path.is_dir() and not path.name.startswith(".")]
        return len(entries), sum(file.stat().st_size for path in entries for file in path.rglob("*") if file.is_file())
    except OSError as error:
        raise CacheError(f"the cache folder {folder()} cannot be read: {error.strerror or error}; {_HINT}") from None
