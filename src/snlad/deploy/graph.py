"""The whole inference as one graph: normalisation, networks, maps, smoothing, score, classes."""

import io
from ast import literal_eval
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from snlad.calibration.class_answer import ClassAnswer
from snlad.models.detector import Detector
from snlad.models.statistics import channel_statistics
from snlad.runtime.sessions import INPUT, OUTPUTS
from snlad.runtime.silence import silence
from snlad.runtime.split import STUDENT_GIVES, STUDENT_TAKES

if TYPE_CHECKING:
    import onnx

TEACHER, STUDENT = "detector.teacher", "detector.student"
"""Modules of the graph whose work is most of all."""

_SCOPES = "pkg.torch.onnx.name_scopes"
"""What the exporter writes to a node: the modules that it is of."""

_Choice = Callable[["onnx.NodeProto"], bool]

_FOLDED = 2**26
"""Numbers that a constant may have which is computed once, when exporting."""


class InferenceGraph(nn.Module):
    """Images in [0, 1] to image scores, overall maps and distances to the classes.

    Args:
        detector: teacher, student and maps, in eval mode.
        answer: tells the classes apart.
    """

    transform: Tensor
    means: Tensor

    def __init__(self, detector: Detector, answer: ClassAnswer) -> None:
        super().__init__()
        self.detector = detector
        for name, values in answer.to_arrays().items():
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)))

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (N,), smoothed maps (N, 1, 256, 256) and squared distances (N, K)."""
        teacher, student = self.detector.features(images)
        overall = self.detector.overall(self.detector.raw_maps(teacher, student))
        points = channel_statistics(teacher) @ self.transform
        distances = (points[:, None] - self.means).square().mean(dim=2)
        return self.detector.image_score(overall), overall, distances


def to_onnx(graph: InferenceGraph, size: tuple[int, int]) -> bytes:
    """An ONNX file for any number of images (N, 3, H, W), float32.

    The name of each node begins with the module that it is of.

    Args:
        graph: on the CPU.
        size: of the images, (H, W).
    """
    silence()
    from onnxscript import optimizer

    images = torch.rand(2, 3, *size)  # two, as one would make the number a constant
    graph = graph.eval().to(memory_format=torch.contiguous_format)
    with torch.no_grad(), redirect_stdout(io.StringIO()):
        program = torch.onnx.export(
            graph,
            (images,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            verbose=False,
        )
    assert program is not None
    optimizer.optimize_ir(program.model, input_size_limit=_FOLDED, output_size_limit=_FOLDED)
    model = program.model_proto  # made anew each time that it is asked for
    for node in model.graph.node:
        scopes = {entry.key: entry.value for entry in node.metadata_props}[_SCOPES]
        node.name = f"{literal_eval(scopes)[-2]}/{node.name}"  # the last one is its own
    return bytes(model.SerializeToString())


def is_of(node: "onnx.NodeProto", *modules: str) -> bool:
    """Whether a node is of one of the modules."""
    return node.name.startswith(tuple(f"{one}{end}" for one in modules for end in "./"))


def bears_bfloat16(node: "onnx.NodeProto") -> bool:
    """Whether a node is of the student before its heads, whose outputs are what is compared."""
    return is_of(node, STUDENT) and not is_of(node, f"{STUDENT}.heads")


def handed_on(nodes: Sequence["onnx.NodeProto"], is_in: _Choice) -> list[str]:
    """Names of what chosen nodes make and others take, in the order that it is made."""
    taken = {name for node in nodes if not is_in(node) for name in node.input}
    made = (name for node in nodes if is_in(node) for name in node.output)
    return [name for name in made if name in taken]


def _handed_to(nodes: Sequence["onnx.NodeProto"], is_in: _Choice) -> list[str]:
    """Names of what chosen nodes take and others make, images included."""
    made = {name for node in nodes if not is_in(node) for name in node.output} | {INPUT}
    taken = (name for node in nodes if is_in(node) for name in node.input)
    return list(dict.fromkeys(name for name in taken if name in made))


def to_openvino(model: bytes) -> dict[str, bytes]:
    """The same graph for OpenVINO: ``xml``, and its weights, ``bin``, in float32 or as they are.

    It names what its student takes and hands on to its heads, so that it alone can be computed in
    lower precision.
    """
    silence()
    import onnx
    import openvino

    nodes = onnx.load_model_from_string(model).graph.node
    graph = openvino.Core().read_model(model)
    graph.set_rt_info(" ".join(_handed_to(nodes, bears_bfloat16)), list(STUDENT_TAKES))
    graph.set_rt_info(" ".join(handed_on(nodes, bears_bfloat16)), list(STUDENT_GIVES))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(graph, path, compress_to_fp16=False)
        return {"xml": path.read_bytes(), "bin": path.with_suffix(".bin").read_bytes()}
