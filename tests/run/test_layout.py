"""How several axes become one index's loop levels, and the plans that calls keep."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import symbn
from symbn.run import call, layout
from symbn.run.plan import THREADED_ELEMENTS, usable


def levels(array, axes, others=()):
    outer = layout.outer_axes([(array, axes), *others], "i")
    return None if outer is None else layout.level_values(array, axes, "i", outer, 2)


def test_axes_that_follow_each_other_evenly_are_one():
    x = np.zeros((4, 5, 6))
    assert levels(x, ("i", "i", "i")) == [(1, 0), (120, 1)]
    assert levels(x[:, :, ::2], ("i", "i", "i")) == [(1, 0), (60, 2)]
    assert levels(np.zeros((4, 5, 6)), ("i", "k", "i")) == [(4, 30), (6, 1)]
    assert levels(x, ("k", "i", "i")) == [(1, 0), (30, 1)]


def test_a_gap_between_axes_makes_two_levels():
    x = np.zeros((4, 5, 8))[:, :, :6]
    assert levels(x, ("k", "i", "i")) == [(5, 8), (6, 1)]
    assert levels(np.zeros((4, 6)).T, ("i", "i")) == [(6, 1), (4, 6)]
    assert levels(np.zeros((4, 6))[::-1], ("i", "i")) == [(4, -6), (6, 1)]


def test_two_gaps_are_too_many():
    assert levels(np.zeros((4, 5, 6)).transpose(2, 1, 0), ("i", "i", "i")) is None
    x, gap = np.zeros((4, 5, 6)), np.zeros((4, 5, 12))[:, :, ::2]
    assert levels(x, ("i", "i", "i"), [(gap, ("i", "i", "i"))]) == [(1, 0), (120, 1)]
    two = np.zeros((8, 5, 12))[::2, :, ::2][:, :4]
    assert levels(two[:, :, :5], ("i", "i", "i")) is None


def test_where_one_array_has_a_gap_all_are_split_there():
    x, gap = np.zeros((4, 5)), np.zeros((4, 8))[:, :5]
    assert levels(x, ("i", "i"), [(gap, ("i", "i"))]) == [(4, 5), (5, 1)]


def test_axes_of_length_one_do_not_count():
    x = np.zeros((4, 1, 5, 1)).transpose(3, 0, 1, 2)
    assert levels(x, ("i",) * 4) == [(1, 0), (20, 1)]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros(4), True),
        (np.zeros(8)[::-2], True),
        (np.zeros(4, np.float32), False),
        (np.zeros(4, np.dtype(float).newbyteorder()), False),
        (np.frombuffer(bytearray(33), np.uint8)[1:].view(float), False),
        (np.zeros(4, [("a", "f8"), ("b", "f4")])["a"], False),
        (np.broadcast_to(np.zeros(1), 4), True),
    ],
)
def test_what_a_kernel_can_use_where_it_is(array, expected):
    assert usable(array, np.dtype(float)) == expected


@pytest.fixture
def plans(monkeypatch):
    """The plans of batch_norm, none at first."""
    kept = importlib.import_module("symbn.shipped.batch_norm").CALL
    monkeypatch.setattr(kept, "_plans", {})
    monkeypatch.setattr(kept, "known", {})
    return kept._plans


def test_a_call_like_an_earlier_one_takes_its_plan(plans, rng):
    for _ in range(3):
        symbn.batch_norm(rng.standard_normal((5, 3)), check="full")
    assert len(plans) == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda x: np.asfortranarray(x),
        lambda x: x[:, ::-1],
        lambda x: x.astype(np.float32),
        lambda x: x[:4],
        lambda x: x.astype(x.dtype.newbyteorder()),
    ],
)
def test_other_strides_shapes_and_dtypes_have_plans_of_their_own(plans, rng, other):
    x = rng.standard_normal((5, 3))
    for check in ("full", "off"):
        first, second = symbn.batch_norm(x, check=check), symbn.batch_norm(other(x), check=check)
        third = symbn.batch_norm(np.ascontiguousarray(other(x), other(x).dtype.newbyteorder("=")), check=check)
        again = symbn.batch_norm(x, check=check)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(second, third, strict=True))
    assert len(plans) >= 2


def test_plans_do_not_pile_up(plans, monkeypatch):
    monkeypatch.setattr(call, "_PLANS", 8)
    for size in range(1, 40):
        result = symbn.batch_norm(np.ones((size, 2)))
        assert result.y.shape == (size, 2)
    assert 1 <= len(plans) <= 8


def test_small_arrays_are_computed_by_one_thread(plans):
    symbn.batch_norm(np.zeros((THREADED_ELEMENTS // 2 - 1, 2)))
    symbn.batch_norm(np.zeros((THREADED_ELEMENTS // 2, 2)))
    assert [ready.plan.threaded for ready in plans.values()] == [False, True]


def test_nothing_steps_over_an_empty_array():
    """It has any strides: NumPy's own are 0, those of a part of an array are that array's."""
    part = np.empty((4, 6, 5))[:, :0]
    for x in (part, np.empty((2, 2, 3, 2, 5))[:, :0, :, :0], np.empty((4, 0, 5)), np.empty((0, 3))):
        axes = ("i",) * x.ndim
        assert layout.outer_axes([(x, axes)], "i") == 0
        assert levels(x, axes)[1][0] == 0
    full, gap = np.empty((4, 5, 0)), np.empty((4, 8))[:, :5]
    assert levels(full, ("i", "i", "k"), [(gap, ("i", "i"))]) == [(4, full.strides[0] // 8), (5, full.strides[1] // 8)]
