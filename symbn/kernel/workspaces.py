"""The kernel's own arrays: what one loop nest leaves for another to read."""

from __future__ import annotations

from symbn.kernel.computations import kept_array
from symbn.kernel.ir import Array, Expr, Int, Level, Load, Var, mul
from symbn.kernel.levels import size
from symbn.kernel.summation import LANES


class Workspaces:
    """Workspaces by name, made when they are first used.

    ``shared`` are the parts of reductions that one group computes and another reads.
    """

    def __init__(self, shared: frozenset[str]) -> None:
        self._shared = shared
        self._arrays: dict[str, tuple[Array, Expr]] = {}

    def is_shared(self, name: str) -> bool:
        return name in self._shared

    def element(self, name: str, levels: tuple[Level, ...]) -> Load:
        """The element at the current place of the levels."""
        name = kept_array(name)
        self._arrays.setdefault(name, (_array(name, levels), size(levels)))
        return Load(name, tuple(Var(level.name) for level in levels))

    def block_element(self, name: str, block: Expr, blocks: Expr, levels: tuple[Level, ...]) -> Load:
        """The element at the current place of the levels, one for each block of a sum."""
        axes = _array(name, (Level("block", "blocks"), *levels))
        self._arrays.setdefault(name, (axes, mul(blocks, size(levels))))
        return Load(name, (block, *(Var(level.name) for level in levels)))

    def lane_element(self, name: str, block: Expr, blocks: Expr, lane: Expr, levels: tuple[Level, ...]) -> Load:
        """The element at the current place of the levels, one for each lane of each block of a sum."""
        axes = _array(name, (Level("block", "blocks"), Level("lane", str(LANES)), *levels))
        self._arrays.setdefault(name, (axes, mul(mul(blocks, Int(LANES)), size(levels))))
        return Load(name, (block, lane, *(Var(level.name) for level in levels)))

    def arrays(self) -> tuple[Array, ...]:
        return tuple(array for array, _ in self._arrays.values())

    def sizes(self) -> tuple[tuple[str, Expr], ...]:
        return tuple((name, count) for name, (_, count) in self._arrays.items())


def _array(name: str, levels: tuple[Level, ...]) -> Array:
    return Array(name, levels, "workspace", "wide")
