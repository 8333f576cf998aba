"""Names for what the kernel adds to the equations' own: never one that is taken."""

from __future__ import annotations

from collections.abc import Iterable


class Names:
    """Hands out each name once."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def fresh(self, stem: str) -> str:
        """``stem``, or ``stem2``, ``stem3``, ... where that is taken."""
        name, number = stem, 2
        while name in self._taken:
            name, number = f"{stem}{number}", number + 1
        self._taken.add(name)
        return name

    def stem(self, stem: str) -> str:
        """A name from which others can be made by adding to it: no taken name contains it."""
        name, number = stem, 2
        while any(name in taken for taken in self._taken):
            name, number = f"{stem}{number}", number + 1
        self._taken.add(name)
        return name

    def branch(self) -> Names:
        """A copy, for a scope whose names the others do not see."""
        return Names(self._taken)
