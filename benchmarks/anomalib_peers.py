"""Anomalib's PatchCore, PaDiM, STFPM and DFM, each fitted to all classes on our teacher.

Networks, losses, coreset, Gaussians and optimiser are anomalib's; docs/results.md says where these
fits leave its path, and why. ``benchmarks/peers.py`` measures them.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from snlad.data.images import to_input
from snlad.data.inputs import load_inputs
from snlad.data.loading import Picture, load_samples
from snlad.data.samples import Sample
from snlad.errors import DataError
from snlad.models.teacher import PyramidNetwork, Teacher
from snlad.models.weights import weights_digest

PEERS = ("patchcore", "padim", "stfpm", "dfm")
LEVELS = {"patchcore": slice(1, None), "dfm": slice(2, None)}
"""Which of the teacher's three levels a peer documents as its own; all of them by default."""
BATCH = 16


def choose(peer: str, teacher: Teacher, steps: int | None, seen: int) -> dict[str, Any]:
    """The settings that anomalib documents for a peer, as its row keeps them.

    Args:
        peer: its name.
        teacher: whose levels it takes.
        steps: of STFPM; by default as many as show it ``seen`` pictures.
        seen: pictures that our student is shown in its training.
    """
    levels = LEVELS.get(peer, slice(None))
    channels = teacher.channels[levels]
    own: dict[str, dict[str, Any]] = {
        "patchcore": {"num_neighbors": 9, "coreset_ratio": 0.1, "kept": 15_000, "pool": 300_000},
        "padim": {"n_features": min(100, sum(channels))},
        "stfpm": {"steps": steps or max(1, seen // 32), "batch_size": 32},
        "dfm": {"pooling_kernel_size": 2, "pca_level": 0.97, "score_type": "fre"},
    }
    return {
        "teacher": teacher.name,
        "weights": weights_digest(teacher)[:12],
        "image_size": list(teacher.image_size),
        "strides": list(teacher.strides[levels]),
        "channels": list(channels),
        **own[peer],
    }


@contextmanager
def anomalib_on(teacher: Teacher) -> Iterator[None]:
    """Let anomalib build its feature extractors on our teacher's network and weights.

    Like our own, they end with the teacher's last level, where anomalib would go on and compute
    blocks that nothing uses, and they compute channels last, so that times compare methods. A
    network without weights, STFPM's student, keeps its random start.
    """
    from anomalib.models.components.feature_extractors import timm as extractors

    def create_model(name: str, *, pretrained: bool, out_indices: Any, **_: Any) -> nn.Module:
        network = PyramidNetwork(name, levels=out_indices, image_size=teacher.image_size)
        if pretrained:
            network.body.load_state_dict(teacher.body.state_dict())
        network.body.to(memory_format=torch.channels_last)
        network.body.register_forward_pre_hook(_to_channels_last)
        network.body.register_forward_hook(_to_contiguous)
        return network.body

    with mock.patch.object(extractors, "timm", SimpleNamespace(create_model=create_model)):
        yield


def _to_channels_last(_: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    return inputs[0].contiguous(memory_format=torch.channels_last)


def _to_contiguous(_: nn.Module, __: tuple[Tensor], levels: Sequence[Tensor]) -> list[Tensor]:
    return [level.contiguous() for level in levels]


def on_levels(teacher: Teacher, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Anomalib's arguments for the levels that a peer takes; its layers are timm's indices."""
    level = dict(zip(teacher.strides, teacher.levels, strict=True))
    return {"backbone": teacher.name, "layers": [level[s] for s in settings["strides"]]}


def require_same_features(extractor: nn.Module, teacher: Teacher, strides: Sequence[int]) -> None:
    """Assert that a peer sees what our students see."""
    images = torch.rand(2, 3, *teacher.image_size, generator=torch.Generator().manual_seed(0))
    ours = dict(zip(teacher.strides, teacher(images), strict=True))
    theirs = extractor((images - teacher.mean) / teacher.std)
    for stride, level in zip(strides, theirs.values(), strict=True):
        torch.testing.assert_close(level, ours[stride])


def normalise(fitted: NDArray[np.uint8], teacher: Teacher) -> Tensor:
    """What anomalib's networks take, (N, 3, H, W), of fitted pictures (N, H, W, 3)."""
    return (torch.from_numpy(to_input(fitted)) - teacher.mean) / teacher.std


def batches(
    samples: Sequence[Sample], teacher: Teacher
) -> Iterator[tuple[Sequence[Sample], list[Picture]]]:
    """Samples and their pictures, all of them readable.

    Raises:
        DataError: one is not; all peers are to see the same pictures.
    """
    for some, pictures in load_samples(samples, teacher.image_size, BATCH):
        for picture in pictures:
            if picture.error is not None:
                raise DataError(picture.error)
        yield some, pictures


def collect(network: nn.Module, teacher: Teacher, samples: Sequence[Sample]) -> Iterator[Tensor]:
    """What a network in training mode returns, and keeps, of each batch of all pictures."""
    for _, pictures in batches(samples, teacher):
        yield network(normalise(np.stack([one.fitted for one in pictures]), teacher))


def fit_patchcore(
    teacher: Teacher, samples: Sequence[Sample], settings: Mapping[str, Any]
) -> nn.Module:
    """A coreset of a random part of all patches: of all, it would take hours and 12 GB."""
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    network = PatchcoreModel(
        **on_levels(teacher, settings), num_neighbors=settings["num_neighbors"]
    )
    require_same_features(network.feature_extractor, teacher, settings["strides"])
    locations = math.prod(teacher.image_size) // settings["strides"][0] ** 2
    is_drawn = torch.zeros(len(samples) * locations, dtype=torch.bool)
    is_drawn[torch.randperm(len(is_drawn))[: settings["pool"]]] = True
    done = 0
    for patches in collect(network, teacher, samples):
        network.embedding_store[-1] = patches[is_drawn[done : done + len(patches)]]
        done += len(patches)
    most = (settings["kept"] + 0.5) / int(is_drawn.sum())  # anomalib rounds the count down
    network.subsample_embedding(min(settings["coreset_ratio"], most))
    return network


def fit_padim(
    teacher: Teacher, samples: Sequence[Sample], settings: Mapping[str, Any]
) -> nn.Module:
    """A Gaussian a location, one row of the map at a time: else all features are copied."""
    from anomalib.models.image.padim.torch_model import PadimModel

    network = PadimModel(**on_levels(teacher, settings), n_features=settings["n_features"])
    require_same_features(network.feature_extractor, teacher, settings["strides"])
    for _ in collect(network, teacher, samples):
        pass
    kept, network.memory_bank = network.memory_bank, []
    rows = [
        network.gaussian.fit(torch.cat([part[:, :, y : y + 1] for part in kept]))
        for y in range(kept[0].shape[2])
    ]
    network.gaussian.mean = torch.cat([mean for mean, _ in rows], dim=1)
    network.gaussian.inv_covariance = torch.cat([inverse for _, inverse in rows])
    return network


def fit_stfpm(
    teacher: Teacher, samples: Sequence[Sample], settings: Mapping[str, Any]
) -> nn.Module:
    """Anomalib's loss and optimiser for a number of steps of ours."""
    from anomalib.models import Stfpm

    parts = ("pre_processor", "post_processor", "evaluator", "visualizer")
    module = Stfpm(**on_levels(teacher, settings), **dict.fromkeys(parts, False))
    require_same_features(module.model.teacher_model, teacher, settings["strides"])
    pictures = load_inputs([sample.path for sample in samples], teacher.image_size)
    optimizer = module.configure_optimizers()
    module.train()
    for drawn in islice(shuffled(len(pictures), settings["batch_size"]), settings["steps"]):
        loss = module.loss(*module.model(normalise(pictures[drawn.numpy()], teacher)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return module.model


def shuffled(count: int, size: int) -> Iterator[Tensor]:
    """Batches of one epoch after the other, each in an order of its own."""
    while True:
        yield from torch.randperm(count).split(size)


def fit_dfm(teacher: Teacher, samples: Sequence[Sample], settings: Mapping[str, Any]) -> nn.Module:
    """A principal component analysis of the deepest level."""
    from anomalib.models.image.dfm.torch_model import DFMModel

    place = on_levels(teacher, settings)
    network = DFMModel(
        place["backbone"],
        place["layers"][0],
        pooling_kernel_size=settings["pooling_kernel_size"],
        n_comps=settings["pca_level"],
        score_type=settings["score_type"],
    )
    require_same_features(network.feature_extractor, teacher, settings["strides"])
    for _ in collect(network, teacher, samples):
        pass
    network.fit()
    return network


FITS: Mapping[str, Callable[..., nn.Module]] = {
    "patchcore": fit_patchcore,
    "padim": fit_padim,
    "stfpm": fit_stfpm,
    "dfm": fit_dfm,
}
