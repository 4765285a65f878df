"""Normality centers: what the teacher's features of normal pictures are like, in K vectors.

A farthest-point coreset of many normal features covers what is rare as well as what is frequent,
and k-means of the coreset makes centers of it: a class of thirty pictures, or the one hole of a
large plate, has centers of its own. So has dirt that many training pictures show.

Sources: farthest points as PatchCore takes them (arXiv 2106.08265, 3.2); that k-means then tells
the common from the odd is ours.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from snlad.affinity import in_full_precision
from snlad.models.clusters import farthest_points, k_means
from snlad.pyramid import Level, Pyramid

CENTER_LEVELS = 2
"""Levels, from the deepest up, whose features the centers are of."""

SAMPLE = 30
"""Feature vectors that the coreset is chosen from, for each center."""

_COVER = 6
"""Feature vectors of the coreset, for each center."""


class NormalityCenters(nn.Module):
    """K centers of feature vectors, and which of them is nearest.

    Args:
        channels: C of the vectors.
        centers: K.
    """

    points: Tensor

    def __init__(self, channels: int, centers: int) -> None:
        super().__init__()
        self.register_buffer("points", torch.zeros(centers, channels))

    @torch.no_grad()
    def fit(self, features: Float[Tensor, "n C"], seed: int) -> None:
        """Find the centers among features of normal locations.

        A center of few locations would lie on them, and normal pictures to come would be far from
        it. So there are at most as many centers as there are times ``SAMPLE`` locations; where that
        is fewer than K, some are there twice.
        """
        count = max(1, min(len(self.points), len(features) // SAMPLE))
        cover = farthest_points(features, min(len(features), _COVER * count), seed=seed)
        found = k_means(cover, count, seed=seed, steps=10)
        self.points.copy_(found.repeat(-(-len(self.points) // count), 1)[: len(self.points)])

    @in_full_precision
    def nearest(self, features: Level) -> tuple[Int[Tensor, "B H W"], Float[Tensor, "B H W"]]:
        """Index of the nearest center, and the distance to it."""
        origin = self.points.mean(dim=0)  # |x|^2 - 2 x'c + |c|^2 cancels less near the centers
        points, vectors = self.points - origin, features.flatten(2).mT - origin
        lengths = points.square().sum(dim=1)
        # One picture after the other, as all distances of a batch would fill the memory; an export
        # is for any number of pictures, so it takes them at once.
        parts = [vectors] if torch.compiler.is_exporting() else torch.split(vectors, 1)
        found = [
            _lowest(torch.baddbmm(lengths, one, points.mT.expand(one.shape[0], -1, -1), alpha=-2))
            for one in parts
        ]
        nearest = torch.cat([indices for indices, _ in found])
        squared = torch.cat([value for _, value in found]) + vectors.square().sum(dim=2)
        shape = (features.shape[0], *features.shape[2:])  # len() would make it a constant
        return nearest.view(shape), squared.clamp_min(0).sqrt().view(shape)


def _lowest(x: Float[Tensor, "B N K"]) -> tuple[Int[Tensor, "B N"], Float[Tensor, "B N"]]:
    """Index and value of each row's lowest: that of groups first, as plain minima are fast."""
    size = math.gcd(x.shape[2], 64)
    groups = x.view(*x.shape[:2], -1, size)
    group = groups.amin(dim=3).argmin(dim=2, keepdim=True)
    inside = groups.gather(2, group[..., None].expand(-1, -1, 1, size))[:, :, 0]
    value, index = inside.min(dim=2)
    return group[..., 0] * size + index, value


def coarse_features(teacher: Pyramid) -> Level:
    """The deepest levels (B, C1 + C2, H, W) at the deepest one's locations, by means."""
    height, width = teacher[-1].shape[2:]
    return torch.cat(
        [F.adaptive_avg_pool2d(mean, (height, width)) for mean in _means(teacher)], dim=1
    )


def fine_features(teacher: Pyramid) -> Level:
    """The same levels at the locations of the finer of them, by bilinear interpolation."""
    means = _means(teacher)
    size = means[0].shape[2:]
    return torch.cat([F.interpolate(mean, size, mode="bilinear") for mean in means], dim=1)


def _means(teacher: Pyramid) -> list[Level]:
    """Means of 3 x 3 neighbours; zeros lie around a level.

    The zeros draw what lies at the border, where the teacher's own padding makes features restless,
    to one another.
    """
    levels = teacher[-CENTER_LEVELS:]
    return [F.avg_pool2d(level.float(), 3, stride=1, padding=1) for level in levels]
