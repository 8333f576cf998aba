"""The rules that simplify a gradient, in the order in which they are tried. They know sums, not operators.

A gradient is linear in its cotangents: each of its terms holds one, alone or inside sums. The rules never look
inside what holds none, so that a difference such as ``x - mu`` stays whole.
"""

from __future__ import annotations

from symbn.derivation.rules.constants import constant_factor, constant_sum, division_inside
from symbn.derivation.rules.context import Context, Rule
from symbn.derivation.rules.linear import linearity, substitution
from symbn.derivation.rules.names import named_product, named_value
from symbn.derivation.rules.sums import known_sum, shared_reduction, vanishing_sum
from symbn.derivation.rules.terms import common_factor, same_branches

#: Tried in this order, again and again, until none applies: they write a gradient as a sum of simple terms.
EXPANDING = (
    Rule("substitution", substitution),
    Rule("linearity", linearity),
    Rule("constant factor", constant_factor),
    Rule("constant sum", constant_sum),
    Rule("vanishing sum", vanishing_sum),
    Rule("known sum", known_sum),
    Rule("named value", named_value),
    Rule("shared reduction", shared_reduction),
    Rule("same branches", same_branches),
)
#: Then, on what the user asked for, these put in front what all terms share, and a division within a sum.
FACTORING = (
    Rule("named product", named_product),
    Rule("common factor", common_factor),
    Rule("division inside", division_inside),
)
RULES = (*EXPANDING, *FACTORING)

__all__ = ["EXPANDING", "FACTORING", "RULES", "Context", "Rule"]
