"""The loop IR as C text, and how the C function is called."""
