"""Few samples of many features, panel by panel: the bits are those of any other memory, for any number of threads."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import symbn
from symbn.kernel.panel_nest import LEAST
from symbn.kernel.tile_sums import PANEL, TILE
from symbn.run import machine

#: a feature more or less than a tile, than the least panel, than the largest; more samples than lanes, than a panel has
SHAPES = [
    *((m, n) for m in (1, 2, 15, 17) for n in (1, 16, TILE - 1, TILE + 1, LEAST * TILE + 1, PANEL, 2 * PANEL + 3)),
    *((65, n) for n in (300, PANEL + 130)),
    *((m, 1030) for m in (130, 200, 255, 257)),
]


def data(shape, dtype, rng):
    n = shape[1]
    x = (rng.normal(size=shape) + 1e3 * rng.normal(size=n)).astype(dtype)
    return x, rng.normal(size=n).astype(dtype), rng.normal(size=n).astype(dtype), rng.normal(size=shape).astype(dtype)


def same(got, wanted):
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(params=[False, True], ids=["cached", "past"])
def past(request, monkeypatch):
    """Do outputs go past the cache?"""
    calls = [importlib.import_module(f"symbn.shipped.{name}").CALL for name in ("batch_norm", "batch_norm_backward")]
    monkeypatch.setattr(machine, "BYPASS", 0 if request.param else 1 << 60)
    for call in calls:
        call.known.clear()
    yield
    for call in calls:
        call.known.clear()


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_rows_give_the_bits_of_columns(threads, shape, dtype, rng):
    x, gamma, beta, dy = data(shape, dtype, rng)
    columns, dcolumns = np.asfortranarray(x), np.asfortranarray(dy)
    wanted = symbn.batch_norm(columns, gamma, beta, check="full")
    backward = symbn.batch_norm_backward(dcolumns, columns, *wanted[1:], gamma, check="full")
    for number in (1, 2, 3):
        threads(number)
        same(symbn.batch_norm(x, gamma, beta, check="off"), wanted)
        same(symbn.batch_norm_backward(dy, x, *wanted[1:], gamma, check="off"), backward)
