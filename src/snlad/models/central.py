"""Central maps: residuals in units of what is usual near the normality centers around them.

A student rebuilds some places worse than others, normal as they are: an edge, a print, the grain of
a cast part. So each center of the teacher's normal features (``snlad.models.normality``) aggregates
the residuals of the normal locations that are nearest to it: their mean m_k and spread s_k, for
every level of every residual. Pictures that look alike have centers of their own, and a picture is
measured against those of the group that it looks like: what is normal in one product excuses
nothing in another, and no label is needed. A location i then shows

    max(0, (r_i - m_i) / (s_i + s)),    s the mean of all s_k that have locations,

where m_i and s_i are Gaussian means of m_k and s_k over the centers of i and of the locations
around it. The nearest center alone would excuse a defect: what is like nothing normal is nearest to
the oddest of the normal, near which large residuals are usual.

A map is the sum over levels, each times the square root of its finest one's stride over its
own: a location of a deep level covers many pixels, and would outweigh the fine ones that say where
a defect ends. What is rebuilt better than usual excuses nothing elsewhere. The distance of the
teacher's feature to its nearest center is a residual too: it needs no student, and sees what a
student would rebuild although it is not normal. Its centers are of finer locations than those that
the student's residuals are measured against: what is usual depends on the place as a whole, what is
odd may be small.

Source: arXiv 2402.17091 states centers, residuals and their aggregation; this reading, in which
they calibrate the maps, is ours.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from snlad.maps.resizing import resize
from snlad.maps.smoothing import gaussian_context
from snlad.models.arrays import let_grow
from snlad.models.normality import (
    CENTER_LEVELS,
    NormalityCenters,
    coarse_features,
    fine_features,
)
from snlad.models.statistics import channel_statistics
from snlad.pyramid import Level, Pyramid

Residual = Callable[[Pyramid, Pyramid], Sequence[Tensor]]
"""(teacher, student) -> residual (B, Hl, Wl) of each level, higher where they disagree."""

DISTANCE = "center"
"""Name of the map of distances to the nearest center."""

_CONTEXT = 0.75
"""Standard deviation, in sides of the deepest locations, of the Gaussian around a location."""

_PRIOR = 0.05
"""Usual locations that a center starts from, in units of what centers have on average."""


class CentralMaps(nn.Module):
    """Maps of residuals, each in units of what is usual near the normality centers around it.

    Args:
        channels: of the teacher's levels.
        centers: K.
        residuals: by name of the map.
        distance: whether the distance to the nearest (fine) center is a map of its own.
        align_corners: whether upsampling to a map puts the outermost locations on the outermost
            pixels.

    Attributes:
        names: of the maps.
        coarse: centers that the student's residuals are measured against.
        fine: centers whose distance is a map, or ``None``.
    """

    usual: Tensor
    scale: Tensor
    group_weight: Tensor
    group_bias: Tensor

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
        self._align_corners = align_corners
        self.names = (*residuals, *([DISTANCE] if distance else []))
        width = sum(channels[-CENTER_LEVELS:])
        self.coarse = NormalityCenters(width, centers)
        self.fine = NormalityCenters(width, centers) if distance else None
        rows = len(channels) * len(residuals) + distance
        self.register_buffer("usual", torch.zeros(rows, centers))
        self.register_buffer("scale", torch.ones(rows, centers))
        self.register_buffer("group_weight", torch.zeros(2 * channels[-1], 1))
        self.register_buffer("group_bias", torch.zeros(1))
        let_grow(self, usual=1, scale=1, group_weight=1, group_bias=0)
        self.register_load_state_dict_post_hook(_check_loaded)  # type: ignore[no-untyped-call] # torch's gap

    def forward(
        self, teacher: Pyramid, student: Pyramid, size: tuple[int, int]
    ) -> dict[str, Float[Tensor, "B 1 H W"]]:
        """Each map by name, (B, 1, H, W); 0 where all is as usual or nearer to the normal."""
        maps: dict[str, Tensor] = {}
        finest: dict[str, int] = {}
        for row, (name, residual, nearest) in enumerate(self._rows(teacher, student)):
            sigma = _CONTEXT * nearest.shape[1] / teacher[-1].shape[2]
            known = torch.stack([self.usual[row], self.scale[row]])[:, nearest].movedim(0, 1)
            size_l = (residual.shape[1], residual.shape[2])
            around = resize(gaussian_context(known, sigma), size_l, align_corners=False)
            usual, scale = around[:, 0], around[:, 1]
            unusual = ((residual - usual) / scale).clamp_min(0)
            height = residual.shape[1]
            weight = math.sqrt(height / finest.setdefault(name, height))
            shown = resize(weight * unusual[:, None], size, align_corners=self._align_corners)
            maps[name] = maps[name] + shown if name in maps else shown
        return maps

    def center_features(self, teacher: Pyramid) -> list[Level]:
        """What the coarse, then the fine centers are found among, (B, C, H, W)."""
        return [features(teacher) for _, features in self._sets()]

    def fit_points(self, groups: Iterable[Sequence[Float[Tensor, "_ C"]]], seed: int) -> None:
        """Find the centers of each group of pictures.

        Args:
            groups: normal locations' vectors of ``center_features``, group by group.
            seed: of coreset and k-means.
        """
        sets = [centers for centers, _ in self._sets()]
        found = [
            [centers.find(some, seed) for centers, some in zip(sets, vectors, strict=True)]
            for vectors in groups
        ]
        for centers, points in zip(sets, zip(*found, strict=True), strict=True):
            centers.place(*points)

    def fit_groups(self, weight: Float[Tensor, "D G"], bias: Float[Tensor, " G"]) -> None:
        """Learn which centers a picture is measured against: those of the group that it looks like.

        Args:
            weight: the group of highest ``channel_statistics(teacher) @ weight + bias`` is meant.
            bias: in the groups' order, the one of ``fit_points``.
        """
        self.group_weight = weight.float().to(self.group_weight.device)
        self.group_bias = bias.float().to(self.group_bias.device)

    def groups_of(self, teacher: Pyramid) -> Int[Tensor, " B"]:
        """Whose centers each picture is measured against."""
        return (channel_statistics(teacher) @ self.group_weight + self.group_bias).argmax(dim=1)

    @torch.no_grad()
    def fit_residuals(
        self,
        pyramids: Iterable[tuple[Pyramid, Pyramid]],
        groups: Sequence[Int[Tensor, " _"]] | None = None,
    ) -> None:
        """Aggregate residuals of normal pictures around the centers.

        Args:
            pyramids: of teacher and student, a batch of pictures each.
            groups: around whose centers, for each batch; by default those that they look like.
        """
        rows = len(self.usual)
        centers = max(len(centers.points) for centers, _ in self._sets())
        sums = torch.zeros(3, rows, centers, dtype=torch.float64)  # 1, residual, its square
        pairs = zip(pyramids, groups or itertools.repeat(None), strict=groups is not None)
        for (teacher, student), of in pairs:
            for row, (_, residual, nearest) in enumerate(self._rows(teacher, student, of)):
                at = _nearest_over(nearest, residual).flatten().cpu()
                r = residual.flatten().cpu().double()
                for total, values in zip(sums[:, row], (r.new_ones(len(r)), r, r * r), strict=True):
                    total.index_add_(0, at, values)
        mean, spread = _shrunk(*sums)
        used = sums[0] > 0
        typical = (spread * used).sum(dim=1, keepdim=True) / used.sum(dim=1, keepdim=True)
        self.usual = mean.to(self.usual)
        self.scale = (spread + typical).clamp_min(1e-12).to(self.scale)

    def _sets(self) -> list[tuple[NormalityCenters, Callable[[Pyramid], Level]]]:
        """The centers, and what they are centers of."""
        coarse = (self.coarse, coarse_features)
        return [coarse] if self.fine is None else [coarse, (self.fine, fine_features)]

    def _rows(
        self, teacher: Pyramid, student: Pyramid, groups: Int[Tensor, " B"] | None = None
    ) -> Iterator[tuple[str, Float[Tensor, "B Hl Wl"], Int[Tensor, "B Hc Wc"]]]:
        """Residuals in the order of the statistics' rows: name of the map, values, and centers.

        The student's are measured against centers (B, Hc, Wc) of the deepest level's locations.
        """
        if groups is None:
            groups = self.groups_of(teacher)
        groups = groups.to(teacher[0].device)
        nearest, _ = self.coarse(coarse_features(teacher), groups)
        for name, residual in self._residuals.items():
            for level in residual(teacher, student):
                yield name, level, nearest
        if self.fine is not None:
            nearest, distance = self.fine(fine_features(teacher), groups)
            yield DISTANCE, distance, nearest


def _check_loaded(maps: CentralMaps, _: object) -> None:
    sets = [centers for centers, _ in maps._sets()]
    centers = {maps.usual.shape[1], maps.scale.shape[1]} - {max(len(one.points) for one in sets)}
    groups = {maps.group_weight.shape[1], *(len(one.counts) for one in sets)}
    if centers or groups != {len(maps.group_bias)}:
        raise RuntimeError("the maps' centers, groups and statistics do not go together")


def _nearest_over(nearest: Int[Tensor, "B H W"], residual: Float[Tensor, "B Hl Wl"]) -> Tensor:
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
