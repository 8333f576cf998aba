"""Source -> a native function: compiled or taken from the cache, then loaded with cffi.

cffi's ABI mode is used: the library is plain C that any Python can load, so that neither Python's headers
nor its version matter to it, and cffi never runs a compiler of its own.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _cffi_backend

from symbn import loading
from symbn.build import cache, compiler, library
from symbn.build.declarations import declarations
from symbn.emit.c import Source
from symbn.emit.interface import Interface
from symbn.errors import CacheError

_LIBRARY = "kernel.so"


@dataclass(frozen=True)
class Native:
    """A loaded C function: cffi's ffi, the function, and how it is called."""

    interface: Interface
    ffi: Any
    function: Any
    path: Path
    #: was the library compiled now, or before?
    cached: bool


def build(source: Source) -> Native:
    """Compile for this machine's CPU, or find the library in the cache; then load it."""
    cc = compiler.find()
    target = compiler.native_target()
    unit = library.Unit(source.interface.function, source.text, source.header)
    name = cache.key(
        {
            "source": source.text,
            "header": source.header,
            "commands": library.commands([unit], cc, [target], _LIBRARY),
            "compiler": [cc.command, cc.identity],
            "cpu": sorted(compiler.cpu_features()),
            "python": [sys.implementation.cache_tag, sys.platform],
            "cffi": _cffi_backend.__version__,
        }
    )

    def make(folder: Path) -> None:
        library.compile_library([unit], cc, [target], folder, _LIBRARY)

    path, cached = cache.entry(name, _LIBRARY, make)
    try:
        return load(source, path, cached)
    except OSError:
        # A library that was there but cannot be loaded is damaged: build it anew.
        cache.discard(name)
    path, cached = cache.entry(name, _LIBRARY, make)
    try:
        return load(source, path, cached)
    except OSError as error:
        raise CacheError(f"the compiled kernel {path} cannot be loaded: {error}") from None


def load(source: Source, path: Path, cached: bool) -> Native:
    """Load a compiled source."""
    import cffi  # parses declarations with pycparser: not needed for the shipped kernels

    ffi = cffi.FFI()
    ffi.cdef("".join(declarations(source.header)))
    loaded = loading.load(ffi, path)
    return Native(source.interface, ffi, getattr(loaded, source.interface.function), path, cached)
