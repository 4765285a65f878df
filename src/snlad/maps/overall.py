"""Overall map and image score: the maps of one image become one map and one number."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


def combine(
    maps: Mapping[str, Float[Tensor, "B 1 H W"]],
    mean: Mapping[str, float | Tensor],
    spread: Mapping[str, float | Tensor],
    how: Literal["sum", "scaled-sum"],
) -> Float[Tensor, "B 1 H W"]:
    """Combine the maps of several kinds into one, of any range.

    Args:
        maps: maps by name.
        mean: mean of each map over normal training images; read by "scaled-sum" only.
        spread: standard deviation of each map over them, above 0; read by "scaled-sum" only.
        how: sum of the maps, or sum of (map - mean) / spread.

    Source: arXiv 2402.17091 combines two maps (stated); both forms are ours.
    """
    if how == "scaled-sum":
        return torch.stack([(m - mean[name]) / spread[name] for name, m in maps.items()]).sum(0)
    return torch.stack(list(maps.values())).sum(0)


def image_score(
    overall: Float[Tensor, "B 1 H W"],
    how: Literal["top", "max"] = "top",
    share: float = 0.01,
) -> Float[Tensor, " B"]:
    """Score each image by its most anomalous pixels.

    Args:
        overall: overall maps.
        how: mean of the highest max(1, floor(share * pixels)) pixels, or the maximum.
        share: share of the pixels that "top" averages, in (0, 1], read to six decimals.

    Source: the maximum is RD4AD's; the mean of the top 1 % is ours, snlad-v1. Where only a part of
    an image is inspected, ``snlad.metrics.pooling.pool`` scores that part.
    """
    pixels = overall.flatten(1)
    # In whole millionths: 0.29 of 100 pixels are 29, but 28 in floating point.
    top = pixels.shape[1] * round(share * 1_000_000) // 1_000_000 if how == "top" else 1
    return pixels.topk(max(1, top), dim=1).values.mean(dim=1)
