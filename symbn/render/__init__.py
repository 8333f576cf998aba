"""A derivation as LaTeX, Markdown and HTML. (To come.)"""
