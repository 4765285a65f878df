"""What computes an exported graph, without torch: ONNX Runtime or OpenVINO."""

import os
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from snlad.errors import ArtifactError
from snlad.runtime.silence import silence

Precision = Literal["fp32", "bf16", "int8"]

INPUT = "input"
OUTPUTS = ("pred_score", "anomaly_map", "class_distance")
"""Of the graph: (N, 3, H, W) in [0, 1] to (N,), (N, 1, 256, 256) and (N, K)."""

Session = Callable[[Float32[np.ndarray, "N 3 H W"]], dict[str, np.ndarray]]
"""Images to outputs by name, all float32."""

_DOMAINS = {"", "ai.onnx"}
"""Where the operators of a graph may come from: ONNX itself."""


def onnx_session(model: bytes, threads: int = 0) -> Session:
    """Run a graph in ONNX Runtime on the CPU.

    Args:
        model: a whole ONNX file.
        threads: at most; 0 for as many as ``OMP_NUM_THREADS`` says, or as there are cores.

    Raises:
        ArtifactError: data lie outside the file, or an operator is not ONNX's own.
        ModuleNotFoundError: the extra ``onnx`` is not installed.
    """
    silence()
    import onnxruntime

    require_plain(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _threads()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(images: Float32[np.ndarray, "N 3 H W"]) -> dict[str, np.ndarray]:
        return dict(zip(OUTPUTS, session.run(list(OUTPUTS), {INPUT: images}), strict=True))

    return run


def openvino_session(xml: bytes, weights: bytes, precision: Precision, threads: int = 0) -> Session:
    """Run a graph in OpenVINO on the CPU; ``fp32`` computes in float32 whatever is faster.

    Args:
        xml: the graph.
        weights: what it holds.
        precision: in which it is computed; an ``int8`` graph says itself where.
        threads: at most; 0 for as many as ``OMP_NUM_THREADS`` says, or as there are cores.

    Raises:
        ModuleNotFoundError: the extra ``openvino`` is not installed.
    """
    silence()
    import openvino

    model = openvino.Core().read_model(xml, weights)
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if count := threads or _threads():
        settings["INFERENCE_NUM_THREADS"] = count
    compiled = openvino.Core().compile_model(model, "CPU", settings)

    def run(images: Float32[np.ndarray, "N 3 H W"]) -> dict[str, np.ndarray]:
        found = compiled(images)
        return {name: found[name] for name in OUTPUTS}

    return run


def require_plain(data: bytes) -> None:
    """Let an ONNX file through that holds all of its data and only ONNX's own operators.

    Raises:
        ArtifactError: it does not, or it is no ONNX file.
        ModuleNotFoundError: the extra ``onnx`` is not installed.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        raise ArtifactError("the model is no ONNX file; export it again") from None
    attributes = [one for node in model.graph.node for one in node.attribute]
    tensors = [*model.graph.initializer, *(one.t for one in attributes)]
    if any(one.data_location == onnx.TensorProto.EXTERNAL for one in tensors):
        raise ArtifactError("the model has data outside its file; nothing was run: export it again")
    foreign = [f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain not in _DOMAINS]
    if foreign or model.functions or any(one.HasField("g") or one.graphs for one in attributes):
        what = f"operator {foreign[0]}" if foreign else "a function or a graph inside the graph"
        raise ArtifactError(
            f"the model has {what}, which no export of snlad has; nothing was run: export it again"
        )


def _threads() -> int:
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdecimal() else 0
