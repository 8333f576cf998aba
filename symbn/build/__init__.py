"""The C compiler, the cache of compiled kernels, and loading them with cffi."""
