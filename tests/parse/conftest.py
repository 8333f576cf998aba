"""Pages written for a test, and single formulas read as SymPy."""

import pytest
from sympy import Symbol

from symbn.parse import formulas, page
from symbn.parse.source import Source


@pytest.fixture
def write(tmp_path):
    """write(text) -> the path of a page with that text."""

    def written(text, name="page.md"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


@pytest.fixture
def read(write):
    """read(text) -> the Page of a text."""
    return lambda text, **options: page.read(write(text), **options)


@pytest.fixture
def value(tmp_path):
    """value(latex) -> the SymPy expression of a formula's right side, with an epsilon that is any symbol."""

    def found(latex, **options):
        (one,) = formulas.read(Source(tmp_path / "page.md", f"$$ v = {latex} $$"), **options)
        assert one.definition is not None, one.reason
        (expr,) = one.definition.values
        return expr.xreplace({symbol: Symbol(symbol.name) for symbol in expr.free_symbols if str(symbol) == "epsilon"})

    return found
