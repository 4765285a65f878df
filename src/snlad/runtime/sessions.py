"""What computes an exported graph, without torch: ONNX Runtime or OpenVINO."""

import os
import re
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Float32

from snlad.errors import ArtifactError
from snlad.runtime.silence import silence
from snlad.runtime.split import compile_in_bfloat16

INPUT = "input"
OUTPUTS = ("pred_score", "anomaly_map", "class_distance")
"""Of the graph: (N, 3, H, W) in [0, 1] to (N,), (N, 1, 256, 256) and (N, K)."""

Session = Callable[[Float32[np.ndarray, "N 3 H W"]], dict[str, np.ndarray]]
"""Images to outputs by name, all float32; may be called from several threads."""

_DOMAINS = {"", "ai.onnx"}
"""Where the operators of a graph may come from: ONNX itself."""

_OPENVINO = re.compile(rb'<\?xml version="1\.0"\?>\s*<net ')
"""How a graph of OpenVINO begins; its reader takes other formats too, with files beside them."""


def onnx_session(model: bytes) -> Session:
    """Run a graph in ONNX Runtime on the CPU, with ``OMP_NUM_THREADS`` threads or one a core.

    Raises:
        ArtifactError: data lie outside the file, an operator is not ONNX's own, or the graph is no
            export of snlad.
        ModuleNotFoundError: the extra ``onnx`` is not installed.
    """
    silence()
    import onnxruntime

    require_plain(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    options.log_severity_level = 3  # errors alone
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors have no base of their own
        raise _foreign(error) from None
    _require_names([one.name for one in (*session.get_inputs(), *session.get_outputs())])
    return _one_by_one(lambda image: session.run(list(OUTPUTS), {INPUT: image}))


def openvino_session(xml: bytes, weights: bytes, *, in_bfloat16: bool = False) -> Session:
    """Run a graph in OpenVINO on the CPU; threads as for ONNX.

    Args:
        xml: the graph.
        weights: of it.
        in_bfloat16: its student; the rest, and else all, is computed in float32.

    Raises:
        ArtifactError: the graph is no export of snlad.
        ModuleNotFoundError: the extra ``openvino`` is not installed.
    """
    silence()
    import openvino

    if not _OPENVINO.match(xml):
        raise ArtifactError("the model is no graph of OpenVINO; nothing was run: export it again")
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if count := _threads():
        settings["INFERENCE_NUM_THREADS"] = count
    core, lock = openvino.Core(), Lock()
    try:
        model = core.read_model(xml, weights)
        _require_names([one.get_any_name() for one in (*model.inputs, *model.outputs)])
        if in_bfloat16:
            compiled = compile_in_bfloat16(core, model, settings)
        else:
            compiled = core.compile_model(model, "CPU", settings)
    except (KeyError, RuntimeError) as error:
        raise _foreign(error) from None

    def run(image: np.ndarray) -> list[np.ndarray]:
        with lock:  # its one request holds inputs and outputs
            found = compiled(image)
            return [found[name].copy() for name in OUTPUTS]

    return _one_by_one(run)


def _one_by_one(run: Callable[[np.ndarray], list[np.ndarray]]) -> Session:
    """A picture at a time: a batch is no faster here, and would fill the memory."""

    def session(images: Float32[np.ndarray, "N 3 H W"]) -> dict[str, np.ndarray]:
        found = zip(*(run(images[i : i + 1]) for i in range(len(images))), strict=True)
        return {name: np.concatenate(part) for name, part in zip(OUTPUTS, found, strict=True)}

    return session


def _require_names(names: list[str]) -> None:
    if sorted(names) != sorted((INPUT, *OUTPUTS)):
        raise ArtifactError(f"the graph has {', '.join(names)}, not what snlad exports")


def _foreign(error: Exception) -> ArtifactError:
    reason = str(error).strip().splitlines()[0][:120]
    return ArtifactError(f"the graph cannot be run ({reason}); export it again")


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
    sparse = model.graph.sparse_initializer or any(
        one.HasField("sparse_tensor") or one.sparse_tensors or one.tensors for one in attributes
    )
    if sparse or any(one.data_location == onnx.TensorProto.EXTERNAL for one in tensors):
        raise ArtifactError(
            "the model has data outside its file, or sparse ones; nothing was run: export it again"
        )
    foreign = [f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain not in _DOMAINS]
    if foreign or model.functions or any(one.HasField("g") or one.graphs for one in attributes):
        what = f"operator {foreign[0]}" if foreign else "a function or a graph inside the graph"
        raise ArtifactError(
            f"the model has {what}, which no export of snlad has; nothing was run: export it again"
        )


def _threads() -> int:
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdecimal() else 0
