"""Large outputs go past the cache in whole lines: the same bits, and nothing beside them."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from sympy import Eq, Idx, IndexedBase, Sum, symbols

import symbn
from symbn import Operator, pipeline
from symbn.run import machine

#: rows of fewer elements than a line, of no whole number of lines, of many lines, longer than what is written in one go
SHAPES = [
    (3, 5, 49),
    (2, 3, 7),
    (4, 2, 2100),
    (2, 3, 1),
    (3, 40, 16),
    (6, 3, 200),
    (600, 130),
    (530, 37),
    (2, 4100),
    (5, 1),
]
SENTINEL = -77.0


@pytest.fixture
def written(monkeypatch):
    """Calls a function with all of its outputs past the cache, or none."""

    def call(past, name, *arguments, **options):
        function = importlib.import_module(f"symbn.shipped.{name}")
        monkeypatch.setattr(machine, "BYPASS", 0 if past else 1 << 60)
        function.CALL.known.clear()
        return getattr(symbn, name)(*arguments, check="off", **options)

    yield call
    monkeypatch.undo()
    for name in ("batch_norm", "batch_norm_inference", "batch_norm_backward", "batch_norm_add_relu_backward"):
        importlib.import_module(f"symbn.shipped.{name}").CALL.known.clear()


class Memory:
    """An array of a shape, its axes in some order in memory, an offset and a step from its neighbours."""

    def __init__(self, shape, dtype, order, offset, step):
        dense = [shape[axis] for axis in order]
        count = int(np.prod(dense)) * step
        self.all = np.full(count + 64 + offset, SENTINEL, dtype)
        inside = self.all[32 + offset : 32 + offset + count : step].reshape(dense)
        self.array = inside.transpose([order.index(axis) for axis in range(len(shape))])
        assert np.shares_memory(self.array, self.all)

    def beside(self):
        """What is left where the array is not."""
        copy = self.all.copy()
        view = np.lib.stride_tricks.as_strided(
            copy[(self.array.ctypes.data - self.all.ctypes.data) // self.all.itemsize :],
            self.array.shape,
            self.array.strides,
        )
        view[...] = SENTINEL
        return copy


def orders(shape):
    """The axes in C's order, and with the features last."""
    first = tuple(range(len(shape)))
    return [first, (0, *first[2:], 1)] if len(shape) > 2 else [first, first[::-1]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_same_bits_and_nothing_beside_them(written, threads, rng, shape, dtype):
    x, dy, z = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
    gamma, beta = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    mean, var = x.astype(float).mean(axis=(0, *range(2, x.ndim))), x.astype(float).var(axis=(0, *range(2, x.ndim)))
    calls = {
        "batch_norm": ((x, gamma, beta), 1),
        "batch_norm_inference": ((x, mean, var, gamma, beta), 1),
        "batch_norm_backward": ((dy, x, mean, var, gamma), 1),
        "batch_norm_add_relu_backward": ((dy, x, z, mean, var, gamma, beta), 2),
    }
    places = [(order, offset, step) for order in orders(shape) for offset, step in ((0, 1), (3, 1), (13, 1), (5, 3))]
    for name, (arguments, large) in calls.items():
        expected = written(False, name, *arguments)
        alone = not isinstance(expected, tuple)
        expected = (expected,) if alone else tuple(expected)
        for number, (order, offset, step) in enumerate(places):
            threads(1 + number % 3)
            # a second large output lies at another place of its lines, or at the same
            shift = [0, number % 2]
            outputs = [Memory(shape, dtype, order, offset + shift[one], step) for one in range(large)]
            rest = [np.full(one.shape, SENTINEL, one.dtype) for one in expected[large:]]
            out = [*(one.array for one in outputs), *rest]
            arrays = [in_order(a, order) if np.ndim(a) == x.ndim else a for a in arguments]
            written(True, name, *arrays, out=out[0] if alone else tuple(out))
            for got, right in zip(out, expected, strict=True):
                np.testing.assert_array_equal(got, right, err_msg=f"{name} {order} {offset} {step}")
            for one in outputs:
                assert (one.beside() == SENTINEL).all(), (name, order, offset, step)


def in_order(array, order):
    """A copy of an array, its axes in some order in memory."""
    back = [order.index(axis) for axis in range(array.ndim)]
    return np.ascontiguousarray(array.transpose(order)).transpose(back)


def test_in_place(written, rng):
    for shape in SHAPES:
        x = rng.standard_normal(shape).astype("float32")
        gamma, beta = (rng.standard_normal(shape[1]).astype("float32") for _ in range(2))
        expected = written(False, "batch_norm", x, gamma, beta)
        written(True, "batch_norm", x, gamma, beta, out=(x, None, None))
        np.testing.assert_array_equal(x, expected.y)


@pytest.mark.parametrize("shape", [(40, 7), (3, 2500)], ids=str)
def test_outputs_of_two_types_in_one_loop(monkeypatch, rng, shape, compiled_quickly):
    """What another equation reads is float64, what none reads has the data's dtype."""
    m, n = symbols("m n", integer=True, positive=True)
    i, k = Idx("i", (1, m)), Idx("k", (1, n))
    x, mu, centred, y = map(IndexedBase, ("x", "mu", "centred", "y"))
    equations = [
        Eq(mu[k], Sum(x[i, k], (i, 1, m)) / m),
        Eq(centred[i, k], x[i, k] - mu[k]),
        Eq(y[i, k], centred[i, k] ** 3),
    ]
    kernel = pipeline.build(Operator("cubes", equations, outputs=[y, centred], inputs=[x]), dtype="float32")
    data = rng.standard_normal(shape).astype("float32")
    for order in ((0, 1), (1, 0)):
        monkeypatch.setattr(machine, "BYPASS", 0)
        result = kernel(x=in_order(data, order), check="full")
        expected = data - data.mean(axis=0, dtype=float)
        assert result.centred.dtype == float
        np.testing.assert_allclose(result.centred, expected, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(result.y, expected**3, rtol=1e-6, atol=1e-14)
