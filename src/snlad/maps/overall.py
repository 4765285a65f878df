"""Overall map and image score: the maps of one image become one map and one number."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def combine(
    maps: Mapping[str, Float[Tensor, "B 1 H W"]],
    mean: Mapping[str, float | Tensor],
    spread: Mapping[str, float | Tensor],
    how: Literal["sum", "scaled-sum", "product"],
) -> Float[Tensor, "B 1 H W"]:
    """Combine the maps of several kinds into one, of any range.

    Args:
        maps: maps by name.
        mean: mean of each map over normal training images; read by "scaled-sum" only.
        spread: standard deviation of each map over them, above 0; read by "scaled-sum" only.
        how: sum of the maps, sum of (map - mean) / spread, or product of the maps.

    Source: arXiv 2402.17091 combines two maps (stated); the three forms are ours.
    """
    if how == "scaled-sum":
        return torch.stack([(m - mean[name]) / spread[name] for name, m in maps.items()]).sum(0)
    stacked = torch.stack(list(maps.values()))
    return stacked.sum(0) if how == "sum" else stacked.prod(0)


def image_score(
    overall: Float[Tensor, "B 1 H W"],
    valid: Bool[Tensor, "H W"] | Bool[Tensor, "B 1 H W"] | None,
    how: Literal["top", "max"] = "top",
    share: float = 0.01,
) -> Float[Tensor, " B"]:
    """Score each image by its most anomalous valid pixels.

    Args:
        overall: overall maps.
        valid: pixels that count, None for all; an image without any has no score: NaN.
        how: mean of the highest max(1, floor(share * valid pixels)) pixels, or the maximum.
        share: share of the valid pixels that "top" averages, in (0, 1], read to six decimals.

    Source: the maximum is RD4AD's; the mean of the top 1 % is ours, snlad-v1.
    """
    if valid is None:
        valid = torch.ones_like(overall, dtype=torch.bool)
    pixels = overall.masked_fill(~valid, -torch.inf).flatten(1)
    count = valid.expand_as(overall).flatten(1).sum(1, keepdim=True)
    # In whole millionths: floor(0.01 * 1600) is 16, but 15 where an exporter makes 0.01 a float32.
    parts = round(share * 1_000_000) if how == "top" else 0
    top = (count * parts // 1_000_000).clamp_min(1).minimum(count)
    highest = pixels.topk(max(1, pixels.shape[1] * parts // 1_000_000), dim=1).values
    rank = torch.arange(highest.shape[1], device=overall.device)
    return highest.masked_fill(rank >= top, 0).sum(1) / top[:, 0]
