"""Pixel metrics in one pass and bounded memory, with a bound on their own error for any data.

Scores that share a bin (1/8192 of an octave) are not told apart. Were all positives of every bin
above its negatives, each metric would be at its best, the other way round at its worst: the exact
value lies between, the middle is reported, and half the distance is its certified error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int

from snlad.metrics.aupro import aupro
from snlad.metrics.histogram import PagedCounts, bin_of
from snlad.metrics.ranking import Ranking, auroc, average_precision, f1_max

_BATCH = 1 << 18
"""Pixels counted together: a page is then touched seldom."""


@dataclass(slots=True)
class StreamedPixels:
    """Histograms of one class: a few MB, whatever the number of pixels."""

    negatives: PagedCounts = field(default_factory=PagedCounts)
    positives: PagedCounts = field(default_factory=PagedCounts)
    weights: PagedCounts = field(default_factory=PagedCounts)
    _waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(
        self,
        negatives: Float32[np.ndarray, " N"],
        positives: Float32[np.ndarray, " P"],
        areas: Int[np.ndarray, " P"],
    ) -> None:
        """Count pixels off and on defects, the latter with the areas of their regions as well."""
        self._waiting.append((bin_of(negatives), bin_of(positives), 1.0 / areas))
        if sum(len(bins) for bins, _, _ in self._waiting) >= _BATCH:
            self.settle()

    def settle(self) -> None:
        """Count what waits."""
        if self._waiting:
            negatives, positives, weights = map(np.concatenate, zip(*self._waiting, strict=True))
            self.negatives.add(negatives)
            self.positives.add(positives)
            self.weights.add(positives, weights)
            self._waiting = []


def streamed_numbers(
    classes: Sequence[StreamedPixels],
) -> tuple[dict[str, float], dict[str, float]]:
    """The pixel metrics of settled classes pooled together, and the bound of each one's error."""
    found = _extremes(classes)
    if found is None:
        return {}, {}
    best, worst = found
    ranges = {
        "pixel_auroc": (auroc(worst), auroc(best)),
        "pixel_ap": (_lowest_average_precision(worst), average_precision(best)),
        "pixel_f1_max": (f1_max(worst), f1_max(best)),
        "aupro": (aupro(worst), aupro(best)),
    }
    numbers = {name: (low + high) / 2 for name, (low, high) in ranges.items()}
    bounds = {name: (high - low) / 2 for name, (low, high) in ranges.items()}
    return numbers, bounds


def _extremes(classes: Sequence[StreamedPixels]) -> tuple[Ranking, Ranking] | None:
    """Rankings with the positives of each bin above, and below, its negatives."""
    pooled = StreamedPixels()
    for one in classes:
        pooled.negatives.merge(one.negatives)
        pooled.positives.merge(one.positives)
        pooled.weights.merge(one.weights)
    pages = sorted({*pooled.negatives.pages, *pooled.positives.pages}, reverse=True)
    if not pooled.positives.pages or not pooled.negatives.pages:
        return None
    shape = (len(pages), -1)
    negatives, positives, weights = (
        counts.get(pages).reshape(shape)[:, ::-1].ravel()
        for counts in (pooled.negatives, pooled.positives, pooled.weights)
    )
    alarms, hits, mass = map(np.cumsum, (negatives, positives, weights))
    at = np.flatnonzero(positives)
    above, with_bin = alarms[at] - negatives[at], alarms[at]
    hits, coverage, total = hits[at], mass[at] / mass[-1], int(alarms[-1])
    best = Ranking(hits, coverage, above, above, total)
    return best, Ranking(hits, coverage, with_bin, with_bin, total)


def _lowest_average_precision(worst: Ranking) -> float:
    """AP where each positive of a bin stands alone, below all negatives of the bin.

    Precision is concave in the number of hits, so its mean over the positives of a bin is at least
    the mean of its values at the first and at the last of them.
    """
    steps = np.diff(worst.hits, prepend=0)
    first = worst.hits - steps + 1
    ends = first / (first + worst.alarms) + worst.hits / (worst.hits + worst.alarms)
    return float(np.average(ends / 2, weights=steps))
