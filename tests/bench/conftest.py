"""Results that no machine has measured."""

from __future__ import annotations

import math

import pytest

from symbn.bench.cases import Case
from symbn.bench.measure import Timing
from symbn.bench.results import Accuracy, CheckCost, Measurement, Results


def _measurement(operator, shape, threads, copy, **times):
    forms = {
        name.replace("_", " "): {"natural": Timing(2 * s, 0.01), "out=": Timing(s, 0.01)} for name, s in times.items()
    }
    return Measurement(Case(operator, shape), threads, Timing(copy, 0.01), forms)


@pytest.fixture
def results():
    """Two operators, two threads; NumPy is the fastest of all at one shape, no library has rms_norm_backward."""
    large, small = (32, 64, 56, 56), (64, 32)
    return Results(
        {"CPU": "abacus", "date": "2026-01-02"},
        {"symbn": "0.1", "PyTorch": "2.0", "ONNX Runtime": "1.0", "NumPy": "2.1"},
        {"JAX": "No module named 'jax'"},
        (
            _measurement("batch_norm", large, 1, 1e-3, symbn=2e-3, PyTorch=4e-3, ONNX_Runtime=5e-3, NumPy=9e-3),
            _measurement("batch_norm", small, 1, 1e-6, symbn=4e-6, PyTorch=2e-6, NumPy=1e-6),
            _measurement("batch_norm", large, 2, 1e-3, symbn=1e-3, PyTorch=4e-3, NumPy=9e-3),
            _measurement("rms_norm_backward", (512, 512), 1, 1e-4, symbn=3e-4, NumPy=6e-4),
        ),
        (
            Accuracy(Case("batch_norm", (6, 64, 17, 13)), "symbn", {"0": 0.499, "10000": 0.5}),
            Accuracy(Case("batch_norm", (6, 64, 17, 13)), "PyTorch", {"0": 2.04, "10000": 123456.0}),
            Accuracy(Case("batch_norm", (6, 64, 17, 13)), "ONNX Runtime", {"0": 3.0, "10000": math.inf}),
        ),
        (CheckCost(Case("batch_norm", large), 1, {"off": Timing(2e-3), "sample": Timing(3e-3), "full": Timing(8e-3)}),),
    )
