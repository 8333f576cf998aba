"""A derivation as a page: LaTeX, Markdown, HTML and PDF."""
