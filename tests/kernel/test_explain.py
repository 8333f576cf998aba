"""What a kernel is said to do is what its loops do."""

import re

import pytest

import symbn
from symbn import catalogue
from symbn.dtypes import FLOAT32, FLOAT64
from symbn.kernel import explain, schedule
from symbn.run import machine

#: a core that copies 16 GB and does 8e9 operations in a second
RATES = {"copy_rate": 16e9, "operation_rate": 8e9}


def lines_of(name, *, dtype=FLOAT32):
    return explain.explain(catalogue.load(name)[0], dtype, **RATES).splitlines()


def steps_of(name, *, dtype=FLOAT32):
    text = lines_of(name, dtype=dtype)
    return text[text.index("Step 1") :]


def test_batch_norm_reads_the_data_twice_and_again_where_it_must():
    assert lines_of("batch_norm")[0] == catalogue.load("batch_norm")[0].description.splitlines()[0]
    assert steps_of("batch_norm")[:11] == [
        "Step 1",
        "  for each k:",
        "    visit the first 64 terms of i: read x; a mean for (1), the shift about which sums are taken",
        "    visit i: read x; a mean for (1) and a sum for (2)",
        "    write mu (1)",
        "    where the shift lies far from the mean, visit i: read x; a sum for (2) again",
        "    write sigma2 (2)",
        "    visit i: read x; write y (3)",
        "  runs as group1_panels where x and y are contiguous along k, x is not along i1, "
        "there is a part of the work for each thread and what it reads again stays in cache",
        "  else as group1_kept where x and y are contiguous along k and x is not along i1",
        "  else as group1_reduced",
    ]


def test_with_compensated_sums_the_squares_are_about_the_mean_at_once():
    assert steps_of("batch_norm", dtype=FLOAT64)[2:7] == [
        "    visit i: read x; a mean for (1)",
        "    write mu (1)",
        "    visit i: read x; a mean for (2)",
        "    write sigma2 (2)",
        "    visit i: read x; write y (3)",
    ]


def test_rows_and_columns_in_one_visit():
    text = lines_of("layer_norm_backward")
    assert "Step 1, in one visit of the data where memory allows" in text
    where = "where x and dy are contiguous along k1"
    part, again = "there is a part of the work for each thread", "what it reads again stays in cache"
    start = text.index(f"  runs as group1_crossed_rows, group1_merged {where}, {part} and {again}")
    assert text[start + 1] == f"  else as group1_crossed, group1_merged {where} and {part}"
    assert "  else as group1_reduced, group1_reduced2" in text


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


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=lambda dtype: dtype.name)
def test_accuracy_is_told(dtype):
    told = [line for line in lines_of("batch_norm", dtype=dtype) if line.startswith("Arithmetic")]
    assert ("each operation with its rounding error" in told[0]) == dtype.compensated


def test_every_nest_and_output_is_named(operator):
    """The explanation is whole: no nest and no output of the program is left out."""
    text = explain.explain(operator, FLOAT32, **RATES)
    program = schedule.lower(operator, compensated=False)
    for nest in program.nests:
        assert re.search(rf"\b{nest.name}\b", text)
    for array in program.arrays:
        if array.role == "output":
            assert re.search(rf"write [^\n]*\b{array.name} \(", text)


def test_a_kernel_explains_itself():
    operator = catalogue.load("rms_norm")[0]
    kernel = symbn.build(operator, "float64")
    rates = {"copy_rate": machine.copy_rate(), "operation_rate": machine.operation_rate()}
    assert kernel.explain() == explain.explain(operator, FLOAT64, **rates)


def test_the_bound_is_that_of_memory_or_of_arithmetic():
    """Inference: x is converted, less the mean, times the factor, plus beta, and converted back."""
    operator = catalogue.load("batch_norm_inference")[0]
    text = explain.explain(operator, FLOAT32, copy_rate=16e9, operation_rate=10e9)
    assert "  for an element: read x and write y, 8 bytes, 1 times a copy's; 5 operations\n" in text
    told = "at the least {} ns on a core of this machine: {} to move it, 0.5 to compute; {} is the limit\n"
    assert text.endswith(told.format("0.5", "0.5", "arithmetic"))
    slow = explain.explain(operator, FLOAT32, copy_rate=8e9, operation_rate=10e9)
    assert slow.endswith(told.format("1", "1", "memory"))


def test_what_is_visited_again_is_counted_where_it_left_the_cache():
    assert any("8 bytes, 1 times a copy's (12 bytes, 1.5 times, where" in line for line in lines_of("batch_norm"))
    assert any("12 bytes, 1.5 times a copy's (20 bytes, 2.5 times" in line for line in lines_of("batch_norm_backward"))


def test_the_machine_is_measured():
    assert 1e8 < machine.copy_rate() < 1e13
    assert 1e7 < machine.operation_rate() < 1e13
