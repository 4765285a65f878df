"""Pixel metrics without any loss: every pixel is kept, and sorted once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int

from snlad.metrics.aupro import aupro
from snlad.metrics.ranking import Ranking, auroc, average_precision, f1_max, rank


@dataclass(slots=True)
class ExactPixels:
    """Pixels of one class, split by the masks: 4 bytes each, 8 on a defect."""

    negatives: list[np.ndarray] = field(default_factory=list)
    positives: list[np.ndarray] = field(default_factory=list)
    areas: list[np.ndarray] = field(default_factory=list)

    def add(
        self,
        negatives: Float32[np.ndarray, " N"],
        positives: Float32[np.ndarray, " P"],
        areas: Int[np.ndarray, " P"],
    ) -> None:
        """Keep pixels off and on defects, the latter with the areas of their regions as well."""
        self.negatives.append(negatives)
        self.positives.append(positives)
        self.areas.append(areas)

    def settle(self) -> None:
        """Sort the negatives once: the class's own row and the pooled row share the result."""
        if self.negatives:
            self.negatives = [np.concatenate(self.negatives)]
            self.negatives[0].sort()


def exact_numbers(classes: Sequence[ExactPixels]) -> tuple[dict[str, float], dict[str, float]]:
    """The pixel metrics of settled classes pooled together; none has an error to bound."""
    ranking = _rank(classes)
    if ranking is None:
        return {}, {}
    numbers = {
        "pixel_auroc": auroc(ranking),
        "pixel_ap": average_precision(ranking),
        "pixel_f1_max": f1_max(ranking),
        "aupro": aupro(ranking),
    }
    return numbers, {}


def _rank(classes: Sequence[ExactPixels]) -> Ranking | None:
    """One ranking of all pixels; none without a positive or without a negative."""
    positives = [part for one in classes for part in one.positives]
    negatives = [part for one in classes for part in one.negatives]
    if not any(map(len, positives)) or not any(map(len, negatives)):
        return None
    areas = np.concatenate([part for one in classes for part in one.areas])
    return rank(np.concatenate(positives), negatives, 1.0 / areas)
