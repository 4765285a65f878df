"""Groups of pictures that look alike, found without a label: mostly the products of a factory."""

import math

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

_AXES = 64
"""Principal axes of the statistics in which groups are sought."""

_LEAST = 15
"""Pictures of a group, at least."""

_MOST = 200
"""Groups, at most."""

_STEP = 1.15
"""Ratio of the numbers of groups that are tried one after the other."""

_STRUCTURE = 0.25
"""Silhouette below which there are no groups to speak of."""

ENOUGH = 4000
"""Pictures that are enough to find groups in; the time of a silhouette grows with their square."""


def find_groups(statistics: Float[np.ndarray, "N D"], seed: int) -> Int[np.ndarray, " N"]:
    """Groups of pictures, 0 to G - 1, as many as stand apart most clearly; one if none do.

    k-means along principal axes; how many, the mean silhouette says. A group of few pictures joins
    the next one.

    Args:
        statistics: of each picture (``models.statistics``), in any units; ``ENOUGH`` are enough.
        seed: of k-means.

    Source: silhouettes, and 0.25 for no substantial structure: Kaufman and Rousseeuw, Finding
    Groups in Data (1990).
    """
    from sklearn.cluster import KMeans  # slow to import, and needed only here
    from sklearn.decomposition import PCA
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    n = len(statistics)
    best, found = _STRUCTURE, np.zeros(n, dtype=np.int64)
    if n < 2 * _LEAST:
        return found
    scaled = (statistics - statistics.mean(axis=0)) / (statistics.std(axis=0) + 1e-9)
    with threadpool_limits(1):  # with more threads the order of sums, and so the result, varies
        axes = PCA(min(_AXES, *scaled.shape), random_state=seed)
        points = axes.fit_transform(scaled.astype(np.float64))
        for count in _counts(n):
            means = KMeans(count, n_init=3, random_state=seed).fit(points)
            groups = _join_small(points, means.labels_, means.cluster_centers_)
            if groups.max() == 0:
                continue
            apart = silhouette_score(points, groups)
            if apart > best:
                best, found = apart, groups
    return found


def _counts(n: int) -> list[int]:
    """Numbers of groups to try: every one of the first, then in steps that grow."""
    counts = [2]
    while (following := max(counts[-1] + 1, math.ceil(counts[-1] * _STEP))) <= min(
        _MOST, n // _LEAST
    ):
        counts.append(following)
    return counts


def _join_small(
    points: Float[np.ndarray, "N Q"], groups: NDArray[np.int32], means: Float[np.ndarray, "G Q"]
) -> Int[np.ndarray, " N"]:
    """The groups without those of few pictures, which go to the nearest mean that is left."""
    means = means.copy()
    while (sizes := np.bincount(groups, minlength=len(means))).min() < _LEAST and len(means) > 1:
        means = np.delete(means, int(sizes.argmin()), axis=0)
        groups = np.square(points[:, None] - means).sum(axis=2).argmin(axis=1)
    return groups.astype(np.int64)
