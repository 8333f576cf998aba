"""What a kernel is said to do is what its loops do."""

import re

import pytest

import symbn
from symbn import catalogue
from symbn.kernel import explain, schedule


def lines_of(name, *, compensated=False):
    return explain.explain(catalogue.load(name)[0], compensated=compensated).splitlines()


def steps_of(name, *, compensated):
    text = lines_of(name, compensated=compensated)
    return text[text.index("Step 1") :]


def test_batch_norm_reads_the_data_twice_and_again_where_it_must():
    assert lines_of("batch_norm")[0] == catalogue.load("batch_norm")[0].description.splitlines()[0]
    assert steps_of("batch_norm", compensated=False) == [
        "Step 1",
        "  for each k:",
        "    visit the first 64 terms of i: read x; a mean for (1), the shift about which sums are taken",
        "    visit i: read x; a mean for (1) and a sum for (2)",
        "    write mu (1)",
        "    where the shift lies far from the mean, visit i: read x; a sum for (2) again",
        "    write sigma2 (2)",
        "    visit i: read x; write y (3)",
        "  runs as group1_kept where x and y are contiguous along k and x is not along i1",
        "  else as group1_reduced",
    ]


def test_with_compensated_sums_the_squares_are_about_the_mean_at_once():
    assert steps_of("batch_norm", compensated=True)[2:7] == [
        "    visit i: read x; a mean for (1)",
        "    write mu (1)",
        "    visit i: read x; a mean for (2)",
        "    write sigma2 (2)",
        "    visit i: read x; write y (3)",
    ]


def test_rows_and_columns_in_one_visit():
    text = lines_of("layer_norm_backward")
    assert "Step 1, in one visit of the data where memory allows" in text
    assert any(
        line.startswith("  runs as group1_crossed, group1_merged where") and line.endswith("rows for each thread")
        for line in text
    )
    assert text[-1] == "  else as group1_reduced, group1_reduced2"


def test_groups_that_take_turns_in_the_cache():
    text = lines_of("group_norm_backward")
    start = text.index("  for each n and g, while its data is in cache:")
    assert text[start + 1 : start + 6] == [
        "    for each c:",
        "      visit s: read x and dy; a sum for (1) and a sum for (3)",
        "    visit c: read gamma, all_dgamma_sum and all_dx_sum2; a sum for (3)",
        "    for each c:",
        "      visit s: read dy and x; write dx (3)",
    ]


def test_it_says_what_is_saved_and_what_is_computed_again():
    assert "mu and sigma2 are taken as the forward pass saved them; z is computed again." in lines_of(
        "batch_norm_relu_backward"
    )


@pytest.mark.parametrize("compensated", [False, True])
def test_accuracy_is_told(compensated):
    told = [line for line in lines_of("batch_norm", compensated=compensated) if line.startswith("Arithmetic")]
    assert ("each addition with its rounding error" in told[0]) == compensated


def test_every_nest_and_output_is_named(operator):
    """The explanation is whole: no nest and no output of the program is left out."""
    text = explain.explain(operator, compensated=False)
    program = schedule.lower(operator, compensated=False)
    for nest in program.nests:
        assert re.search(rf"\b{nest.name}\b", text)
    for array in program.arrays:
        if array.role == "output":
            assert re.search(rf"write [^\n]*\b{array.name} \(", text)


def test_a_kernel_explains_itself():
    operator = catalogue.load("rms_norm")[0]
    kernel = symbn.build(operator, "float64")
    assert kernel.explain() == explain.explain(operator, compensated=True)
