"""Counts of float32 scores by the leading bits of an order-preserving integer.

No range is needed in advance: a bin is a sign, an exponent and the first bits of a mantissa, so an
octave always has as many bins, and memory is spent only on pages of bins where scores lie.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Num, UInt32

MANTISSA_BITS = 13
"""Kept of 23: bins are 1/8192 of their octave wide."""

PAGE = 1024
"""Bins that are kept or left out together."""

_DROPPED = np.uint32(23 - MANTISSA_BITS)
_SIGN = np.uint32(0x80000000)
_ZERO = int(_SIGN >> _DROPPED)


def bin_of(scores: Float32[np.ndarray, " N"]) -> UInt32[np.ndarray, " N"]:
    """Bin of each finite score: higher for higher scores, the same for 0 and -0."""
    bits = (scores + np.float32(0)).view(np.int32)
    ordered = bits.view(np.uint32) ^ ((bits >> 31).view(np.uint32) | _SIGN)
    return ordered >> _DROPPED


@dataclass(slots=True)
class PagedCounts:
    """Counts, or sums of weights, by bin."""

    pages: dict[int, np.ndarray] = field(default_factory=dict)

    def add(
        self, bins: UInt32[np.ndarray, " N"], weights: Num[np.ndarray, " N"] | None = None
    ) -> None:
        """Count each bin once, or with its weight."""
        below = bins < _ZERO
        if below.any() and not below.all():
            # Around 0 lie millions of bins of tiny scores; no count shall span them.
            for part in (below, ~below):
                self._add(bins[part], None if weights is None else weights[part])
        elif len(bins):
            self._add(bins, weights)

    def merge(self, other: "PagedCounts") -> None:
        """Add the counts of another."""
        for number, page in other.pages.items():
            self._add_page(number, page)

    def get(self, numbers: list[int]) -> Num[np.ndarray, " N"]:
        """Counts of the bins of these pages, one after the other; zeros where a page is empty."""
        nothing = np.zeros_like(next(iter(self.pages.values())))
        return np.concatenate([self.pages.get(number, nothing) for number in numbers])

    def _add(self, bins: np.ndarray, weights: np.ndarray | None) -> None:
        first, last = int(bins.min()) // PAGE, int(bins.max()) // PAGE
        counts = np.bincount(bins - np.uint32(first * PAGE), weights, (last + 1 - first) * PAGE)
        pages = counts.reshape(-1, PAGE)
        for at in np.flatnonzero(pages.any(axis=1)):
            self._add_page(first + int(at), pages[at])

    def _add_page(self, number: int, page: np.ndarray) -> None:
        if number in self.pages:
            self.pages[number] += page
        else:
            self.pages[number] = page.copy()
