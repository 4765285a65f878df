"""Few feature vectors for many: farthest points and k-means."""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

_PROJECTION = 64
"""Dimensions in which farthest points are sought."""


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


def farthest_points(x: Float[Tensor, "n C"], count: int, *, seed: int) -> Float[Tensor, "count C"]:
    """Vectors that lie far from one another: each next one is the farthest from all before it.

    Distances are taken in a random projection to few dimensions, which keeps them well enough.

    Source: greedy k-center, as in arXiv 2106.08265, algorithm 1.

    Args:
        x: n >= count vectors, on the CPU.
        count: how many are chosen.
        seed: of the projection and of the first vector.
    """
    generator = torch.Generator().manual_seed(seed)
    if x.shape[1] > _PROJECTION:
        seen = x @ torch.randn(x.shape[1], _PROJECTION, generator=generator)
    else:
        seen = x
    lengths = seen.square().sum(dim=1)
    distances = torch.full_like(lengths, torch.inf)
    chosen = [int(torch.randint(len(x), (1,), generator=generator))]
    while len(chosen) < count:
        last = chosen[-1]
        to_last = torch.addmv(lengths + lengths[last], seen, seen[last], alpha=-2)
        distances = torch.minimum(distances, to_last)
        distances[last] = -torch.inf
        chosen.append(int(distances.argmax()))
    return x[chosen]
