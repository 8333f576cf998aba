"""The check: what it compares, how it measures, and what its report says."""

from __future__ import annotations

import importlib
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symbn
from symbn.run import blocks, check, parts

NAMES = {"epsilon": "eps", "mu": "mean", "sigma2": "var"}


def sample(comparison):
    return comparison.sample(parts.drawn_lots(comparison.expected_lots()))


def verdict(comparison, mode):
    """What a mode finds: "measure" is the report with each error, whatever they are."""
    if mode == "measure":
        return comparison.measure()
    return comparison.compare(comparison.everything() if mode == "full" else sample(comparison))


@pytest.fixture
def compare(rng):
    """``compare(layout, dtype, spoil, mode)``: a right result, spoilt, against the equations."""
    module = importlib.import_module("symbn.shipped.batch_norm")

    def run(layout="NCHW", dtype="float32", spoil=lambda outputs: None, mode="full", shape=(4, 6, 5, 3)):
        x = (rng.standard_normal(shape) + 3).astype(dtype)
        axis = 1
        if layout == "NHWC":
            x, axis = np.ascontiguousarray(x.transpose(0, 2, 3, 1)), 3
        gamma, beta = np.ones(shape[1], dtype), np.zeros(shape[1], dtype)
        y, mean, var = symbn.batch_norm(x, gamma, beta, axis=axis, check="off")
        outputs = {"y": y, "mu": mean, "sigma2": var}
        spoil(outputs)
        axes = tuple("k" if one == axis else "i" for one in range(x.ndim))
        placed = {
            "x": check.Placed(x, axes),
            "gamma": check.Placed(gamma, ("k",)),
            "beta": check.Placed(beta, ("k",)),
            "y": check.Placed(y, axes),
            "mu": check.Placed(mean, ("k",)),
            "sigma2": check.Placed(var, ("k",)),
        }
        call = module.CALL
        interface = call._interfaces[np.dtype(dtype)]
        return verdict(check.Comparison(interface, call._reference, placed, {"epsilon": 1e-5}, NAMES), mode)

    return run


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_right_result_passes(compare, layout, dtype):
    assert compare(layout, dtype).passed
    report = compare(layout, dtype, mode="measure")
    assert report.passed
    assert [one.name for one in report.outputs] == ["y", "mean", "var"]
    assert [one.compared for one in report.outputs] == [360, 6, 6]
    assert [one.failed for one in report.outputs] == [0, 0, 0]
    assert "agrees" in str(report)
    worst = report.outputs[0].worst[0]
    assert 0 < worst.error <= worst.limit
    if dtype == "float32":
        assert worst.error <= 0.51


@pytest.mark.parametrize(
    ("layout", "place", "strides"), [("NCHW", (3, 5, 4, 2), (360, 60, 12, 4)), ("NHWC", (3, 4, 2, 5), (360, 72, 24, 4))]
)
def test_the_report_names_place_values_units_and_strides(compare, layout, place, strides):
    kept = {}

    def spoil(outputs):
        kept["right"] = float(outputs["y"][place])
        outputs["y"][place] += 1
        kept["wrong"] = float(outputs["y"][place])

    report = compare(layout, spoil=spoil)
    assert not report.passed
    y, mean, var = report.outputs
    assert (y.failed, mean.failed, var.failed) == (1, 0, 0)
    assert (y.dtype, y.shape, y.strides) == ("float32", (4, 6, 5, 3) if layout == "NCHW" else (4, 5, 3, 6), strides)
    worst = y.worst[0]
    assert worst.index == place
    assert worst.computed == kept["wrong"]
    assert worst.expected == pytest.approx(kept["right"], rel=1e-6)
    scale = max(abs(worst.expected), 2.0**-20)
    assert worst.error == pytest.approx(1 / float(np.spacing(np.float32(scale))), rel=1e-6)
    assert worst.ratio == worst.error / worst.limit
    text = str(report)
    assert "y: 1 of 360 elements compared are over the limit (float32" in text
    assert f"[{', '.join(map(str, place))}]: computed {worst.computed:.17g}, expected {worst.expected:.17g}" in text
    assert "scaled ulp, limit 0.51" in text
    assert "within the limit: mean, var" in text


def test_the_worst_places_come_first(compare):
    sizes = {(0, 0, 0, 0): 1e-4, (1, 2, 3, 1): 10.0, (2, 5, 0, 2): 0.1, (3, 3, 3, 0): 1.0}

    def spoil(outputs):
        for place, size in sizes.items():
            outputs["y"][place] = 1 + size if outputs["y"][place] > 0 else -1 - size
            outputs["y"][place] += 3

    y = compare(spoil=spoil).outputs[0]
    assert y.failed == 4
    assert {place.index for place in y.worst[:4]} == set(sizes)
    ratios = [place.ratio for place in y.worst]
    assert ratios == sorted(ratios, reverse=True)


