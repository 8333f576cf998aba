"""Running statistics across batches, with PyTorch's conventions."""

from __future__ import annotations

import math
import numbers
from typing import Any, NamedTuple

from symbn.errors import ArgumentError, ArgumentTypeError, NotBuiltError

try:
    from symbn.shipped.running_stats import running_stats
except ModuleNotFoundError as error:
    if not str(error.name).startswith("symbn.shipped"):
        raise
    running_stats = None


class RunningStats(NamedTuple):
    """What ``update_running_stats`` returns."""

    running_mean: Any
    running_var: Any


def update_running_stats(
    running_mean: Any,
    running_var: Any,
    mean: Any,
    var: Any,
    m: Any,
    momentum: float | None = 0.1,
    unbiased: bool = True,
    *,
    num_batches_tracked: int | None = None,
    out: Any = None,
    check: str | None = None,
) -> RunningStats:
    """The running mean and variance after a batch of ``m`` samples for each feature.

    Computes ``running + momentum * (new - running)`` with ``momentum`` the weight of the *new* value, as
    in PyTorch (Keras and Flax weigh the old one).

    Parameters
    ----------
    running_mean, running_var : arrays, shape (n,), float32 or float64
    mean, var : arrays, shape (n,), float64 or the running statistics' dtype
        The batch's mean and its biased variance, as ``batch_norm`` returns them.
    m : number of samples for each feature, 0 or more
        With 0 the running statistics come back unchanged.
    momentum : float in [0, 1], or None
        None takes the average of all batches: 1/num_batches_tracked.
    unbiased : bool
        Multiply the batch's variance by m/(m - 1), Bessel's correction (by 1 where m is 1).
    num_batches_tracked : int, 1 or more
        The number of batches with this one; needed where ``momentum`` is None.
    out : tuple of two arrays (or None)
        Where the new statistics go; the running arrays themselves update them in place.
    check : "full", "sample", "off" or None

    Returns
    -------
    running_mean, running_var : arrays, shape (n,), the running statistics' dtype

    Raises
    ------
    symbn.ArgumentError, symbn.ArgumentTypeError
        For an argument of the wrong shape, value, type or dtype (a ValueError, a TypeError).
    symbn.CheckError
        If the result differs from the equations by more than rounding explains; nothing is written.
    """
    if momentum is None:
        if not isinstance(num_batches_tracked, numbers.Integral) or num_batches_tracked < 1:
            raise ArgumentError(
                f"num_batches_tracked: is {num_batches_tracked!r}, expected the number of batches (1 or more), "
                f"because momentum is None"
            )
        momentum = 1.0 / int(num_batches_tracked)
    if out is not None and (not isinstance(out, tuple) or len(out) != 2):
        raise ArgumentTypeError("out: expected a tuple of two arrays, for running_mean and running_var")
    if running_stats is None:
        raise NotBuiltError
    # bool and int as the numbers that the equations have; anything else is for the function to judge
    count = float(m) if type(m) is int and abs(m) < 2**53 else m
    if isinstance(count, float) and math.isfinite(count) and not count.is_integer():
        raise ArgumentError(f"m: is {m!r}, expected a whole number of samples")
    bessel = float(unbiased) if type(unbiased) is bool else unbiased
    result = running_stats(running_mean, running_var, mean, var, count, momentum, bessel, out=out, check=check)
    return tuple.__new__(RunningStats, result)
