"""Exact AUROC, AP and F1-max of scores, where a higher score means more anomalous.

Only the K distinct positive scores are visited, never all thresholds, and nothing is lost:

- AUROC adds up, for each positive, the negatives below it and half of those that tie with it.
- AP weighs precision by the step of recall, and recall steps at positive scores only.
- F1 = 2 TP / (TP + FP + P): a threshold between two positive scores has the TP of the upper one and
  no fewer FP, so the maximum is always attained at a positive score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from snlad.errors import MetricError


@dataclass(frozen=True, slots=True)
class Ranking:
    """Counts at each of the K distinct positive scores, from the highest down."""

    hits: Int[np.ndarray, " K"]  # positives at or above the score
    coverage: Float[np.ndarray, " K"]  # their share of all positive weight, in (0, 1]
    above: Int[np.ndarray, " K"]  # negatives above the score
    alarms: Int[np.ndarray, " K"]  # negatives at or above it
    negatives: int  # all negatives


def rank(
    positives: Float[np.ndarray, " P"],
    negatives: Sequence[np.ndarray],
    weights: Float[np.ndarray, " P"] | None = None,
) -> Ranking:
    """Count positives and negatives at each distinct positive score.

    Args:
        positives: finite scores in any order.
        negatives: finite scores, each array ascending; the arrays need not be merged.
        weights: what each positive counts for in `coverage`, above 0; all alike when None.

    Raises:
        MetricError: there is no positive or no negative.
    """
    total = sum(map(len, negatives))
    if not len(positives) or not total:
        raise MetricError(
            f"{len(positives)} positive and {total} negative scores cannot be ranked, "
            "which takes one of each: leave the metric undefined"
        )
    order = np.argsort(positives)[::-1]
    ordered = positives[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # of each run of ties
    distinct = ordered[last]
    above, alarms = np.full((2, len(last)), total, np.int64)
    for part in filter(len, negatives):
        below = np.searchsorted(part, distinct, "left")
        alarms -= below
        tied = part.take(below, mode="clip") == distinct  # few: spares most of a second search
        below[tied] = np.searchsorted(part, distinct[tied], "right")
        above -= below
    mass = last + 1.0 if weights is None else np.cumsum(weights[order], dtype=np.float64)[last]
    return Ranking(last + 1, mass / mass[-1], above, alarms, total)


def auroc(ranking: Ranking) -> float:
    """Area under the ROC curve, in [0, 1]: P(positive > negative) + P(tie) / 2."""
    beaten_by = (ranking.above + ranking.alarms) / 2.0
    return float(1.0 - np.average(beaten_by, weights=_steps(ranking)) / ranking.negatives)


def average_precision(ranking: Ranking) -> float:
    """Precision averaged over the steps of recall, without interpolation, in (0, 1]."""
    precision = ranking.hits / (ranking.hits + ranking.alarms)
    return float(np.average(precision, weights=_steps(ranking)))


def f1_max(ranking: Ranking) -> float:
    """Best F1 over all distinct thresholds, in (0, 1]."""
    hits = ranking.hits
    return float(np.max(2.0 * hits / (hits + ranking.alarms + hits[-1])))


class RunningAuroc:
    """Exact AUROC of positives at hand against negatives that come part by part and are not kept.

    Args:
        positives: finite scores in any order.
    """

    def __init__(self, positives: Float[np.ndarray, " P"]) -> None:
        self._positives = np.sort(positives)
        self._negatives = 0
        self._won = 0  # pairs that the positive wins count 2, ties 1

    def add(self, negatives: Float[np.ndarray, " N"]) -> None:
        """Count a part of the negatives, ascending; the smaller side is looked up in the larger."""
        few, many = self._positives, negatives
        if swapped := len(few) > len(many):
            few, many = many, few
        below = sum(int(np.searchsorted(many, few, side).sum()) for side in ("left", "right"))
        self._won += 2 * len(few) * len(many) - below if swapped else below
        self._negatives += len(negatives)

    @property
    def value(self) -> float | None:
        """P(positive > negative) + P(tie) / 2, in [0, 1]; None without one of each."""
        pairs = len(self._positives) * self._negatives
        return self._won / (2 * pairs) if pairs else None


def _steps(ranking: Ranking) -> Int[np.ndarray, " K"]:
    """Positives at each distinct score."""
    return np.diff(ranking.hits, prepend=0)
