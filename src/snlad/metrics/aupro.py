"""AUPRO: the per-region-overlap curve, averaged over false-positive rates up to 0.3.

PRO at a threshold is the mean, over defect regions, of the share of the region at or above it: a
recall in which a pixel of a region of area A counts 1 / A. AUPRO is a partial area under that
weighted ROC curve.

Source: Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021 (per-region overlap, its
integral up to an FPR of 0.3, normalised); 8-connectivity, exact steps and ties are ours.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from snlad.metrics.ranking import Ranking

FPR_LIMIT = 0.3


def region_areas(
    mask: Bool[np.ndarray, "H W"], roi: Bool[np.ndarray, "H W"]
) -> Int[np.ndarray, " P"]:
    """Area in pixels, inside the roi, of the 8-connected region of each defect pixel in the roi.

    Regions are found before they are clipped: one that the roi cuts in two remains one.
    """
    from scipy import ndimage  # half a second, which only masks need to pay

    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    inside = labels[mask & roi]
    areas: np.ndarray = np.bincount(inside).astype(np.int32)[inside]
    return areas


def aupro(ranking: Ranking, limit: float = FPR_LIMIT) -> float:
    """Mean per-region overlap over the false-positive rates from 0 to `limit`, in [0, 1].

    The curve steps where a negative lies strictly between positives, is straight where both tie,
    and is interpolated at the limit.

    Args:
        ranking: of pixels, each positive weighted by 1 / (area of its region).
        limit: highest false-positive rate, in (0, 1].
    """
    alarms, overlap = _curve(ranking)
    width = np.diff(alarms)
    seen = np.clip(limit * ranking.negatives - alarms[:-1], 0.0, width)
    middle = overlap[:-1] + np.diff(overlap) * seen / np.maximum(width, 1) / 2.0
    return float(np.average(middle, weights=seen))


def _curve(ranking: Ranking) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """False-positive counts and overlaps at the corners of the curve, from (0, 0) to (all, 1)."""
    before = np.append(0.0, ranking.coverage[:-1])
    alarms = np.stack([ranking.above, ranking.alarms], axis=1).ravel()
    overlap = np.stack([before, ranking.coverage], axis=1).ravel()
    return np.concatenate([[0], alarms, [ranking.negatives]]), np.concatenate(
        [[0.0], overlap, [1.0]]
    )
