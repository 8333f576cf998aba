"""How an operator's indices lie on the axes of the arrays that a shipped function takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class AxisBinding:
    """The axes of the data that each index stands for.

    ``places`` has them in Python's slice notation: "0" is an axis, "2:" that one and all after it, "axis" the one
    that the function's argument ``axis`` names, ":axis" those before it, and "..." all that no other index has.
    Two indices share an axis as "g c": it is split into as many groups g as another argument says.

    The arrays with all indices have them on these axes; any other has, for each of its indices in the order
    written, the axes that it stands for.

    >>> AxisBinding({"k": "axis", "i": "..."}, axis=1)           # a feature on one axis, samples on all others
    >>> AxisBinding({"n": "0", "g c": "1", "s": "2:"}, groups="num_groups")
    """

    places: Mapping[str, str]
    #: the default of the function's argument ``axis``, where a place names it
    axis: int | None = None
    #: the name of the argument with the number of groups, where two indices share an axis
    groups: str | None = None

    @property
    def argument(self) -> str | None:
        """The function's argument that says where the indices lie."""
        return self.groups if self.axis is None else "axis"
