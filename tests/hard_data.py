"""Data that summation, centring or a gradient's cancellation finds hard."""

from __future__ import annotations

import numpy as np


def columns(rng, m, dtype):
    """Features that summation or centring finds hard, of ordinary magnitude unless their name says otherwise."""
    normal = rng.standard_normal
    outlier, first, differs = normal(m), normal(m), np.full(m, 3.14159, dtype)
    outlier[m // 2] = 1e6
    first[0] = -1e6
    differs[-1] = np.nextafter(differs[0], dtype(9))
    huge, tiny, subnormal = (3e36, 1e-37, 1e-42) if dtype is np.float32 else (1e150, 1e-150, None)
    columns = {
        "outlier": outlier,
        "first sample an outlier": first,
        "one sample differs in its last bit": differs,
        "huge": normal(m) * huge,
        "tiny": normal(m) * tiny,
        "alternating signs": np.where(np.arange(m) % 2, -1, 1) * (1e4 + normal(m)),
        "lognormal": rng.lognormal(0, 3, m),
        "lognormal with signs": rng.lognormal(0, 6, m) * np.sign(normal(m)),
        "sorted": np.sort(normal(m)),
        "sum cancels": np.concatenate([half := normal(m // 2) * 1e8, -half, normal(m - 2 * (m // 2))]),
        "constant": np.full(m, 0.1),
    }
    if dtype is np.float64:
        columns |= {
            "far from 0": normal(m) + 1e8,
            "neighbours of a number far from 0": 1e8 + np.spacing(1e8) * rng.integers(-2, 3, m),
            "a wide range": rng.lognormal(0, 20, m) * np.sign(normal(m)),
            "an outlier beyond all digits": np.where(np.arange(m) == m - 1, 1e17, normal(m)),
        }
    if subnormal:
        columns["subnormal"] = normal(m) * subnormal
    return columns


def pairs(rng, m, dtype):
    """(dy, x) by name: cotangents and data that cancel, or whose largest terms differ by many digits."""
    draw = rng.standard_normal
    outlier, far, ramp = draw(m), draw(m), np.linspace(-1, 1, m)
    outlier[m // 2], far[0] = 1e6, -1e6
    half = draw(m // 2) * 1e6
    cancels = np.concatenate([half, -half, draw(m - 2 * (m // 2))])
    x = draw(m) + 30
    found = {
        "dy constant": (np.full(m, 0.1), draw(m)),
        "dy along x": (3 * x.astype(dtype) - 1, x),
        "dy cancels": (cancels, draw(m) + 5),
        "dy an outlier": (outlier, draw(m)),
        "x an outlier": (draw(m), outlier),
        "both outliers apart": (outlier, far),
        "huge dy": (draw(m) * 3e36, draw(m) * 1e3),
        "tiny dy": (draw(m) * 1e-34, draw(m)),
        "dy of one sample": (np.eye(1, m)[0], ramp),
        "lognormal": (rng.lognormal(0, 4, m), rng.lognormal(0, 3, m)),
        "no dy": (np.zeros(m), draw(m)),
    }
    return {name: (dy.astype(dtype), x.astype(dtype)) for name, (dy, x) in found.items()}
