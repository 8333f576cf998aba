"""ONNX Runtime: a model of one operator, run with a dictionary, and with its inputs and outputs bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from symbn.bench.cases import CHANNELS_LAST, Case
from symbn.bench.peers import Form
from symbn.bench.problem import Problem

_threads = 1
_IR_VERSION = 10


def version() -> str:
    return str(onnxruntime.__version__)


def prepare(threads: int) -> None:
    global _threads
    _threads = threads
    onnxruntime.set_default_logger_severity(4)


def forms(problem: Problem) -> Iterator[Form]:
    """Forward only: the package has no gradients. Its operators know no channels last."""
    case = problem.case
    if case.backward or case.layout == CHANNELS_LAST:
        return
    feeds = {"x": problem.x, "gamma": problem.gamma}
    if case.norm != "rms_norm":
        feeds["beta"] = problem.beta
    if case.norm == "batch_norm":
        feeds |= {name: getattr(problem, name).astype(problem.x.dtype) for name in ("mean", "var")}
    try:
        session = _session(_model(problem, feeds))
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return  # no kernel for this dtype
    yield Form("natural", lambda: session.run(None, feeds), lambda result: result[0])
    binding = session.io_binding()
    y = problem.empty()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    for number, output in enumerate(session.get_outputs()):
        target = np.zeros_like(y if number == 0 else problem.gamma)
        y = target if number == 0 else y
        value = onnxruntime.OrtValue.ortvalue_from_numpy(target)
        binding.bind_ortvalue_output(output.name, value)
    yield Form("bound", lambda: session.run_with_iobinding(binding), lambda _: binding.get_outputs()[0].numpy())


def _session(model: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = _threads, 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _model(problem: Problem, feeds: dict[str, Any]) -> Any:
    case, eps = problem.case, problem.eps
    kind = TensorProto.DOUBLE if case.dtype == "float64" else TensorProto.FLOAT
    nodes, outputs = _nodes(case, eps, list(feeds))
    shapes = {"y": problem.x.shape}
    graph = helper.make_graph(
        nodes,
        case.operator,
        [helper.make_tensor_value_info(name, kind, array.shape) for name, array in feeds.items()],
        [helper.make_tensor_value_info(name, kind, shapes.get(name, problem.gamma.shape)) for name in outputs],
    )
    opset = 23 if case.norm == "rms_norm" else 21
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR_VERSION)


def _nodes(case: Case, eps: float, inputs: list[str]) -> tuple[list[Any], list[str]]:
    """The operator's node, for the fused one a Relu after it, and the names of the outputs."""
    operators: dict[str, tuple[str, dict[str, Any]]] = {
        "batch_norm": ("BatchNormalization", {"training_mode": int(not case.inference)}),
        "layer_norm": ("LayerNormalization", {"axis": -1}),
        "rms_norm": ("RMSNormalization", {"axis": -1}),
        "group_norm": ("GroupNormalization", {"num_groups": case.groups}),
        "instance_norm": ("InstanceNormalization", {}),
    }
    operator, attributes = operators[case.norm]
    outputs = ["y", "running_mean", "running_var"] if attributes.get("training_mode") else ["y"]
    if not case.relu:
        return [helper.make_node(operator, inputs, outputs, epsilon=eps, **attributes)], outputs
    node = helper.make_node(operator, inputs, ["z", *outputs[1:]], epsilon=eps, **attributes)
    return [node, helper.make_node("Relu", ["z"], ["y"])], outputs
