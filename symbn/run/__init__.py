"""Calling a kernel, and checking each run against the equations."""
