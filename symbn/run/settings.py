"""Process-wide settings: how much is checked, and on how many threads kernels run."""

from __future__ import annotations

import os

from symbn.errors import ArgumentError

CHECKS = ("full", "sample", "off")
#: more than any machine has; far more would not find memory for their stacks
MOST_THREADS = 4096


def _check(value: object, source: str) -> str:
    if value not in CHECKS:
        raise ArgumentError(f"{source}: {value!r} is not a check; expected {', '.join(map(repr, CHECKS))}")
    return str(value)


def _threads(value: object, source: str) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if not 1 <= number <= MOST_THREADS:
        raise ArgumentError(f"{source}: {value!r} is not a number of threads; expected 1 or more, up to {MOST_THREADS}")
    return number


class _Settings:
    """The values in force; read from the environment when they are first needed."""

    def __init__(self) -> None:
        self.check: str | None = None
        self.threads: int | None = None
        self.forked = False


_settings = _Settings()


def get_check() -> str:
    """The check that runs where a call does not say: "full", "sample" or "off"."""
    if _settings.check is None:
        _settings.check = _check(os.environ.get("SYMBN_CHECK", "").strip() or "full", "SYMBN_CHECK")
    return _settings.check


def set_check(mode: str) -> None:
    """Set the check for calls that do not say; it overrides the environment variable SYMBN_CHECK.

    ``mode`` is "full", "sample" or "off"; anything else is an ArgumentError.
    """
    _settings.check = _check(mode, "set_check")


def resolve_check(mode: str | None) -> str:
    """The check of a call."""
    return get_check() if mode is None else mode if mode in CHECKS else _check(mode, "check")


def get_num_threads() -> int:
    """The number of threads that a kernel may use: SYMBN_NUM_THREADS, else the CPUs of this process.

    It is 1 in a process that was forked.
    """
    if _settings.forked:
        return 1
    if _settings.threads is None:
        named = os.environ.get("SYMBN_NUM_THREADS", "").strip()
        if named:
            _settings.threads = _threads(named, "SYMBN_NUM_THREADS")
        elif hasattr(os, "sched_getaffinity"):
            _settings.threads = len(os.sched_getaffinity(0))
        else:
            _settings.threads = os.cpu_count() or 1
    return _settings.threads


def set_num_threads(number: int) -> None:
    """Set the number of threads that a kernel may use, 1 or more; anything else is an ArgumentError.

    Results have the same bits for any number. A process that was forked keeps to one thread.
    """
    _settings.threads = _threads(number, "set_num_threads")


def _in_child() -> None:
    _settings.forked = True


if hasattr(os, "register_at_fork"):
    # GNU's OpenMP waits for ever for threads that did not survive a fork: a child computes on its own.
    os.register_at_fork(after_in_child=_in_child)
