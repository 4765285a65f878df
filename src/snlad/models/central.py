"""Central maps: residuals in units of what is usual near their normality center.

A student rebuilds some places worse than others, normal as they are: an edge, a print, the grain of
a cast part. So K centers of the teacher's normal features, of its two deepest levels together, are
found by k-means, and each center aggregates the residuals of the normal locations that are nearest
to it: their mean m_k and spread s_k, for every level of every residual. A location i that is
nearest to center k then shows

    (r_i - m_k) / (s_k + s),    s the mean of all s_k that have locations,

and a map is the sum over levels. The distance of the teacher's feature to its nearest center is a
residual too: it needs no student, and sees what a student would rebuild although it is not normal.

Source: arXiv 2402.17091 states centers, residuals and their aggregation; this reading, in which
they calibrate the maps, is ours.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from snlad.models.clusters import k_means
from snlad.models.cram import squared_distances
from snlad.pyramid import Level, Pyramid

CENTER_LEVELS = 2
"""Levels, from the deepest up, whose features the centers are of."""

Residual = Callable[[Pyramid, Pyramid], Sequence[Tensor]]
"""(teacher, student) -> residual (B, Hl, Wl) of each level, higher where they disagree."""

DISTANCE = "center"
"""Name of the map of distances to the nearest center."""

SAMPLE = 30
"""Feature vectors that k-means sees for each center."""

_PRIOR = 0.05
"""Usual locations that a center starts from, in units of what centers have on average."""


class CentralMaps(nn.Module):
    """Maps of residuals, each in units of what is usual near its normality center.

    Args:
        channels: of the teacher's levels.
        centers: K.
        residuals: by name of the map.
        distance: whether the distance to the nearest center is a map of its own.
        align_corners: whether upsampling puts the outermost locations on the outermost pixels.

    Attributes:
        names: of the maps.
    """

    points: Tensor
    unit: Tensor
    usual: Tensor
    scale: Tensor

    def __init__(
        self,
        channels: Sequence[int],
        centers: int,
        residuals: Mapping[str, Residual],
        *,
        distance: bool,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self._residuals = dict(residuals)
        self._distance, self._align_corners = distance, align_corners
        self.names = (*residuals, *([DISTANCE] if distance else []))
        rows = len(channels) * len(residuals) + distance
        self._parts = list(channels[-CENTER_LEVELS:])
        self.register_buffer("points", torch.zeros(centers, sum(self._parts)))
        self.register_buffer("unit", torch.ones(sum(self._parts)))
        self.register_buffer("usual", torch.zeros(rows, centers))
        self.register_buffer("scale", torch.ones(rows, centers))

    def forward(
        self, teacher: Pyramid, student: Pyramid, size: tuple[int, int]
    ) -> dict[str, Float[Tensor, "B 1 H W"]]:
        """Each map by name, (B, 1, H, W); a usual place is near 0, below it as well as above."""
        nearest, distance = self._nearest(teacher)
        maps: dict[str, Tensor] = {}
        for row, (name, residual) in enumerate(self._rows(teacher, student, distance)):
            at = _at(nearest, residual)
            unusual = (residual - self.usual[row][at]) / self.scale[row][at]
            shown = F.interpolate(
                unusual[:, None], size, mode="bilinear", align_corners=self._align_corners
            )
            maps[name] = maps[name] + shown if name in maps else shown
        return maps

    @torch.no_grad()
    def fit_points(self, features: Float[Tensor, "n C"], seed: int) -> None:
        """Find the centers among features of normal locations (``center_features``).

        Each level is divided by the spread of its values, so that none of them decides alone.
        A center of few locations would lie on them, and normal pictures to come would be far from
        it. So there are at most as many centers as there are times ``SAMPLE`` locations; where that
        is fewer than K, some are there twice.
        """
        count = max(1, min(len(self.points), len(features) // SAMPLE))
        spreads = [part.std(correction=0) for part in torch.split(features, self._parts, dim=1)]
        self.unit.copy_(torch.cat([s.expand(n) for s, n in zip(spreads, self._parts, strict=True)]))
        self.unit.clamp_min_(1e-12)
        found = k_means(features / self.unit.cpu(), count, seed=seed, steps=10)
        self.points.copy_(found.repeat(-(-len(self.points) // count), 1)[: len(self.points)])

    @torch.no_grad()
    def fit_residuals(self, pyramids: Iterable[tuple[Pyramid, Pyramid]]) -> None:
        """Aggregate residuals of normal pictures around the centers.

        Args:
            pyramids: of teacher and student, a batch of pictures each.
        """
        rows, centers = self.usual.shape
        sums = torch.zeros(3, rows, centers, dtype=torch.float64)  # 1, residual, its square
        for teacher, student in pyramids:
            nearest, distance = self._nearest(teacher)
            for row, (_, residual) in enumerate(self._rows(teacher, student, distance)):
                at = _at(nearest, residual).flatten().cpu()
                r = residual.flatten().cpu().double()
                for total, values in zip(sums[:, row], (r.new_ones(len(r)), r, r * r), strict=True):
                    total.index_add_(0, at, values)
        mean, spread = _shrunk(*sums)
        used = sums[0] > 0
        typical = (spread * used).sum(dim=1, keepdim=True) / used.sum(dim=1, keepdim=True)
        self.usual.copy_(mean)
        self.scale.copy_((spread + typical).clamp_min(1e-12))

    def _rows(
        self, teacher: Pyramid, student: Pyramid, distance: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        """Residuals in the order of the statistics' rows, with the name of their map."""
        for name, residual in self._residuals.items():
            yield from ((name, level) for level in residual(teacher, student))
        if self._distance:
            yield DISTANCE, distance

    def _nearest(self, teacher: Pyramid) -> tuple[Int[Tensor, "B H W"], Float[Tensor, "B H W"]]:
        """Index of the nearest center, and the distance to it, at the deepest locations."""
        features = center_features(teacher) / self.unit[:, None, None]
        # one picture after the other: all distances of a batch would fill the memory
        found = [squared_distances(one[None], self.points).min(dim=1) for one in features]
        nearest = torch.cat([indices for _, indices in found])
        return nearest, torch.cat([squared for squared, _ in found]).sqrt()


