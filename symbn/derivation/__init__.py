"""How a gradient follows from the equations: adjoint rules, simplification, recorded steps. (To come.)"""
