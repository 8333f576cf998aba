"""Which cases the options of a run stand for."""

import pytest

from symbn import catalogue
from symbn.bench import cases, machine
from symbn.bench.cases import Case
from symbn.errors import ArgumentError, ArgumentTypeError


def test_every_operator_is_shipped():
    assert set(cases.OPERATORS) <= set(catalogue.names())


def test_every_suite_fits_its_operators():
    for suite in cases.SUITES.values():
        assert all(cases.takes(operator, shape) for operator in suite.operators for shape in suite.shapes)


def test_a_default_run_has_every_operator_and_both_layouts():
    found = cases.choose()
    assert {one.operator for one in found} == set(cases.OPERATORS)
    assert {one.layout for one in found if one.norm == "batch_norm"} == set(cases.LAYOUTS)
    assert {one.layout for one in found if one.norm != "batch_norm"} == {cases.CHANNELS_FIRST}
    assert {one.dtype for one in found} == {"float32"}
    assert len(set(found)) == len(found)


def test_a_shape_goes_to_the_operators_that_take_it():
    assert {one.norm for one in cases.choose(shapes=["64x32"])} == {"batch_norm", "layer_norm", "rms_norm"}
    assert {one.norm for one in cases.choose(shapes=["2x3x4"])} == {"batch_norm", "group_norm", "instance_norm"}
    assert cases.choose(["layer_norm"], ["64x32"]) == [Case("layer_norm", (64, 32))]
    both = cases.choose(["batch_norm"], ["2x6x5x5"], kinds=["float32", "float64"])
    assert [(one.layout, one.dtype) for one in both] == [
        (layout, kind) for kind in ("float32", "float64") for layout in cases.LAYOUTS
    ]
    last = cases.choose(["group_norm"], ["2x6x5x5"], ["channels-last"])
    assert [(one.memory_shape, one.groups) for one in last] == [((2, 5, 5, 6), 2)]


def test_a_suite_is_named():
    found = cases.choose(["batch_norm"], ["resnet50", "8x16"], ["channels-first"])
    assert Case("batch_norm", (32, 2048, 7, 7)) in found
    assert found[-1] == Case("batch_norm", (8, 16))


def test_what_a_case_is():
    one = Case("batch_norm_backward", (32, 64, 7, 5), "channels-last", "float64")
    assert (one.norm, one.backward, one.inference, one.relu) == ("batch_norm", True, False, False)
    assert (str(one), one.nbytes) == ("32×64×7×5 channels last", 32 * 64 * 7 * 5 * 8)
    assert Case("batch_norm_inference", (2, 2)).inference
    assert Case("batch_norm_relu", (2, 2)).relu


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operators": ["bach_norm"]}, r"operators: there is no 'bach_norm'; expected some of batch_norm, "),
        ({"operators": ["running_stats"]}, r"operators: there is no 'running_stats'"),
        ({"shapes": ["64"]}, r"shapes: '64' is neither a shape such as 4096x768 nor a suite; those are tiny, "),
        ({"shapes": ["64x-3"]}, r"shapes: '64x-3' is neither"),
        ({"shapes": ["64x0"]}, r"shapes: '64x0' is neither"),
        ({"shapes": ["resnet"]}, r"shapes: 'resnet' is neither"),
        ({"layouts": ["nhwc"]}, r"layouts: there is no 'nhwc'; expected some of channels-first, channels-last"),
        ({"operators": ["layer_norm"], "shapes": ["2x3x4"]}, r"shapes: none of 2x3x4 is for layer_norm .*two extents"),
        ({"shapes": ["8x16"], "layouts": ["channels-last"]}, r"shapes: none of 8x16 is for .* in channels-last"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ArgumentError, match=message):
        cases.choose(**options)


def test_a_wrong_dtype_is_named():
    with pytest.raises(ArgumentTypeError, match="dtype: float16 has no kernels; expected float32 or float64"):
        cases.choose(kinds=["float16"])


def test_threads_get_cores_of_their_own_first(monkeypatch):
    siblings = {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}
    monkeypatch.setattr(machine, "available", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(machine, "_read", lambda path: siblings[int(path.parts[-3].removeprefix("cpu"))])
    assert machine.choose(1) == [3]
    assert machine.choose(2) == [3, 2]
    assert machine.choose(4) == [3, 2, 1, 0]
    with pytest.raises(ArgumentError, match="threads: 5 is more than the 4 CPUs that this process may run on"):
        machine.choose(5)


def test_the_machine_is_described_without_names_of_places():
    import getpass
    import platform
    from pathlib import Path

    text = " ".join(machine.describe().values())
    assert machine.describe()["CPU"]
    assert str(Path.cwd()) not in text
    assert not platform.node() or platform.node() not in text
    assert f"/{getpass.getuser()}" not in text
