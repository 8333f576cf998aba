"""What is compared together, and what a sample draws."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import symbn
from symbn.run import check, parts


def comparison(name, shape, axes, dtype="float32"):
    module = importlib.import_module(f"symbn.shipped.{name}")
    interface = module.CALL._interfaces[np.dtype(dtype)]
    extents = dict(zip(axes, shape, strict=True))
    placed = {}
    for one in interface.arrays:
        array = np.broadcast_to(np.zeros((), "float32"), [extents[index] for index in one.indices])
        placed[one.name] = check.Placed(array, one.indices)
    return check.Comparison(interface, module.CALL._reference, placed, {"epsilon": 1e-5}, {})


def sample(one):
    return one.sample(parts.drawn_lots(one.expected_lots()))


def features(one):
    return [
        (sorted(output.name for output in group.outputs), None if group.feature is None else one.order[group.feature])
        for group in one.groups
    ]


def test_each_output_is_cut_where_its_elements_do_not_depend_on_each_other():
    assert features(comparison("batch_norm", (9, 5), "ik")) == [(["mu", "sigma2", "y"], "k")]
    assert features(comparison("layer_norm", (9, 5), "ik")) == [(["mu", "sigma2", "y"], "i")]
    assert sorted(features(comparison("layer_norm_backward", (9, 5), "ik"))) == [
        (["dbeta", "dgamma"], "k"),
        (["dx"], "i"),
    ]


def covered(one, chosen, output):
    """How often each feature of an output is among what is chosen."""
    count = next(one.space.extent(group.feature) for group in one.groups if output in [o.name for o in group.outputs])
    seen = np.zeros(count, int)
    for group, part in chosen:
        if output in [one.name for one in group.outputs]:
            seen[part.positions] += 1
    return seen


@pytest.mark.parametrize("shape", [(9, 5), (3_000_000, 7), (7, 3_000_000), (4096, 768)])
def test_everything_is_each_feature_once(shape):
    one = comparison("layer_norm_backward", shape, "ik")
    for output in ("dx", "dgamma"):
        assert np.all(covered(one, one.everything(), output) == 1)


@pytest.mark.parametrize(("shape", "axis"), [((1 << 21, 3), "k"), ((40_000, 300), "k"), ((300, 40_000), "k")])
def test_a_sample_of_a_large_array_draws_each_feature_as_often_as_any_other(shape, axis, monkeypatch):
    monkeypatch.setattr(parts, "SAMPLE_LARGE", 1 / 64)
    one = comparison("batch_norm", shape, "ik")
    runs = 3000
    seen = sum(covered(one, sample(one), "y") for _ in range(runs))
    assert seen.mean() == pytest.approx(runs * parts.SAMPLE_LARGE, rel=0.3)
    if len(seen) == 3:
        assert seen.min() > 0


def test_a_sample_of_a_small_array_is_never_empty():
    one = comparison("batch_norm", (20, 100), "ik")
    assert all(covered(one, sample(one), "y").sum() == 4 for _ in range(20))


@pytest.mark.parametrize("output", ["dx", "dgamma"])
def test_one_wrong_row_or_column_is_found_as_soon_as_promised(rng, output):
    """Of n features of a small array ceil(n/32) are drawn: what is wrong in one is found with that probability."""
    x = rng.standard_normal((64, 40)).astype("float32")
    y, mean, var = symbn.layer_norm(x)
    gamma = np.ones(40, "float32")
    dx, dgamma, dbeta = symbn.layer_norm_backward(y, x, mean, var, gamma)
    (dx if output == "dx" else dgamma)[..., 7] *= 1.01
    module = importlib.import_module("symbn.shipped.layer_norm_backward")
    interface = module.CALL._interfaces[np.dtype("float32")]
    arrays = {"dy": y, "x": x, "mu": mean, "sigma2": var, "gamma": gamma, "dx": dx, "dgamma": dgamma, "dbeta": dbeta}
    placed = {one.name: check.Placed(arrays[one.name], one.indices) for one in interface.arrays}
    found = 0
    for _ in range(300):
        one = check.Comparison(interface, module.CALL._reference, placed, {"epsilon": 1e-5}, {})
        report = one.compare(sample(one))
        found += not report.passed
        assert all(each.passed for each in report.outputs if each.name != output)
    # dx: each row drawn has it; dgamma: 2 of 40 columns are drawn, so that none of 300 has it once in 5 million runs.
    assert found == 300 if output == "dx" else found >= 1
