"""Normality centers: what the teacher's features of normal pictures that look alike are like.

A farthest-point coreset of many normal features covers what is rare as well as what is frequent,
and k-means of the coreset makes centers of it: the one hole of a large plate has centers of its
own. So has dirt that many training pictures show.

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
from snlad.models.arrays import let_grow
from snlad.models.clusters import farthest_points, k_means
from snlad.pyramid import Level, Pyramid

CENTER_LEVELS = 2
"""Levels, from the deepest up, whose features the centers are of."""

SAMPLE = 30
"""Feature vectors that the coreset is chosen from, for each center."""

_COVER = 6
"""Feature vectors of the coreset, for each center."""

_VARIANCE = 0.99
"""Share of the variance of a group's centers along the axes in which the nearest one is sought."""

_STEP = 16
"""Axes come in multiples of this, which matrix products like."""

_GROUP = 64
"""Centers whose lowest distance is found before which of them it is."""


class NormalityCenters(nn.Module):
    """Centers of the feature vectors of each group of pictures, and which of a group's is nearest.

    The nearest is sought along the principal axes of what sets centers of a group apart, which are
    few: along the others all of them are much alike. So a center that is next to nearest may be
    found; how far it is is exact.

    Args:
        channels: C of the vectors.
        centers: K of each group, at most; there are fewer where its locations are few.

    Attributes:
        points: (N, C), those of the first group before those of the second.
        counts: (G,), how many each group has.
    """

    points: Tensor
    counts: Tensor
    _origins: Tensor
    _axes: Tensor
    _columns: Tensor
    _lengths: Tensor
    _first: Tensor

    def __init__(self, channels: int, centers: int) -> None:
        super().__init__()
        self.most = centers
        self.register_buffer("points", torch.zeros(centers, channels))
        self.register_buffer("counts", torch.tensor([centers]))
        axes = min(channels, _STEP)
        for name, shape in (
            ("_origins", (1, channels)),
            ("_axes", (channels, axes)),
            ("_columns", (1, axes, centers)),
            ("_lengths", (1, centers)),
        ):
            self.register_buffer(name, torch.zeros(shape), persistent=False)
        self.register_buffer("_first", torch.tensor([0]), persistent=False)
        let_grow(self, points=0, counts=0)
        self.register_load_state_dict_post_hook(_index_loaded)  # type: ignore[no-untyped-call] # torch's gap

    @torch.no_grad()
    def find(self, features: Float[Tensor, "n C"], seed: int) -> Float[Tensor, "K C"]:
        """Centers among features of normal locations of one group.

        A center of few locations would lie on them, and normal pictures to come would be far from
        it. So there are at most as many centers as there are times ``SAMPLE`` locations.
        """
        count = max(1, min(self.most, len(features) // SAMPLE))
        cover = farthest_points(features, min(len(features), _COVER * count), seed=seed)
        return k_means(cover, count, seed=seed, steps=10)

    def place(self, *groups: Float[Tensor, "_ C"]) -> None:
        """Take these centers, those of a group together."""
        device = self.points.device
        self.points = torch.cat(groups).to(device)
        self.counts = torch.tensor([len(points) for points in groups], device=device)
        self._index()

    def _index(self) -> None:
        """What the search needs of the centers: |x - c|^2 - |x|^2 = |c|^2 - 2 x'c, along axes.

        Both are seen from the mean of the group's centers, where the two terms cancel less. All
        groups get as many columns; those that stand for no center are nearest to nothing.
        """
        device, counts = self.points.device, self.counts.tolist()
        groups = torch.split(self.points.cpu().double(), counts)
        origins = torch.stack([points.mean(dim=0) for points in groups])
        inside = [points - origin for points, origin in zip(groups, origins, strict=True)]
        axes = _principal_axes(torch.cat(inside))
        width = max(counts) if max(counts) <= _GROUP else -(-max(counts) // _GROUP) * _GROUP
        columns = axes.new_zeros(len(groups), axes.shape[1], width)
        lengths = axes.new_full((len(groups), width), torch.inf)
        for row, points in enumerate(inside):
            columns[row, :, : len(points)] = -2 * (points @ axes).T
            lengths[row, : len(points)] = (points @ axes).square().sum(dim=1)
        self._origins, self._axes, self._columns, self._lengths = (
            value.float().to(device) for value in (origins, axes, columns, lengths)
        )
        self._first = (self.counts.cumsum(0) - self.counts).to(device)

    @in_full_precision
    def forward(
        self, features: Level, groups: Int[Tensor, " B"] | None = None
    ) -> tuple[Int[Tensor, "B H W"], Float[Tensor, "B H W"]]:
        """Index among all ``points`` of the nearest center, and the distance to it.

        Args:
            features: (B, C, H, W).
            groups: whose centers each picture is measured against; by default the first one's.
        """
        if groups is None:
            groups = torch.zeros(features.shape[0], dtype=torch.long, device=features.device)
        vectors = features.flatten(2).mT
        along = (vectors - self._origins.index_select(0, groups)[:, None]) @ self._axes
        nearest = self._search(along, groups) + self._first.index_select(0, groups)[:, None]
        distance = (vectors - self.points[nearest]).square().sum(dim=2).sqrt()
        shape = (features.shape[0], *features.shape[2:])  # len() would make it a constant
        return nearest.view(shape), distance.view(shape)

    def _search(
        self, along: Float[Tensor, "B N Q"], groups: Int[Tensor, " B"]
    ) -> Int[Tensor, "B N"]:
        """Which of its group's centers each location is nearest to."""
        if torch.compiler.is_exporting():  # for any number of pictures, so it takes them at once
            apart = along @ self._columns.index_select(0, groups)
            apart = apart + self._lengths.index_select(0, groups)[:, None]
            return _lowest(apart.flatten(0, 1)).view(along.shape[:2])
        # One picture after the other, as all distances of a batch would fill the memory.
        of_pictures = groups.tolist() if len(self.counts) > 1 else [0] * len(along)
        found = [
            _lowest(torch.addmm(self._lengths[one], part, self._columns[one]))
            for one, part in zip(of_pictures, along, strict=True)
        ]
        return torch.stack(found)


def _principal_axes(inside: Float[Tensor, "N C"]) -> Float[Tensor, "C Q"]:
    """Those along which vectors of mean zero have nearly all of their variance."""
    variance, axes = torch.linalg.eigh(inside.T @ inside)
    left_out = int((variance.cumsum(0) <= (1 - _VARIANCE) * variance.sum()).sum())
    steps = max(1, -(-(len(variance) - left_out) // _STEP))  # one where all vectors are equal
    kept: Tensor = axes[:, -steps * _STEP :]
    return kept


def _index_loaded(centers: NormalityCenters, _: object) -> None:
    total, counts = len(centers.points), centers.counts.tolist()
    if not 1 <= min(counts, default=0) <= max(counts, default=0) <= centers.most:
        raise RuntimeError(f"a group has no center, or more than {centers.most}")
    if sum(counts) != total or not bool(centers.points.isfinite().all()):
        raise RuntimeError(f"the groups' centers are {sum(counts)}, not {total}, or not all finite")
    centers._index()


def _lowest(x: Float[Tensor, "N K"]) -> Int[Tensor, " N"]:
    """Which one of each row is lowest: of groups first, as minima are faster than their places."""
    size = math.gcd(x.shape[1], _GROUP)
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
