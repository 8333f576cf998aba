"""Which axes of a call's arrays an index stands for, as unit of its own: no kernel is called."""

from __future__ import annotations

import math

import numpy as np
import pytest

from symbn.emit.interface import ArrayArgument
from symbn.errors import ArgumentError, ArgumentTypeError
from symbn.run.axes import Axes, Bound

ROWS = (("i", ":axis"), ("k", "axis:"))
FEATURES = (("k", "axis"), ("i", "..."))
GROUPS = (("n", "0"), ("g c", "1"), ("s", "2:"))
POSITIONS = (("n", "0"), ("c", "1"), ("s", "2:"))


def argument(name, indices, role="input"):
    """An array with these indices, one a letter."""
    return ArrayArgument(name, role, False, tuple(indices), ((),) * len(indices))


def bind(places, named, shape, value=None, **others):
    """The bound axes of data of a shape, with arrays ``name_indices=shape``."""
    indices = "".join(place for pair, _ in places for place in pair.split())
    arrays = [(argument("x", indices), np.empty(shape), "x")]
    for key, own in others.items():
        name, _, letters = key.partition("_")
        arrays.append((argument(name, letters), None if own is None else np.empty(own), name))
    return Axes(places, named).bind(arrays, value)


@pytest.mark.parametrize(
    ("axis", "expected"),
    [(0, "kkkk"), (1, "ikkk"), (3, "iiik"), (-1, "iiik"), (-4, "kkkk"), (np.int64(2), "iikk"), (np.array(-2), "iikk")],
)
def test_the_axes_from_one_on(axis, expected):
    assert bind(ROWS, "axis", (2, 3, 4, 5), axis).axes == tuple(expected)


@pytest.mark.parametrize(("axis", "expected"), [(0, "kiii"), (1, "ikii"), (-1, "iiik"), (-4, "kiii")])
def test_one_axis_and_all_others(axis, expected):
    assert bind(FEATURES, "axis", (2, 3, 4, 5), axis).axes == tuple(expected)


@pytest.mark.parametrize("places", [ROWS, FEATURES])
@pytest.mark.parametrize(("shape", "axis"), [((), 0), ((), -1), ((3,), 1), ((3,), -2), ((2, 3), 2), ((2, 3), 10**30)])
def test_an_axis_that_is_not_there(places, shape, axis):
    with pytest.raises(ArgumentError, match=f"^axis: {axis} is out of range for x, which has {len(shape)} dimensions"):
        bind(places, "axis", shape, axis)


@pytest.mark.parametrize("value", [1.0, "1", None, (1,), np.ones(2, int)])
def test_an_axis_or_a_number_of_groups_that_is_no_integer(value):
    with pytest.raises(ArgumentTypeError, match=r"^axis: is .*, expected an integer"):
        bind(ROWS, "axis", (2, 3), value)
    with pytest.raises(ArgumentTypeError, match=r"^num_groups: is .*, expected an integer"):
        bind(GROUPS, "num_groups", (2, 4), value)


def test_fixed_axes():
    assert bind(POSITIONS, None, (2, 3)).axes == ("n", "c")
    assert bind(POSITIONS, None, (2, 3, 4, 5)).axes == ("n", "c", "s", "s")
    bound = bind(GROUPS, "num_groups", (2, 6, 4, 5), 3)
    assert bound == Bound(("n", "g c", "s", "s"), 3)
    assert bound.indices == ("n", "g", "c", "s", "s")


@pytest.mark.parametrize(("places", "named", "value"), [(GROUPS, "num_groups", 1), (POSITIONS, None, None)])
@pytest.mark.parametrize("shape", [(), (4,)])
def test_too_few_axes(places, named, value, shape):
    with pytest.raises(ArgumentError, match=rf"^x: has {len(shape)} dimensions .*, expected 2 or more"):
        bind(places, named, shape, value)


@pytest.mark.parametrize("number", [0, -1, -3, 4, 5, 7, 12])
def test_a_number_of_groups_that_does_not_divide(number):
    with pytest.raises(ArgumentError, match=f"^num_groups: is {number}, expected a divisor of 6, the length of axis 1"):
        bind(GROUPS, "num_groups", (2, 6, 5), number)


