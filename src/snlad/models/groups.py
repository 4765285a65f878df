"""Groups of pictures that look alike, found without a label: mostly the products of a factory."""

import math

import numpy as np
from jaxtyping import Float, Int

_AXES = 64
"""Principal axes of the statistics in which groups are sought."""

_LEAST = 15
"""Pictures of a group, on average, at least."""

_MOST = 200
"""Groups, at most."""

_STEP = 1.05
"""Ratio of the numbers of groups that are tried one after the other."""

_STRUCTURE = 0.25
"""Silhouette up to which there are no groups to speak of."""

_CLEARER = 0.02
"""More groups must have a silhouette higher by this."""

_ROUNDING = 1e-5
"""Spread of a channel, relative to its mean, that may be nothing but rounding."""

ENOUGH = 4000
"""Pictures that are enough to find groups in: time and memory grow with their square."""


def find_groups(statistics: Float[np.ndarray, "N D"]) -> Int[np.ndarray, " N"]:
    """Groups of pictures, 0 to G - 1, as many as stand apart most clearly; one if none do.

    Ward's hierarchy along principal axes; where it is cut, the mean silhouette says.

    Args:
        statistics: of each picture (``models.statistics``), in any units; ``ENOUGH`` are enough.

    Source: Ward, J. Am. Stat. Assoc. 58 (1963); silhouettes, and 0.25 for no substantial structure:
    Kaufman and Rousseeuw, Finding Groups in Data (1990).
    """
    from scipy.cluster.hierarchy import fcluster, ward  # slow to import, and needed only here
    from scipy.spatial.distance import pdist, squareform
    from sklearn.decomposition import PCA
    from sklearn.metrics import silhouette_score

    found = np.zeros(len(statistics), dtype=np.int64)
    middle, spread = statistics.mean(axis=0), statistics.std(axis=0)
    scaled = (statistics - middle) / (spread + _ROUNDING * np.abs(middle) + 1e-9)
    if len(statistics) < 2 * _LEAST or not scaled.any():
        return found
    axes = PCA(min(_AXES, *scaled.shape), svd_solver="full")
    apart = pdist(axes.fit_transform(scaled.astype(np.float64)))
    tree, square, best = ward(apart), squareform(apart), _STRUCTURE - _CLEARER
    for count in _counts(len(statistics)):
        groups = fcluster(tree, count, criterion="maxclust") - 1
        if not groups.any():
            continue
        clear = silhouette_score(square, groups, metric="precomputed")
        if clear > best + _CLEARER:
            best, found = clear, groups.astype(np.int64)
    return found


def _counts(pictures: int) -> list[int]:
    """Numbers of groups to try: every one of the first, then in steps that grow."""
    counts, most = [2], min(_MOST, pictures // _LEAST)
    while (following := math.ceil(counts[-1] * _STEP)) <= most:
        counts.append(following)
    return counts
