"""The normality centers of the training pictures, and what residual is usual near each."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from snlad.calibration.class_answer import choose_pictures, fit_class_answer
from snlad.engine.preparation import Training
from snlad.models.central import CentralMaps
from snlad.models.groups import ENOUGH, find_groups
from snlad.models.normality import SAMPLE
from snlad.models.statistics import channel_statistics
from snlad.pyramid import Level, Pyramid

logger = logging.getLogger(__name__)

_BATCH = 16

_BETWEEN = 2.0
"""A group is hardly farther than the nearest up to so many times its squared distance."""


def fit_centers(training: Training, maps: CentralMaps, class_names: Sequence[str]) -> None:
    """Find the normality centers in all training pictures or tiles, and learn what is usual there.

    Args:
        training: with its student trained.
        maps: to be fitted.
        class_names: of the training samples, which the training's views name by their index.
    """
    names = [class_names[view.sample] for view in training.views]
    members = _fit_groups(training, maps, names)
    maps.fit_points(_group_vectors(training, maps, members), training.config.seed)
    pictures, groups = np.nonzero(members)
    parts = _parts(groups.tolist())
    maps.fit_residuals(_pyramids(training, pictures), [torch.tensor(part) for part in parts])


def _fit_groups(
    training: Training, maps: CentralMaps, class_names: Sequence[str]
) -> Bool[np.ndarray, "N G"]:
    """Learn to tell whose centers a picture is measured against, from what the networks see.

    Returns:
        Of which groups each picture is. Where one lies between two, it is of both: so pictures to
        come that lie there find what is normal in either.
    """
    kind, n = training.config.maps.centers_for, len(training.data)
    if kind == "all":
        return np.ones((n, 1), dtype=bool)
    statistics = _statistics(training)
    if kind == "class":
        chosen = choose_pictures(class_names)
        names = [class_names[i] for i in chosen]
    else:
        chosen = [int(i) for i in np.unique(np.linspace(0, n - 1, ENOUGH).round())]
        names = [f"{group:09}" for group in find_groups(statistics[chosen])]
    answer = fit_class_answer(statistics[chosen], names)
    weight, bias = answer.discriminants()
    scale = max(float(np.abs(weight).max()), 1e-12)  # float32 holds them then, and no order changes
    maps.fit_groups(torch.from_numpy(weight / scale), torch.from_numpy(bias / scale))
    distances = np.concatenate([answer.distances(statistics[part]) for part in _parts(range(n))])
    logger.info("pictures that share centers: %s", _describe(distances.argmin(axis=1), class_names))
    members = _near(distances)
    members[chosen, [answer.names.index(name) for name in names]] = True
    return members


def _describe(groups: Int[np.ndarray, " N"], class_names: Sequence[str]) -> str:
    """How many pictures of which classes each group has."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for group, name in zip(groups.tolist(), class_names, strict=True):
        found[group][name] += 1
    return "; ".join(
        " and ".join(f"{count} of {name}" for name, count in found[group].most_common())
        for group in sorted(found)
    )


def _near(distances: Float[np.ndarray, "N G"]) -> Bool[np.ndarray, "N G"]:
    """The nearest group, and the next one if it is hardly farther."""
    nearest = np.sort(distances, axis=1)[:, :2]
    near: np.ndarray = distances <= np.minimum(nearest[:, -1:], _BETWEEN * nearest[:, :1])
    return near


def _statistics(training: Training) -> Float[np.ndarray, "N D"]:
    """Of each picture or tile, as the networks see it."""
    found, n = [], len(training.data)
    for part in _parts(range(n)):
        found.append(channel_statistics(training.data.batch(part)[1]).cpu().numpy())
        training.progress("finding pictures that look alike", part[-1] + 1, n)
    return np.concatenate(found)


def _group_vectors(
    training: Training, maps: CentralMaps, members: Bool[np.ndarray, "N G"]
) -> Iterator[list[Float[Tensor, "n C"]]]:
    """Feature vectors of each group, as many of each picture, or all that there are."""
    generator = torch.Generator().manual_seed(training.config.seed)
    done = 0
    for is_of in members.T:
        pictures = np.flatnonzero(is_of).tolist()
        share = -(-SAMPLE * maps.coarse.most // len(pictures))
        seen: list[list[Tensor]] = []
        for part in _parts(pictures):
            features = maps.center_features(training.data.batch(part)[1])
            seen.append([_draw(level.cpu(), share, generator) for level in features])
            done += len(part)
            training.progress("finding centers", done, int(members.sum()))
        yield [torch.cat(vectors) for vectors in zip(*seen, strict=True)]


def _draw(level: Level, share: int, generator: torch.Generator) -> Float[Tensor, "n C"]:
    """As many feature vectors of each picture of a level (B, C, H, W), or all that there are."""
    vectors = level.flatten(2).mT
    lots = torch.rand(vectors.shape[:2], generator=generator).argsort(dim=1)[:, :share]
    return vectors.gather(1, lots[..., None].expand(-1, -1, vectors.shape[2])).flatten(0, 1)


def _pyramids(
    training: Training, pictures: Int[np.ndarray, " M"]
) -> Iterator[tuple[Pyramid, Pyramid]]:
    """Of teacher and student, of training pictures by their index."""
    done = 0
    for part in _parts(pictures.tolist()):
        images, teacher = training.data.batch(part)
        yield teacher, training.detector.student(images, teacher)
        done += len(part)
        training.progress("learning residuals", done, len(pictures))


def _parts(indices: Sequence[int]) -> list[Sequence[int]]:
    return [indices[start : start + _BATCH] for start in range(0, len(indices), _BATCH)]