@pytest.mark.parametrize("output", ["y", "mu", "sigma2"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_not_finite_fails_where_a_number_is_expected(compare, output, value, dtype):
    def spoil(outputs):
        outputs[output].reshape(-1)[4] = value

    report = compare(dtype=dtype, spoil=spoil)
    found = next(one for one in report.outputs if one.name == NAMES.get(output, output))
    assert found.failed == 1
    assert found.worst[0].error == np.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_fails_where_nan_is_expected(monkeypatch, dtype):
    x = np.ones((20, 3), dtype)
    x[4, 1] = np.nan
    module = importlib.import_module("symbn.shipped.batch_norm")
    right = module.CALL._reference
    symbn.batch_norm(x, check="full")
    monkeypatch.setattr(module.CALL, "_reference", lambda *values: tuple(one * np.nan for one in right(*values)))
    with pytest.raises(symbn.CheckError) as caught:
        symbn.batch_norm(x, check="full")
    assert [one.failed for one in caught.value.report.outputs] == [40, 2, 2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_unit_too_many_fails(compare, dtype):
    """float32: the next number is a whole unit away; float64: the limit is a few units."""

    def spoil(outputs):
        y = outputs["y"]
        for _ in range(1 if dtype == "float32" else 40):
            y[2, 2, 2, 2] = np.nextafter(y[2, 2, 2, 2], np.inf)

    assert compare(dtype=dtype, spoil=spoil).outputs[0].failed == 1


def test_sample_compares_whole_features_and_few_of_them(compare):
    report = compare(mode="sample", shape=(2, 100, 3, 3))
    assert [one.compared for one in report.outputs] == [4 * 18, 4, 4]
    assert [one.compared for one in compare(mode="sample", shape=(2, 1, 3, 3)).outputs] == [18, 1, 1]
    assert [one.compared for one in compare(mode="sample", shape=(2, 0, 3, 3)).outputs] == [0, 0, 0]


def test_sample_takes_other_features_each_time_whatever_the_program_seeds(compare):
    def all_wrong(outputs):
        outputs["mu"] += 1

    seen = []
    for _ in range(12):
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        report = compare(mode="sample", shape=(2, 300, 2, 2), spoil=all_wrong)
        seen.append(tuple(sorted(place.index for place in report.outputs[1].worst)))
    assert len(set(seen)) > 6


def test_sample_finds_in_the_end_what_full_finds_at_once(compare):
    def one_wrong(outputs):
        outputs["mu"][17] += 1

    assert not compare(shape=(2, 64, 2, 2), spoil=one_wrong).passed
    verdicts = {compare(mode="sample", shape=(2, 64, 2, 2), spoil=one_wrong).passed for _ in range(400)}
    assert verdicts == {True, False}


def test_off_compares_nothing(monkeypatch, rng):
    monkeypatch.setattr(check, "Comparison", None)
    x = rng.standard_normal((5, 3))
    symbn.batch_norm(x, check="off")
    with pytest.raises(TypeError):
        symbn.batch_norm(x, check="sample")


@pytest.mark.parametrize("mode", ["full", "sample"])
def test_large_arrays_are_compared_in_blocks_with_the_callers_indices(compare, mode):
    def spoil(outputs):
        outputs["y"][5, :, 30, 2] += 1

    shape = (6, 40, 40, 33)
    y = compare(shape=shape, spoil=spoil, mode=mode).outputs[0]
    assert np.prod(shape) > blocks.ELEMENTS
    assert y.failed == (40 if mode == "full" else 2)
    assert {(place.index[0], *place.index[2:]) for place in y.worst[: y.failed]} == {(5, 30, 2)}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(2.0**-140, 2.0**127, width=32))
def test_the_ulp_is_numpys_spacing(value):
    wide = np.array([value], np.float64)
    assert check.ulp_of(wide, np.float32)[0] == np.spacing(np.float32(value))
    assert check.ulp_of(wide, np.float64)[0] == np.spacing(np.float64(value))


def test_the_ulp_is_never_less_than_a_subnormals():
    for dtype in (np.float32, np.float64):
        least = float(np.finfo(dtype).smallest_subnormal)
        scales = np.array([0.0, least, 2 * least, float(np.finfo(dtype).tiny)])
        assert check.ulp_of(scales, dtype).tolist() == [least] * 4


def test_the_ulp_of_what_overflows_is_that_of_the_largest_number():
    assert check.ulp_of(np.array([np.inf, 1e300]), np.float32).tolist() == [2.0**104] * 2
