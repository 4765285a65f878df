"""Anomalib's Reverse Distillation, STFPM and PatchCore as they come, with random weights.

Networks, losses and optimisers are anomalib's, in float32 and torch's usual layout, as its engine
runs them; what its engine adds, loading, logging and metrics, is left out, which favours it.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anomalib_peers import anomalib_on
from snlad.build import build_teacher
from snlad.config import make_config
from snlad.data.images import to_input
from snlad.models.teacher import Teacher
from speed_list import DEFAULT, PATCHCORE, RD, STFPM

BANK = 15_000
"""Vectors in PatchCore's memory, as in ``peers.py``: a tenth of the patches of 150 pictures."""

_LEVELS = ["layer1", "layer2", "layer3"]
_MEAN, _STD = (
    torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
)


def network(name: str, backbone: str, size: tuple[int, int]) -> Any:
    """One of anomalib's networks on a ResNet, or PatchCore on the default recipe's teacher.

    On that it is cut after the last level that it needs and computes channels last, as in
    ``peers.py``, which favours it.

    Raises:
        ModuleNotFoundError: anomalib is not installed.
    """
    if backbone == DEFAULT:
        return _patchcore_on(build_teacher(make_config(image_size=size)))
    with _random_weights():
        if name == RD:
            return _model("reverse_distillation", "ReverseDistillationModel")(
                backbone=backbone, input_size=size, layers=_LEVELS, anomaly_map_mode="add"
            )
        if name == STFPM:
            return _model("stfpm", "STFPMModel")(backbone=backbone, layers=_LEVELS)
        return _patchcore(backbone, _LEVELS[1:])


def _patchcore_on(teacher: Teacher) -> Any:
    with anomalib_on(teacher):
        return _patchcore(teacher.name, teacher.levels[1:])


def _patchcore(backbone: str, layers: Sequence[str | int]) -> Any:
    model = _model("patchcore", "PatchcoreModel")(backbone=backbone, layers=layers)
    model.memory_bank = torch.rand(BANK, sum(model.feature_extractor.out_dims))
    return model


def inference(model: nn.Module, pictures: NDArray[np.uint8]) -> Callable[[int], Any]:
    """Scores and maps of the first of these pictures (N, H, W, 3)."""
    model.eval()

    @torch.inference_mode()
    def call(batch: int) -> Any:
        found = model(normalise(pictures[:batch]))
        return found.pred_score.numpy(), found.anomaly_map.numpy()

    return call


def training(name: str, model: Any, pictures: NDArray[np.uint8]) -> Callable[[int], None]:
    """One step on a batch of decoded pictures; PatchCore only computes features, no coreset."""
    model.train()
    starts: Iterator[int] = cycle(range(0, len(pictures), 8))

    def images(batch: int) -> Tensor:
        first = next(starts)
        return normalise(pictures.take(range(first, first + batch), axis=0, mode="wrap"))

    if name == PATCHCORE:

        def collect(batch: int) -> None:
            model.embedding_store.clear()
            model(images(batch))

        return collect
    loss, optimizer = _objective(name, model)

    def step(batch: int) -> None:
        optimizer.zero_grad()
        loss(*model(images(batch))).backward()
        optimizer.step()

    return step


def normalise(pictures: NDArray[np.uint8]) -> Tensor:
    """What anomalib's networks take."""
    return (torch.from_numpy(to_input(pictures)) - _MEAN) / _STD


def _objective(name: str, model: Any) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Anomalib's loss and optimiser."""
    if name == RD:
        parts = [*model.decoder.parameters(), *model.bottleneck.parameters()]
        loss = _model("reverse_distillation", "ReverseDistillationLoss", "loss")()
        return loss, torch.optim.Adam(parts, lr=0.005, betas=(0.5, 0.99))
    own = model.student_model.parameters()
    optimizer = torch.optim.SGD(own, lr=0.4, momentum=0.9, weight_decay=0.001)
    return _model("stfpm", "STFPMLoss", "loss")(), optimizer


def _model(package: str, name: str, module: str = "torch_model") -> Any:
    return getattr(importlib.import_module(f"anomalib.models.image.{package}.{module}"), name)


@contextmanager
def _random_weights() -> Iterator[None]:
    """Let anomalib build its teachers without a download."""
    import timm
    from anomalib.models.components.feature_extractors import timm as extractors

    def create_model(name: str, **arguments: Any) -> nn.Module:
        return timm.create_model(name, **{**arguments, "pretrained": False})

    with mock.patch.object(extractors, "timm", SimpleNamespace(create_model=create_model)):
        yield