def test_no_channels_have_any_number_of_groups():
    bound = bind(GROUPS, "num_groups", (2, 0, 5), 7)
    assert bound.split(np.empty((2, 0, 5)), argument("x", "ngcs")).shape == (2, 7, 0, 5)
    with pytest.raises(ArgumentError, match="num_groups: is 0"):
        bind(GROUPS, "num_groups", (2, 0, 5), 0)


def test_data_of_another_shape_is_named_for_the_first():
    for places, named, value in ((ROWS, "axis", 1), (GROUPS, "num_groups", 2), (POSITIONS, None, None)):
        letters = "".join(pair.replace(" ", "") for pair, _ in places)
        with pytest.raises(ArgumentError, match=r"^dy: has shape \(2, 4, 5\), expected \(2, 4, 3\), as x has"):
            bind(places, named, (2, 4, 3), value, **{f"dy_{letters}": (2, 4, 5)})
        bind(places, named, (2, 4, 3), value, **{f"dy_{letters}": None})


@pytest.mark.parametrize("shape", [(5,), (2, 3), (), (1,)])
def test_a_grouped_array_of_another_shape(shape):
    bind(GROUPS, "num_groups", (2, 6, 5), 2, gamma_gc=(6,))
    bind(GROUPS, "num_groups", (2, 6, 5), 2, gamma_gc=None)
    with pytest.raises(ArgumentError, match=r"^gamma: has shape .*, expected \(6,\)"):
        bind(GROUPS, "num_groups", (2, 6, 5), 2, gamma_gc=shape)


@pytest.mark.parametrize(
    ("indices", "shape", "split"),
    [
        ("ngcs", (2, 6, 4, 5), (2, 3, 2, 4, 5)),
        ("gc", (6,), (3, 2)),
        ("ng", (2, 3), (2, 3)),
        ("c", (2,), (2,)),
        ("gcs", (6, 4, 5), (3, 2, 4, 5)),
        ("", (), ()),
    ],
)
def test_splitting_and_merging(indices, shape, split):
    """Each index gets axes of its own, and the caller's shape is found again."""
    bound, own = Bound(("n", "g c", "s", "s"), 3), argument("a", indices)
    array = np.arange(math.prod(shape)).reshape(shape)
    view = bound.split(array, own)
    assert view.shape == split
    assert np.shares_memory(view, array)
    assert np.array_equal(view.ravel(), array.ravel())
    assert bound.merged(split, own) == shape
    assert bound.shape(own, (2, 6, 4, 5)) == shape


@pytest.mark.parametrize(
    "key",
    [
        np.s_[:, ::-1],
        np.s_[:, ::2],
        np.s_[::-1, :, 1:],
        np.s_[..., ::3],
    ],
)
def test_a_split_is_a_view_in_any_strides(key):
    array = np.arange(4 * 12 * 9).reshape(4, 12, 9)[key]
    bound = Bound(("n", "g c", "s"), 3)
    view = bound.split(array, argument("x", "ngcs"))
    assert np.shares_memory(view, array)
    assert np.array_equal(view[1, 2, 0], array[1, 2 * array.shape[1] // 3])
    transposed = array.transpose(2, 1, 0)
    assert np.shares_memory(bound.split(transposed, argument("x", "ngcs")), array)


def test_the_axes_of_arrays_with_some_indices():
    bound = bind(ROWS, "axis", (2, 3, 4, 5), 2)
    assert bound.places(argument("gamma", "k")) == ("k", "k")
    assert bound.shape(argument("gamma", "k"), (2, 3, 4, 5)) == (4, 5)
    assert bound.shape(argument("mean", "i"), (2, 3, 4, 5)) == (2, 3)
    assert bound.shape(argument("x", "ik"), (2, 3, 4, 5)) == (2, 3, 4, 5)
    whole = bind(ROWS, "axis", (4, 5), 0)
    assert whole.shape(argument("mean", "i"), (4, 5)) == ()
    assert bind(FEATURES, "axis", (2, 3, 4), 1).shape(argument("gamma", "k"), (2, 3, 4)) == (3,)
