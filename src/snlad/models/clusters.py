"""Few feature vectors for many: farthest points and k-means."""

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor

_PROJECTION = 64
"""Dimensions in which farthest points are sought."""

_CANDIDATES = 2048
"""The farthest vectors, among which the next ones are sought: few enough for a core's cache."""

_ROWS = 1024
"""Vectors whose distances to newly chosen ones are computed at once."""


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

    Distances are taken in a random projection to few dimensions, which keeps them well enough. They
    only shrink as vectors are chosen, so the next ones are sought among the farthest few until none
    of these is as far as those left out were; only then is every vector looked at again.

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
    known = 0  # of the chosen, those that the distances take into account
    while len(chosen) < count:
        _shrink(distances, seen, lengths, torch.tensor(chosen[known:]))
        known = len(chosen)
        farthest = distances.topk(min(_CANDIDATES + 1, len(x)))
        left_out = farthest.values[-1] if len(x) > _CANDIDATES else -torch.inf
        rows, near = farthest.indices[:_CANDIDATES], farthest.values[:_CANDIDATES]
        candidates, their_lengths = seen[rows], lengths[rows]
        while len(chosen) < count:
            i = int(near.argmax())
            if len(chosen) > known and near[i] < left_out:
                break
            chosen.append(int(rows[i]))
            to_last = torch.addmv(
                their_lengths + their_lengths[i], candidates, candidates[i], alpha=-2
            )
            near = torch.minimum(near, to_last)
            near[i] = -torch.inf
    return x[chosen]


def _shrink(
    distances: Float[Tensor, " n"],
    x: Float[Tensor, "n C"],
    lengths: Float[Tensor, " n"],
    new: Int[Tensor, " m"],
) -> None:
    """Squared distances to the nearest chosen vector, once those of rows ``new`` are chosen too."""
    for start in range(0, len(x), _ROWS):
        part = slice(start, start + _ROWS)
        to_new = torch.addmm(lengths[new], x[part], x[new].mT, alpha=-2).amin(dim=1)
        distances[part] = torch.minimum(distances[part], to_new + lengths[part])
    distances[new] = -torch.inf
