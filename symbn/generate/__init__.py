"""Writes generated/: what the shipped operators' equations become, for readers and for the installation."""
