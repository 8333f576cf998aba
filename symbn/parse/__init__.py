"""A page's LaTeX formulas as equations."""
