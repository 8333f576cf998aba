"""How an operator's indices lie on the axes of the arrays that a shipped function takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AxisBinding:
    """One index is the axis that an argument names; another stands for all the other axes together.

    With ``AxisBinding(index="k", argument="axis", default=1, rest="i")`` an array ``x[i, k]`` of shape
    (N, C, H, W) has k on axis 1, and i on N, H and W, in that order.
    """

    index: str
    argument: str
    default: int
    rest: str
