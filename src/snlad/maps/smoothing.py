"""Gaussian smoothing: one implementation for training, export and metrics."""

from math import ceil
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from snlad.affinity import in_full_precision
from snlad.errors import DataError


@in_full_precision
def gaussian_smooth(
    maps: Float[Tensor, "B 1 H W"], sigma_px: float, kernel_px: int | None = None
) -> Float[Tensor, "B 1 H W"]:
    """Convolve with a Gaussian cut at ceil(4 sigma), borders reflected without repeating the edge.

    Args:
        maps: anomaly maps, each side at least ceil(4 sigma) + 1 pixels.
        sigma_px: standard deviation in pixels; 0 returns the maps as they are.
        kernel_px: side, odd, of a smaller kernel with zeros beyond the border, which the
            protocols of Dinomaly's tables prescribe.

    Raises:
        DataError: a side is too short for the border to be reflected.

    Source: RD4AD's code smooths with sigma 4 at 256 pixels; kernel and border are ours, snlad-v1.
    """
    if sigma_px == 0:
        return maps
    radius = ceil(4 * sigma_px) if kernel_px is None else kernel_px // 2
    if min(maps.shape[2:]) <= radius:
        raise DataError(
            f"a map of {maps.shape[2]} x {maps.shape[3]} pixels is too small for sigma {sigma_px}: "
            f"use sides of at least {radius + 1} pixels or a smaller sigma"
        )
    return _convolved(maps, sigma_px, radius, "reflect" if kernel_px is None else "constant")


@in_full_precision
def gaussian_context(values: Float[Tensor, "B 1 H W"], sigma: float) -> Float[Tensor, "B 1 H W"]:
    """Mean of each location's neighbours, Gaussian and cut at ceil(3 sigma), the border repeated.

    Args:
        values: of any size.
        sigma: standard deviation in locations, above 0.
    """
    return _convolved(values, sigma, ceil(3 * sigma), "replicate")


def _convolved(
    x: Float[Tensor, "B 1 H W"],
    sigma: float,
    radius: int,
    border: Literal["reflect", "replicate", "constant"],
) -> Float[Tensor, "B 1 H W"]:
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64, device="cpu")
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(x)
    padded = F.pad(x, (radius, radius, radius, radius), mode=border)
    rows = F.conv2d(padded, kernel[None, None, None, :])
    return F.conv2d(rows, kernel[None, None, :, None])
