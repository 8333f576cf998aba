"""Derivations to render: what is shipped, what users write, second order, and names that mean harm."""

import runpy
from pathlib import Path

import pytest
from sympy import Eq, Idx, IndexedBase, Sum, Symbol, symbols

from symbn import catalogue
from symbn.equations.operator import Operator

USERS = runpy.run_path(str(Path(__file__).parents[1] / "kernel" / "user_operators.py"))["OPERATORS"]
OPERATORS = {**{name: catalogue.load(name)[0] for name in catalogue.names()}, **USERS}

m, n = symbols("m n", integer=True, positive=True)
i, k = Idx("i", (1, m)), Idx("k", (1, n))
_bad, _input = IndexedBase(Symbol("<script>")), IndexedBase(Symbol(r"\input{x}"))
_t, _y = IndexedBase("t"), IndexedBase("y")
HARMFUL = Operator(
    "harmful",
    [Eq(_t[k], Sum(_bad[i, k], (i, 1, m)) / m), Eq(_y[i, k], (_bad[i, k] - _t[k]) * _input[k])],
    outputs=[_y],
    description="100% <b>bold</b> & $5 \\input{/etc/passwd} #1 _x_ `code` ~^{} μé中",
)


@pytest.fixture(scope="session")
def derivations():
    """The derivation of each operator, made when it is first asked for."""
    made = {}

    def derivation(name):
        if name not in made:
            made[name] = (HARMFUL if name == "harmful" else OPERATORS[name]).derivation()
        return made[name]

    return derivation
