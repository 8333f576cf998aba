"""The quick acceptance: it accepts nothing that a derived limit refuses, needs little memory, and little else."""

from __future__ import annotations

import importlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symbn
from symbn.run import check
from symbn.run.workers import Workers

#: function -> its arrays
CASES = {
    "batch_norm": "x gamma beta",
    "batch_norm_relu": "x gamma beta",
    "batch_norm_inference": "x mu sigma2 gamma beta",
    "batch_norm_backward": "dy x mu sigma2 gamma",
    "batch_norm_add_relu_backward": "dy x residual mu sigma2 gamma beta",
    "layer_norm": "x gamma beta",
    "layer_norm_backward": "dy x mu sigma2 gamma",
    "rms_norm_backward": "dy x mean_square gamma",
}
ODD = [0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1e-42, 1e38, -1e38, 16777216.0, 1e-30]


def comparison(name, dtype, arrays, outputs):
    module = importlib.import_module(f"symbn.shipped.{name}")
    interface = module.CALL._interfaces[np.dtype(dtype)]
    placed = {}
    for one in interface.arrays:
        array = (arrays | outputs)[one.name]
        placed[one.name] = check.Placed(array, one.indices)
    return check.Comparison(interface, module.CALL._reference, placed, {"epsilon": 1e-5}, {})


def run(name, dtype, arrays):
    """The kernel's outputs by their names in the equations."""
    module = importlib.import_module(f"symbn.shipped.{name}")
    interface = module.CALL._interfaces[np.dtype(dtype)]
    given = [arrays[one.name] for one in interface.arrays if one.role == "input"]
    results = module.CALL(given, [1e-5], 1, None, "off")
    names = [one.name for one in interface.arrays if one.role == "output"]
    return dict(zip(names, results if isinstance(results, tuple) else (results,), strict=True))


def inputs(rng, name, dtype, m, n, offset, odd):
    arrays = {}
    for one in CASES[name].split():
        rows = name.startswith(("layer", "rms"))
        if one in ("x", "dy", "residual"):
            arrays[one] = (rng.standard_normal((m, n)) + (offset if one == "x" else 0)).astype(dtype)
            for value in odd:
                arrays[one][rng.integers(m), rng.integers(n)] = value
        elif one in ("mu", "sigma2", "mean_square"):
            size = m if rows else n
            arrays[one] = np.full(size, offset) + rng.standard_normal(size) if one == "mu" else rng.random(size) + 0.5
        else:
            arrays[one] = rng.standard_normal(n).astype(dtype)
    return arrays


def spoil(rng, outputs):
    """Move some elements by a few units, onto and beside the middle between two numbers, or far."""
    for array in outputs.values():
        flat = array.reshape(-1)
        for _ in range(6):
            at = rng.integers(flat.size)
            kind = rng.integers(4)
            if kind == 0:
                flat[at] = rng.choice(ODD)
            else:
                for _ in range(kind):
                    flat[at] = np.nextafter(flat[at], flat.dtype.type(rng.choice([-np.inf, np.inf])))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([0.0, 3.0, 1e4, 1e7]),
    st.lists(st.sampled_from(ODD), max_size=3),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_what_is_accepted_at_first_sight_has_no_error_over_its_limit(name, dtype, m, n, offset, odd, seed, spoilt):
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        arrays = inputs(rng, name, dtype, m, n, offset, odd)
        outputs = run(name, dtype, arrays)
        if spoilt:
            spoil(rng, outputs)
    one = comparison(name, dtype, arrays, outputs)
    found = one.compare(one.everything())
    everything = comparison(name, dtype, arrays, outputs).measure()
    assert [output.failed for output in found.outputs] == [output.failed for output in everything.outputs]
    assert [output.compared for output in found.outputs] == [output.compared for output in everything.outputs]
    assert spoilt or found.passed


def test_next_to_nothing_is_derived_where_all_is_right(rng, monkeypatch):
    """Of float32 data nearly every element is the rounded value; the rest is within a bound that is quickly had.

    Of thousands of variances one may lie a unit beyond that bound, far within the one that is derived.
    """
    derived = []
    monkeypatch.setattr(check.Comparison, "_derive", lambda self, group, part: derived.append(part.count))
    x = (rng.standard_normal((64, 8, 20, 20)) + 2).astype("float32")
    y, mean, var = symbn.batch_norm(x, check="full")
    symbn.batch_norm_backward(y, x, mean, var, check="full")
    symbn.layer_norm(x, check="full")
    assert sum(derived) <= 3


@pytest.mark.parametrize("shape", [(5, 3), (4099, 3), (3, 40000), (700, 130)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_means_and_variances_are_as_good_as_numpys(rng, shape, order, offset):
    """What is subtracted first changes nothing: it has few digits, and is added again."""
    x = np.asarray(rng.standard_normal(shape) + offset, "float32", order=order)
    arrays = {"x": x, "gamma": np.ones(shape[1], "float32"), "beta": np.zeros(shape[1], "float32")}
    outputs = {"y": np.empty_like(x), "mu": np.empty(shape[1]), "sigma2": np.empty(shape[1])}
    one = comparison("batch_norm", "float32", arrays, outputs)
    (group,) = one.groups
    wide = x.astype(np.longdouble)
    for part in [part for _, part in one.everything()]:
        tables = {}
        one._program(group, part, {}).run(part, tables, Workers(1, np.float64), lambda *args: None)
        mean, var = tables.values()
        np.testing.assert_allclose(mean.value.ravel(), wide.mean(0)[part.picks].ravel(), rtol=1e-15, atol=1e-15)
        np.testing.assert_allclose(var.value.ravel(), wide.var(0)[part.picks].ravel(), rtol=1e-13)


@pytest.mark.parametrize("shape", [(200_000, 64), (2, 3_000_000), (3_000_000, 2)])
def test_the_check_needs_little_memory(rng, shape):
    x = rng.standard_normal(shape, dtype="float32")
    y, mean, var = symbn.layer_norm(x, check="off")

    def most(mode):
        tracemalloc.start()
        symbn.layer_norm(x, check=mode)
        symbn.layer_norm_backward(y, x, mean, var, check=mode)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert most("full") - most("off") < 64e6
