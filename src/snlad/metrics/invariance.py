"""Class-invariance: whether one threshold can serve all classes."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float


def eta_squared(groups: Iterable[Float[np.ndarray, " N"]]) -> float | None:
    """Share of the variance of normal scores that the class explains.

    Sum of squares between the classes' means, over the sum of squares of all scores.

    Args:
        groups: scores of each class.

    Returns:
        In [0, 1]; 0 where all classes have the same mean, 1 where a class has a single score. None
        with fewer than two classes, or where all scores are equal.

    Source: Fisher's correlation ratio.
    """
    parts = [np.asarray(part, dtype=np.float64) for part in groups if len(part)]
    if len(parts) < 2:
        return None
    scores = np.concatenate(parts)
    center = scores.mean()
    total = float(((scores - center) ** 2).sum())
    between = sum(len(part) * float(part.mean() - center) ** 2 for part in parts)
    return min(1.0, between / total) if np.ptp(scores) and total else None
