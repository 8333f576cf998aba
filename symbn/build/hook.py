"""The installation's build step: compiles the shipped kernels from generated/ into the package.

Hatchling loads this file when a wheel is built. It needs a C compiler and cffi, but neither SymPy nor
Jinja2: the C is committed.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PACKAGE = "symbn/shipped"


class ShippedKernels(BuildHookInterface):  # type: ignore[misc]
    """Adds ``symbn/shipped`` to the wheel: a library, its cffi module, and the functions."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; called before the wheel is assembled."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        self.folder = Path(tempfile.mkdtemp(prefix="symbn-"))
        sys.path.insert(0, str(root))
        try:
            from symbn.build import shipping

            made = shipping.make(root / "generated", self.folder)
        finally:
            sys.path.remove(str(root))
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
        if version == "editable":
            # An editable installation reads the package where it stands: put the kernels there.
            place = root / _PACKAGE
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            for path in made:
                shutil.copy2(path, place / path.name)
        else:
            build_data["force_include"].update({str(path): f"{_PACKAGE}/{path.name}" for path in made})

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder; called when the wheel is there."""
        if self.target_name == "wheel":
            shutil.rmtree(self.folder, ignore_errors=True)
