"""Evaluation protocols: ours, and the rules of published tables under their own names.

The presets exist to compare with a published table and for nothing else: their grids of thresholds
make numbers depend on single outlier pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from snlad.errors import UsageError
from snlad.metrics.aupro import FPR_LIMIT, aupro
from snlad.metrics.ranking import Ranking, f1_max


@dataclass(frozen=True, slots=True)
class Pixels:
    """All pixels of one row of the table, or of one image, and their ranking.

    Attributes:
        positives: scores on defects.
        weights: of each positive, 1 / (area of its region).
        negatives: scores off defects, each array ascending.
        ranking: of all these.
    """

    positives: Float32[np.ndarray, " P"]
    weights: Float[np.ndarray, " P"]
    negatives: Sequence[np.ndarray]
    ranking: Ranking

    def grid(self, shares: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """Thresholds at these shares of the way from the lowest score to the highest."""
        parts = [part for part in self.negatives if len(part)]
        low = min(float(self.positives.min()), *(float(part[0]) for part in parts))
        high = max(float(self.positives.max()), *(float(part[-1]) for part in parts))
        return low + shares * (high - low)

    def above(self, thresholds: Float[np.ndarray, " T"]) -> tuple[np.ndarray, ...]:
        """Hits, their share of all weight, and false alarms, strictly above each threshold."""
        order = np.argsort(self.positives)
        at = np.searchsorted(self.positives[order], thresholds, "right")
        below = np.append(0.0, np.cumsum(self.weights[order]))
        alarms = sum(
            len(part) - np.searchsorted(part, thresholds, "right") for part in self.negatives
        )
        return len(order) - at, 1.0 - below[at] / below[-1], np.asarray(alarms)


PixelMetric = Callable[[Pixels], float]


@dataclass(frozen=True, slots=True)
class Protocol:
    """The rules behind a table; AUROC and AP are the same in all.

    Attributes:
        name: stands beside every number.
        score: an image's score from its smoothed map: mean of the highest 1 %, or the maximum.
        resolution: pixels are counted on maps of 256 x 256, or on maps stretched to each picture.
        mask: how a mask comes to that size: the nearest pixel; or bilinear, more than half or any.
        kernel_px: side of the Gaussian kernel, over zeros beyond the border; None for ours.
        pixel_f1: the best F1 of pixels.
        aupro: the area under the per-region overlap.
        by_image: AUPRO is the mean over defect images, each by itself.
    """

    name: str
    score: Literal["top", "max"] = "top"
    resolution: Literal["map", "picture"] = "map"
    mask: Literal["nearest", "half", "any"] = "nearest"
    kernel_px: int | None = None
    pixel_f1: PixelMetric = lambda pixels: f1_max(pixels.ranking)
    aupro: PixelMetric = lambda pixels: aupro(pixels.ranking)
    by_image: bool = False

    @property
    def is_published(self) -> bool:
        """Whether these are another table's rules, not ours."""
        return not self.name.startswith("snlad")


def grid_f1(pixels: Pixels) -> float:
    """Best F1 at 21 thresholds, from the lowest score to the highest in steps of 1/20.

    Source: the public code of ADer, which scales the maps of a class to [0, 1] first.
    """
    hits, _, alarms = pixels.above(pixels.grid(np.arange(21) / 20))
    return float(np.max(2.0 * hits / (hits + alarms + len(pixels.positives))))


def grid_aupro(pixels: Pixels, thresholds: int, *, from_lowest: bool) -> float:
    """AUPRO at evenly spaced thresholds: points with an FPR below 0.3, their FPR rescaled.

    Args:
        pixels: of a class, or of one image.
        thresholds: how many, from the lowest score on, the highest not among them.
        from_lowest: bring the kept FPRs to [0, 1]; else divide them by their highest, and the
            curve below their lowest is lost.

    Returns:
        The area, NaN where the kept points have no width.

    Source: the public code of CFLOW-AD and ADer (from_lowest), of RD4AD and Dinomaly (not).
    """
    _, overlap, alarms = pixels.above(pixels.grid(np.arange(thresholds) / thresholds))
    fpr = alarms / pixels.ranking.negatives
    kept = fpr < FPR_LIMIT
    fpr, overlap = fpr[kept][::-1], overlap[kept][::-1]
    start = fpr[0] if from_lowest and len(fpr) else 0.0
    if not len(fpr) or fpr[-1] == start:
        return float("nan")
    return float(np.trapezoid(overlap, (fpr - start) / (fpr[-1] - start)))


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            Protocol("snlad-v1"),
            Protocol("snlad-v1-max", score="max"),
            Protocol("snlad-v1-full", resolution="picture"),
            Protocol(
                "ader",
                score="max",
                mask="half",
                pixel_f1=grid_f1,
                aupro=partial(grid_aupro, thresholds=100, from_lowest=True),
            ),
            *(
                Protocol(
                    f"dinomaly-{mask}",
                    mask=mask,
                    kernel_px=5,
                    aupro=partial(grid_aupro, thresholds=200, from_lowest=False),
                )
                for mask in ("any", "half")
            ),
            Protocol(
                "rd4ad",
                score="max",
                mask="half",
                aupro=partial(grid_aupro, thresholds=200, from_lowest=False),
                by_image=True,
            ),
        )
    }
)
"""By name; the first is the default."""


def find_protocol(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"protocol {name!r} is unknown: choose one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
