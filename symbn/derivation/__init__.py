"""How a gradient follows: adjoint rules over indexed sums, rules that simplify, a proof of each step."""
