"""The detector: teacher, student and maps joined; images in [0, 1] in, anomaly maps out."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from snlad.maps.overall import combine, image_score
from snlad.maps.smoothing import gaussian_smooth
from snlad.models.central import CentralMaps
from snlad.models.teacher import Teacher
from snlad.pyramid import Pyramid
from snlad.types import MAP_SIZE

MapFunction = Callable[[Pyramid, Pyramid, tuple[int, int]], Tensor]
"""(teacher, student, (H, W)) -> map (B, 1, H, W), higher where they disagree."""


class Detector(nn.Module):
    """A frozen teacher, a student, and the maps of their disagreement.

    Args:
        teacher: images -> pyramid; stays frozen and in eval mode.
        student: ``student(images, teacher_pyramid)`` -> pyramid of the same shapes.
        maps: map functions by name, or central maps; ``overall`` is made from all of them.
        how: the way the maps become one: ``sum`` or ``scaled-sum``.
        score: the way the overall map becomes an image score: ``top`` (1 %) or ``max``.
        sigma_px: Gaussian smoothing of the overall map, in pixels of 256 x 256.
        kernel_px: side of its kernel, where a published table's rules cut it short.
    """

    map_mean: Tensor
    map_spread: Tensor

    def __init__(
        self,
        teacher: Teacher,
        student: nn.Module,
        maps: Mapping[str, MapFunction] | CentralMaps,
        *,
        how: Literal["sum", "scaled-sum"],
        score: Literal["top", "max"],
        sigma_px: float,
        kernel_px: int | None = None,
    ) -> None:
        super().__init__()
        self.teacher = teacher
        self.student = student
        self.maps = maps if isinstance(maps, CentralMaps) else dict(maps)
        self.map_names = maps.names if isinstance(maps, CentralMaps) else tuple(maps)
        self.how, self.score = how, score
        self.sigma_px, self.kernel_px = sigma_px, kernel_px
        self.register_buffer("map_mean", torch.zeros(len(self.map_names)))
        self.register_buffer("map_spread", torch.ones(len(self.map_names)))

    def features(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Pyramid, Pyramid]:
        """Teacher's and student's pyramids of images in [0, 1]."""
        teacher = self.teacher(images)
        return teacher, self.student(images, teacher)

    def raw_maps(self, teacher: Pyramid, student: Pyramid) -> dict[str, Tensor]:
        """Each map by name, unscaled and not smoothed, (B, 1, 256, 256) float32."""
        if isinstance(self.maps, CentralMaps):
            return self.maps(teacher, student, MAP_SIZE)  # type: ignore[no-any-return] # a module's call is untyped
        return {name: map_(teacher, student, MAP_SIZE) for name, map_ in self.maps.items()}

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> dict[str, Tensor]:
        """Raw maps by name and ``overall``: combined and smoothed, all (B, 1, 256, 256)."""
        maps = self.raw_maps(*self.features(images))
        return {**maps, "overall": self.overall(maps)}

    def overall(self, maps: Mapping[str, Tensor]) -> Float[Tensor, "B 1 H W"]:
        """Raw maps combined into one and smoothed."""
        mean, spread = self._by_name(self.map_mean), self._by_name(self.map_spread)
        combined = combine(maps, mean, spread, self.how)
        return gaussian_smooth(combined, self.sigma_px, self.kernel_px)

    def image_score(self, overall: Float[Tensor, "B 1 H W"]) -> Float[Tensor, " B"]:
        """Image scores of overall maps."""
        return image_score(overall, self.score)

    @torch.no_grad()
    def fit_scale(self, batches: Iterable[tuple[Mapping[str, Tensor], Tensor | None]]) -> None:
        """Set each map's mean and spread from normal training images.

        Args:
            batches: raw maps by name, and the valid pixels (B, 1, 256, 256) or ``None`` for all.
        """
        count, total = 0, torch.zeros(len(self.map_names), 2, dtype=torch.float64)
        for maps, valid in batches:
            stacked = torch.stack([maps[name].cpu().double() for name in self.map_names])
            inside = stacked.flatten(1) if valid is None else stacked[:, valid.cpu()]
            count += inside.shape[1]
            total += torch.stack([inside.sum(dim=1), inside.square().sum(dim=1)], dim=1)
        mean = total[:, 0] / count
        spread = (total[:, 1] / count - mean**2).clamp_min(1e-24).sqrt()
        self.map_mean.copy_(mean)
        self.map_spread.copy_(spread)

    def _by_name(self, values: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.map_names, values.unbind(), strict=True))
