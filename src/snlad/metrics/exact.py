"""What the exact evaluator keeps of each class, and the seven numbers of one or many classes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32

from snlad.metrics.aupro import aupro, region_areas
from snlad.metrics.ranking import Ranking, auroc, average_precision, f1_max, rank

IMAGE_METRICS: Mapping[str, Callable[[Ranking], float]] = {
    "image_auroc": auroc,
    "image_ap": average_precision,
    "image_f1_max": f1_max,
}
PIXEL_METRICS: Mapping[str, Callable[[Ranking], float]] = {
    "pixel_auroc": auroc,
    "pixel_ap": average_precision,
    "pixel_f1_max": f1_max,
    "aupro": aupro,
}


@dataclass(slots=True)
class ClassScores:
    """Image scores of one class, and its pixels split by the masks: 4 bytes each, 8 on a defect."""

    normal: list[float] = field(default_factory=list)
    anomalous: list[float] = field(default_factory=list)
    negatives: list[np.ndarray] = field(default_factory=list)
    positives: list[np.ndarray] = field(default_factory=list)
    areas: list[np.ndarray] = field(default_factory=list)
    has_masks: bool = False

    def add_pixels(
        self,
        pixels: Float32[np.ndarray, "H W"],
        defect: Bool[np.ndarray, "H W"] | None,
        roi: Bool[np.ndarray, "H W"] | None,
    ) -> None:
        """Keep the pixels inside the roi; all of them are negatives where there is no mask."""
        inside = np.ones(pixels.shape, bool) if roi is None else roi
        if defect is None:
            self.negatives.append(pixels[inside])
            return
        self.has_masks = True
        self.negatives.append(pixels[inside & ~defect])
        self.positives.append(pixels[inside & defect])
        self.areas.append(region_areas(defect, inside))

    def settle(self) -> None:
        """Sort the negatives once: the class's own row and the pooled row share the result."""
        if self.has_masks:
            self.negatives = [np.concatenate(self.negatives)]
            self.negatives[0].sort()


def exact_numbers(classes: Sequence[ClassScores]) -> dict[str, float]:
    """Every defined metric of settled classes pooled together; pixels of those that have masks."""
    normal = np.sort([score for one in classes for score in one.normal])
    anomalous = np.array([score for one in classes for score in one.anomalous])
    numbers = _numbers(IMAGE_METRICS, anomalous, [normal])
    masked = [one for one in classes if one.has_masks]
    if masked:
        positives = np.concatenate([part for one in masked for part in one.positives])
        negatives = [part for one in masked for part in one.negatives]
        areas = np.concatenate([part for one in masked for part in one.areas])
        numbers |= _numbers(PIXEL_METRICS, positives, negatives, 1.0 / areas)
    return numbers


def _numbers(
    metrics: Mapping[str, Callable[[Ranking], float]],
    positives: np.ndarray,
    negatives: Sequence[np.ndarray],
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """All metrics of one ranking; none without a positive or without a negative."""
    if not len(positives) or not any(map(len, negatives)):
        return {}
    ranking = rank(positives, negatives, weights)
    return {name: metric(ranking) for name, metric in metrics.items()}
