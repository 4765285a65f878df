"""The whole inference as one graph: normalisation, networks, maps, smoothing, score, classes."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from snlad.calibration.class_answer import ClassAnswer
from snlad.models.detector import Detector
from snlad.models.statistics import channel_statistics
from snlad.runtime.sessions import INPUT, OUTPUTS
from snlad.runtime.silence import silence


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

    Args:
        graph: on the CPU.
        size: of the images, (H, W).
    """
    silence()
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
    return bytes(program.model_proto.SerializeToString())


def to_openvino(onnx: bytes) -> dict[str, bytes]:
    """The same graph for OpenVINO, in float32: ``xml``, and its weights, ``bin``."""
    silence()
    import openvino

    model = openvino.Core().read_model(onnx)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        return {"xml": path.read_bytes(), "bin": path.with_suffix(".bin").read_bytes()}
