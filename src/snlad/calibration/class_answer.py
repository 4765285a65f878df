"""Which product class a picture belongs to, or none, without a label: from its teacher features.

Each picture is mean and spread of the frozen teacher's deepest channels. Classes are Gaussians of
one covariance, so the squared Mahalanobis distance to the nearest mean decides, and a picture far
from all of them belongs to none.

Source: linear discriminant analysis; covariance by Ledoit and Wolf, J. Multivariate Analysis 88
(2004); distances for what is of no class as in Lee et al., NeurIPS 2018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from snlad.calibration.conformal import conformal_threshold

UNKNOWN_RATE = 0.01
"""Share of normal pictures of known classes that may be called unknown."""

_MARGIN = 1.15
"""On that distance: good pictures of another day lie a little farther than calibration's."""

_LEARNED = 250
"""Training pictures of a class that its mean is learned from, at most."""


@dataclass(frozen=True)
class ClassAnswer:
    """Means of the classes in a space where their common covariance is the identity.

    Attributes:
        names: class names, K of them.
        transform: (D, D), takes statistics into that space.
        means: (K, D) there.
    """

    names: tuple[str, ...]
    transform: Float[np.ndarray, "D D"]
    means: Float[np.ndarray, "K D"]

    def distances(self, statistics: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        """Squared Mahalanobis distance to each class, divided by D: near 1 for its own."""
        points = statistics.astype(np.float64) @ self.transform
        apart = points[:, None] - self.means[None]
        found: np.ndarray = np.square(apart).mean(axis=2)
        return found

    def discriminants(self) -> tuple[Float[np.ndarray, "D K"], Float[np.ndarray, " K"]]:
        """Weights and biases: the nearest class is where ``statistics @ weights + biases`` peaks.

        The same decision as by ``distances``, whose square of the statistics all classes share.
        """
        middle = self.means.mean(axis=0)
        apart = self.means - middle
        return self.transform @ apart.T, -apart @ middle - np.square(apart).sum(axis=1) / 2

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays to store; the names stand elsewhere."""
        return {"transform": self.transform, "means": self.means}


def choose_pictures(class_names: Sequence[str]) -> list[int]:
    """Positions of the pictures to learn from: of each class at most 250, evenly spread.

    Args:
        class_names: of the normal training pictures, in their order.
    """
    by_class: dict[str, list[int]] = {}
    for index, name in enumerate(class_names):
        by_class.setdefault(name, []).append(index)
    return [
        members[int(at)]
        for members in by_class.values()
        for at in np.unique(np.linspace(0, len(members) - 1, _LEARNED).round())
    ]


def fit_class_answer(
    statistics: Float[np.ndarray, "N D"], class_names: Sequence[str]
) -> ClassAnswer:
    """Learn the classes from normal training pictures.

    Args:
        statistics: of each picture.
        class_names: its class; ``choose_pictures`` says which pictures are enough.
    """
    from sklearn.covariance import ledoit_wolf

    names = tuple(sorted(set(class_names)))
    labels = np.array([names.index(name) for name in class_names])
    points = statistics.astype(np.float64)
    means = np.stack([points[labels == k].mean(axis=0) for k in range(len(names))])
    inside = points - means[labels]
    spread = np.sqrt(np.square(inside).mean(axis=0)) + 1e-12
    scaled = inside / spread
    covariance = (
        ledoit_wolf(scaled, assume_centered=True)[0] if len(points) > 1 else np.eye(len(spread))
    )
    floor = 1e-6 * np.trace(covariance) / len(covariance) + 1e-12
    precision = np.linalg.inv(covariance + floor * np.eye(len(covariance)))
    transform = np.linalg.cholesky(precision) / spread[:, None]
    return ClassAnswer(names, transform, means @ transform)


def find_answer_limits(
    names: Sequence[str], distances: Mapping[str, Float[np.ndarray, "N K"]]
) -> tuple["AnswerLimits", float]:
    """How far is too far, from distances of calibration pictures by their class.

    Returns:
        The limits, and the share of normal pictures that they promise to call unknown at most. A
        class without calibration pictures gets the median scale of the others.
    """
    scales = {name: float(np.median(d[:, names.index(name)])) for name, d in distances.items()}
    usual = float(np.median(list(scales.values())))
    scales = {name: max(scales.get(name, usual), 1e-12) for name in names}
    scaled = np.concatenate(list(distances.values())) / np.array([scales[name] for name in names])
    limit = conformal_threshold(scaled.min(axis=1), UNKNOWN_RATE)
    return AnswerLimits(scales, _MARGIN * limit.value), limit.attainable_fpr


@dataclass(frozen=True)
class AnswerLimits:
    """How far is too far, from the calibration pictures.

    Attributes:
        scales: median distance of each class's pictures to their own class.
        unknown_above: a picture whose distance in these scales exceeds it at its nearest class
            belongs to none.
    """

    scales: Mapping[str, float]
    unknown_above: float

    def answer(self, names: Sequence[str], distances: Float[np.ndarray, " K"]) -> str | None:
        """The class of one picture, or ``None`` where it belongs to none."""
        scaled = distances / np.array([self.scales[name] for name in names])
        nearest = int(scaled.argmin())
        return names[nearest] if scaled[nearest] <= self.unknown_above else None
