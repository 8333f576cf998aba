"""Everybody who is installed, each in a process of its own as in a run, computes what the operator says."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from symbn.bench import cases, peers, problem, session
from symbn.bench.cases import Case

IMAGES = (3, 32, 6, 5)
LAYERS = [
    Case(operator, shape, layout)
    for operator in ("batch_norm", "batch_norm_inference", "batch_norm_backward")
    for shape, layout in [(IMAGES, "channels-first"), (IMAGES, "channels-last"), ((37, 19), "channels-first")]
]
EVERYTHING = LAYERS + [
    Case(operator, (19, 70) if cases.takes(operator, (19, 70)) else IMAGES)
    for operator in cases.OPERATORS
    if not operator.startswith("batch_norm")
]
#: what takes long to compile is asked for less
ASKED = {
    "PyTorch": [*EVERYTHING, Case("batch_norm_relu", IMAGES)],
    "oneDNN": [one for one in EVERYTHING if one.operator != "rms_norm_backward"],  # 3.13 centres where it must not
    "ONNX Runtime": EVERYTHING,
    "NumPy": [*EVERYTHING, Case("batch_norm_relu", IMAGES)],
    "JAX": [Case("layer_norm_backward", (19, 70))],
    "numba": [Case("batch_norm_inference", IMAGES)],
}
#: cases that a peer has no form of
LACKS = {
    "ONNX Runtime": lambda case: case.backward or case.layout == cases.CHANNELS_LAST,
    # the older build has no group norm, which is also its instance norm, and no RMS norm
    "oneDNN": lambda case: case.norm in ("group_norm", "instance_norm", "rms_norm"),
}


@pytest.mark.parametrize("name", [name for name in peers.MODULES if name != peers.OWN])
def test_a_peer_computes_what_the_operator_says(name):
    told = {"task": "accuracy", "peers": [name], "cpus": [session.machine.available()[0]]}
    first, *found = session.ask(told | {"cases": [asdict(one) for one in ASKED[name]]}, lambda _: None)
    if name in first["absent"]:
        pytest.skip(f"not here: {first['absent'][name]}")
    assert first["versions"][name]
    for case, one in zip(ASKED[name], found, strict=True):
        if not one["forms"]:
            assert name in LACKS, case
            assert LACKS[name](case), case
        for form in one["forms"]:
            assert form["errors"]["0"] < 1000, (case, form)


def test_numpy_and_its_user_agree():
    """The formulas that NumPy and JAX share, in float64, against the exact result."""
    from symbn.bench import exact

    numpy = peers.load("NumPy")
    for case in ASKED["NumPy"]:
        one = problem.make(Case(case.operator, case.shape, case.layout, "float64"))
        (form,) = numpy.forms(one)
        assert exact.error(form.main(form.call()), one) < 500, case


@pytest.mark.parametrize(("made", "kept"), [("right", True), ("wrong", False), ("none", False)])
def test_what_pytorch_compiles_is_kept_where_it_is_right(monkeypatch, made, kept):
    pytest.importorskip("torch")
    from symbn.bench.peers import pytorch

    def compiled(function, dynamic):
        assert dynamic is False
        if made == "none":
            raise pytorch.torch._dynamo.exc.BackendCompilerFailed(compiled, RuntimeError("no compiler"), None)
        return lambda *arguments: function(*arguments) + (1 if made == "wrong" else 0)

    one = problem.make(Case("layer_norm", (19, 70)))
    assert [form.name for form in pytorch.forms(one)] == ["natural"]  # too small to be worth it
    monkeypatch.setattr(pytorch.torch, "compile", compiled)
    monkeypatch.setattr(pytorch, "_WORTH_COMPILING", 0)
    assert [form.name for form in pytorch.forms(one)] == ["natural"] + ["compiled"] * kept
