"""The normality centers of the training pictures, and what residual is usual near each."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from snlad.calibration.class_answer import choose_pictures, fit_class_answer
from snlad.engine.preparation import Training
from snlad.models.central import CentralMaps
from snlad.models.normality import SAMPLE
from snlad.models.statistics import channel_statistics
from snlad.pyramid import Level, Pyramid

_BATCH = 16


def fit_centers(training: Training, maps: CentralMaps, class_names: Sequence[str]) -> None:
    """Find the normality centers in all training pictures or tiles, and learn what is usual there.

    Args:
        training: with its student trained.
        maps: to be fitted.
        class_names: of the training samples, which the training's views name by their index.
    """
    if training.config.maps.centers_of_class:
        names = [class_names[view.sample] for view in training.views]
        _fit_classes(training, maps, names)
    else:
        names = ["all"] * len(training.views)
    maps.fit_points(_class_vectors(training, maps, names), training.config.seed)
    maps.fit_residuals(_pyramids(training))


def _fit_classes(training: Training, maps: CentralMaps, names: Sequence[str]) -> None:
    """Learn to tell whose centers a picture is measured against, from what the networks see."""
    chosen = choose_pictures(names)
    seen = [
        channel_statistics(training.data.batch(part)[1]).cpu().numpy() for part in _parts(chosen)
    ]
    answer = fit_class_answer(np.concatenate(seen), [names[i] for i in chosen])
    maps.fit_classes(*(torch.from_numpy(array) for array in answer.discriminants()))


def _class_vectors(
    training: Training, maps: CentralMaps, names: Sequence[str]
) -> Iterator[list[Float[Tensor, "n C"]]]:
    """Feature vectors of each class by its name, as many of each picture, or all that there are."""
    generator = torch.Generator().manual_seed(training.config.seed)
    done = 0
    for name in sorted(set(names)):
        members = [i for i, other in enumerate(names) if other == name]
        share = -(-SAMPLE * maps.coarse.most // len(members))
        seen: list[list[Tensor]] = []
        for part in _parts(members):
            features = maps.center_features(training.data.batch(part)[1])
            seen.append([_draw(level.cpu(), share, generator) for level in features])
            done += len(part)
            training.progress("finding centers", done, len(names))
        yield [torch.cat(vectors) for vectors in zip(*seen, strict=True)]


def _draw(level: Level, share: int, generator: torch.Generator) -> Float[Tensor, "n C"]:
    """As many feature vectors of each picture of a level (B, C, H, W), or all that there are."""
    vectors = level.flatten(2).mT
    lots = torch.rand(vectors.shape[:2], generator=generator).argsort(dim=1)[:, :share]
    return vectors.gather(1, lots[..., None].expand(-1, -1, vectors.shape[2])).flatten(0, 1)


def _pyramids(training: Training) -> Iterator[tuple[Pyramid, Pyramid]]:
    """Of teacher and student, of all training pictures."""
    n = len(training.data)
    for part in _parts(range(n)):
        images, teacher = training.data.batch(part)
        yield teacher, training.detector.student(images, teacher)
        training.progress("learning residuals", part[-1] + 1, n)


def _parts(indices: Sequence[int]) -> list[Sequence[int]]:
    return [indices[start : start + _BATCH] for start in range(0, len(indices), _BATCH)]
