"""The committed C of the shipped operators -> the package that the installation adds."""

from __future__ import annotations

import re
from pathlib import Path

from symbn.build import compiler, library
from symbn.build.declarations import declarations

LIBRARY = "kernels.so"
_INIT = '"""The shipped operators, as they were compiled when symbn was installed."""\n\nOPERATORS = {names!r}\n'


def make(generated: Path, folder: Path) -> list[Path]:
    """Compile every C file of ``generated`` and write the package's files to ``folder``; returns them."""
    import cffi

    cc = compiler.find()
    targets = compiler.targets()
    units = [
        library.Unit(path.stem, path.read_text(encoding="utf-8"), path.with_suffix(".h").read_text(encoding="utf-8"))
        for path in sorted(generated.glob("*.c"))
    ]
    work = folder / "build"
    work.mkdir()
    library.compile_library(units, cc, targets, work, LIBRARY)
    result = [folder / LIBRARY, folder / "native.py", folder / "__init__.py"]
    (work / LIBRARY).replace(folder / LIBRARY)
    ffi = cffi.FFI()
    several = len(targets) > 1
    for unit in units:
        struct, function = declarations(unit.header)
        for number, target in enumerate(targets):
            name = library.name_for(unit.function, target) if several else unit.function
            ffi.cdef((struct if number == 0 else "") + re.sub(rf"\b{unit.function}\(", f"{name}(", function))
    if several:
        ffi.cdef(f"int {library.CHOOSE}(void);")
    ffi.set_source("symbn.shipped.native", None)
    ffi.emit_python_code(str(folder / "native.py"))
    suffixes = tuple(f"_{target.name}" for target in targets)
    with (folder / "native.py").open("a", encoding="utf-8") as file:
        # What the loader has to know of the library, so that it is said once.
        file.write(f"\nLIBRARY = {LIBRARY!r}\nCHOOSE = {library.CHOOSE!r}\nSUFFIXES = {suffixes!r}\n")
    functions = sorted(generated.glob("*.py"))
    (folder / "__init__.py").write_text(_INIT.format(names=tuple(path.stem for path in functions)), encoding="utf-8")
    for path in functions:
        (folder / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        result.append(folder / path.name)
    return result
