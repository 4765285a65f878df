"""Pixel metrics without any loss: every pixel is kept, and sorted once; all protocols."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from statistics import fmean

import numpy as np
from jaxtyping import Float32, Int

from snlad.metrics.protocols import PixelMetric, Pixels, Protocol
from snlad.metrics.ranking import auroc, average_precision, rank


@dataclass(slots=True)
class ExactPixels:
    """Pixels of one class, split by the masks: 4 bytes each, 8 on a defect.

    Attributes:
        image_aupro: where AUPRO is a mean over images, how to compute each one's.
    """

    image_aupro: PixelMetric | None = None
    negatives: list[np.ndarray] = field(default_factory=list)
    positives: list[np.ndarray] = field(default_factory=list)
    areas: list[np.ndarray] = field(default_factory=list)
    image_aupros: list[float] = field(default_factory=list)

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
        if self.image_aupro and len(positives) and len(negatives):
            image = _rank(positives, areas, [np.sort(negatives)])
            self.image_aupros.append(self.image_aupro(image))

    def settle(self) -> None:
        """Sort the negatives once: the class's own row and the pooled row share the result."""
        if self.negatives:
            self.negatives = [np.concatenate(self.negatives)]
            self.negatives[0].sort()


def exact_numbers(classes: Sequence[ExactPixels], protocol: Protocol) -> dict[str, float]:
    """The pixel metrics of settled classes pooled together; none without a pixel of each kind."""
    positives = [part for one in classes for part in one.positives]
    negatives = [part for one in classes for part in one.negatives]
    if not any(map(len, positives)) or not any(map(len, negatives)):
        return {}
    areas = np.concatenate([part for one in classes for part in one.areas])
    pixels = _rank(np.concatenate(positives), areas, negatives)
    by_image = [value for one in classes for value in one.image_aupros if not isnan(value)]
    numbers = {
        "pixel_auroc": auroc(pixels.ranking),
        "pixel_ap": average_precision(pixels.ranking),
        "pixel_f1_max": protocol.pixel_f1(pixels),
        "aupro": fmean(by_image or [nan]) if protocol.by_image else protocol.aupro(pixels),
    }
    return {name: value for name, value in numbers.items() if not isnan(value)}


def _rank(
    positives: Float32[np.ndarray, " P"],
    areas: Int[np.ndarray, " P"],
    negatives: Sequence[np.ndarray],
) -> Pixels:
    weights = 1.0 / areas
    return Pixels(positives, weights, negatives, rank(positives, negatives, weights))
