"""Split-conformal thresholds: a false-alarm rate promised from held-out normal scores.

If a new normal picture and n calibration pictures are exchangeable, its score is equally likely to
take any of n + 1 ranks among theirs, whatever the distribution. The promise is about pictures
like those of the calibration, and about the average over calibrations: with one threshold the rate
of false alarms is Beta-distributed (``rate_band``).

Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005), split form;
Vovk, Conditional validity of inductive conformal predictors (ACML 2012), for the band.
"""

from dataclasses import dataclass
from math import floor

import numpy as np
from jaxtyping import Float

from snlad.errors import UsageError

JUST_ABOVE = 1e-4
"""Of a score: more than it changes in the last digits in another batch or runtime."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A score above which a picture is NG.

    Attributes:
        value: NG when score > value.
        n: calibration scores behind it.
        attainable_fpr: the promised share of false alarms: the highest multiple of 1 / (n + 1) up
            to the target, or 1 / (n + 1) where the target asks for more pictures than there are.
        is_short: whether it does.
    """

    value: float
    n: int
    attainable_fpr: float
    is_short: bool


def conformal_threshold(scores: Float[np.ndarray, " N"], target_fpr: float) -> Threshold:
    """The lowest threshold that keeps the promise.

    A score is NG where p = (1 + #{calibration >= score}) / (n + 1) is at most the target, which
    is where it exceeds the k-th highest calibration score, k = floor(target (n + 1)). The
    threshold is the middle between that score and the next higher one, or just above it where
    none is higher; with k = 0 it is just above the highest.

    Args:
        scores: finite scores of normal pictures that neither training nor anything else used.
        target_fpr: share of false alarms, in (0, 1).

    Raises:
        UsageError: there is no score, or the target is not in (0, 1).
    """
    if not 0.0 < target_fpr < 1.0:
        raise UsageError(f"target FPR {target_fpr} is not in (0, 1); 0.05 is one in twenty")
    if not len(scores):
        raise UsageError("there is no calibration score; give normal pictures to calibrate on")
    n = len(scores)
    rank = floor(target_fpr * (n + 1) + 1e-9)  # 0.05 * 20 is one, whatever floats say
    highest_first = np.sort(scores)[::-1]
    limit = float(highest_first[max(rank, 1) - 1])
    higher = highest_first[highest_first > limit]
    if len(higher):
        value = (limit + float(higher[-1])) / 2
    else:
        value = limit + JUST_ABOVE * max(abs(limit), 1e-12)
    return Threshold(value, n, max(rank, 1) / (n + 1), rank == 0)


def p_value(score: float, scores: Float[np.ndarray, " N"]) -> float:
    """Chance of a score this high or higher for a normal picture, in [1 / (n + 1), 1]."""
    return (1 + int(np.count_nonzero(scores >= score))) / (len(scores) + 1)


def rate_band(threshold: Threshold, level: float = 0.95) -> tuple[float, float]:
    """Where the false-alarm rate of one calibration lies with this probability, two-sided.

    The rate above the k-th highest of n scores is Beta(k, n + 1 - k); the middle to the next higher
    score can only lower it, at most to that of k - 1.
    """
    from scipy.stats import beta

    k = round(threshold.attainable_fpr * (threshold.n + 1))
    low = 0.0 if k == 1 else float(beta.ppf((1 - level) / 2, k - 1, threshold.n + 2 - k))
    return low, float(beta.ppf((1 + level) / 2, k, threshold.n + 1 - k))
