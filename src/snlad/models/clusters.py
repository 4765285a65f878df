"""K-means of feature vectors: where normality's centers start."""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor


def k_means(
    x: Float[Tensor, "n C"], centers: int, *, seed: int, steps: int = 50
) -> Float[Tensor, "K C"]:
    """Centers of n >= K vectors; the same vectors and seed give the same centers.

    Args:
        x: the vectors, on the CPU.
        centers: K.
        seed: of the start.
        steps: of Lloyd's algorithm, at most.
    """
    from sklearn.cluster import KMeans  # slow to import, and needed only here
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # A careful start costs more than all steps where centers are many, and gains nothing there.
    start = "k-means++" if centers <= 256 else "random"
    # with more threads the order of sums, and so the result, varies
    with threadpool_limits(1), warnings.catch_warnings():
        # alike pictures give fewer different vectors than centers: some centers are then equal
        warnings.simplefilter("ignore", ConvergenceWarning)
        means = KMeans(centers, init=start, n_init=1, max_iter=steps, random_state=seed)
        found = means.fit(x.numpy())
    return torch.from_numpy(found.cluster_centers_).float()