def center_features(teacher: Pyramid) -> Level:
    """The teacher's two deepest levels (B, C1 + C2, H, W) at the deepest one's locations.

    Each location of a level is the mean of its 3 x 3 neighbours, then of those that lie in a
    location of the deepest level.
    """
    height, width = teacher[-1].shape[2:]
    means = [
        F.avg_pool2d(level.float(), 3, stride=1, padding=1, count_include_pad=False)
        for level in teacher[-CENTER_LEVELS:]
    ]
    return torch.cat([F.adaptive_avg_pool2d(mean, (height, width)) for mean in means], dim=1)


def _at(nearest: Int[Tensor, "B H W"], residual: Float[Tensor, "B Hl Wl"]) -> Tensor:
    """The center of each location of another level: that of the deepest location over it."""
    if residual.shape == nearest.shape:
        return nearest
    over = F.interpolate(nearest[:, None].float(), residual.shape[1:], mode="nearest")
    return over[:, 0].long()


def _shrunk(count: Tensor, total: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread (R, K) around each center; those of few locations are drawn to all's."""
    n = count.sum(dim=1, keepdim=True)
    mean = total.sum(dim=1, keepdim=True) / n
    variance = (squares.sum(dim=1, keepdim=True) / n - mean**2).clamp_min(0)
    prior = _PRIOR * n / (count > 0).sum(dim=1, keepdim=True)
    weight = count + prior
    usual = (total + prior * mean) / weight
    around = squares - 2 * usual * total + usual**2 * count + prior * variance
    return usual, (around / weight).clamp_min(0).sqrt()
