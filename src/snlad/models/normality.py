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
from snlad.maps.resizing import resize
from snlad.models.clusters import farthest_points, k_means
from snlad.pyramid import Level, Pyramid

CENTER_LEVELS = 2
"""Levels, from the deepest up, whose features the centers are of."""

SAMPLE = 30
"""Feature vectors that the coreset is chosen from, for each center."""

_COVER = 6
"""Feature vectors of the coreset, for each center."""

_VARIANCE = 0.99
"""Share of the centers' variance that lies along the axes in which the nearest one is sought."""

_STEP = 16
"""Axes come in multiples of this, which matrix products like."""


class NormalityCenters(nn.Module):
    """K centers of feature vectors, and which of them is nearest.

    The nearest is sought along the principal axes of the centers, which are few: along the others
    all centers are much alike. So a center that is next to nearest may be found; how far it is is
    exact.

    Args:
        channels: C of the vectors.
        centers: K.
    """

    points: Tensor
    _origin: Tensor
    _axes: Tensor
    _columns: Tensor
    _lengths: Tensor

    def __init__(self, channels: int, centers: int) -> None:
        super().__init__()
        self.register_buffer("points", torch.zeros(centers, channels))
        for name, shape in (
            ("_origin", (channels,)),
            ("_axes", (channels, channels)),
            ("_columns", (channels, centers)),
            ("_lengths", (centers,)),
        ):
            self.register_buffer(name, torch.zeros(shape), persistent=False)
        self.register_load_state_dict_post_hook(_index_loaded)  # type: ignore[no-untyped-call] # torch's gap

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
        self.place(found.repeat(-(-len(self.points) // count), 1)[: len(self.points)])

    def place(self, points: Float[Tensor, "K C"]) -> None:
        """Take these centers."""
        self.points.copy_(points)
        self._index()

    def _index(self) -> None:
        """What the search needs of the centers: |x - c|^2 - |x|^2 = |c|^2 - 2 x'c, along axes.

        Both are seen from the mean of the centers, where the two terms cancel less. The principal
        axes are turned at random, so that centers vary alike along each of them: 8 bits need that.
        """
        device, points = self.points.device, self.points.cpu().double()
        origin = points.mean(dim=0)
        variance, axes = torch.linalg.eigh((points - origin).T @ (points - origin))
        left_out = int((variance.cumsum(0) <= (1 - _VARIANCE) * variance.sum()).sum())
        steps = max(1, -(-(len(variance) - left_out) // _STEP))  # one where all centers are equal
        kept = min(steps * _STEP, len(variance))
        generator = torch.Generator().manual_seed(0)
        turn = torch.linalg.qr(torch.randn(kept, kept, generator=generator).to(axes)).Q
        axes = axes[:, len(variance) - kept :] @ turn
        along = (points - origin) @ axes
        lengths = along.square().sum(dim=1)
        self._origin, self._axes, self._columns, self._lengths = (
            value.float().to(device) for value in (origin, axes, -2 * along.T, lengths)
        )

    @in_full_precision
    def forward(self, features: Level) -> tuple[Int[Tensor, "B H W"], Float[Tensor, "B H W"]]:
        """Index of the nearest center, and the distance to it."""
        vectors = features.flatten(2).mT.flatten(0, 1)
        along = (vectors - self._origin) @ self._axes
        # One picture after the other, as all distances of a batch would fill the memory; an export
        # is for any number of pictures, so it takes them at once.
        size = features.shape[2] * features.shape[3]
        parts = [along] if torch.compiler.is_exporting() else torch.split(along, size)
        nearest = torch.cat(
            [_lowest(torch.addmm(self._lengths, part, self._columns)) for part in parts]
        )
        distance = (vectors - self.points[nearest]).square().sum(dim=1).sqrt()
        shape = (features.shape[0], *features.shape[2:])  # len() would make it a constant
        return nearest.view(shape), distance.view(shape)


def _index_loaded(centers: NormalityCenters, _: object) -> None:
    centers._index()


def _lowest(x: Float[Tensor, "N K"]) -> Int[Tensor, " N"]:
    """Which one of each row is lowest: of groups first, as minima are faster than their places."""
    size = math.gcd(x.shape[1], 64)
    groups = x.view(x.shape[0], -1, size)
    group = groups.amin(dim=2).argmin(dim=1, keepdim=True)
    inside = groups.gather(1, group[..., None].expand(-1, 1, size))[:, 0]
    return group[:, 0] * size + inside.argmin(dim=1)


def coarse_features(teacher: Pyramid) -> Level:
    """The deepest levels (B, C1 + C2, H, W) at the deepest one's locations, by means."""
    height, width = teacher[-1].shape[2:]
    return torch.cat(
        [F.adaptive_avg_pool2d(mean, (height, width)) for mean in _means(teacher)], dim=1
    )


def fine_features(teacher: Pyramid) -> Level:
    """The same levels at the locations of the finer of them, by bilinear interpolation."""
    means = _means(teacher)
    height, width = means[0].shape[2:]
    return torch.cat([resize(mean, (height, width), align_corners=False) for mean in means], dim=1)


def _means(teacher: Pyramid) -> list[Level]:
    """Means of 3 x 3 neighbours; zeros lie around a level.

    The zeros draw what lies at the border, where the teacher's own padding makes features restless,
    to one another.
    """
    levels = teacher[-CENTER_LEVELS:]
    return [F.avg_pool2d(level.float(), 3, stride=1, padding=1) for level in levels]
