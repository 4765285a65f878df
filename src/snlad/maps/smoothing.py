"""Gaussian smoothing of anomaly maps: one implementation for training, export and metrics."""

from math import ceil

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
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64, device="cpu")
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).to(maps)
    border = "reflect" if kernel_px is None else "constant"
    padded = F.pad(maps, (radius, radius, radius, radius), mode=border)
    rows = F.conv2d(padded, kernel[None, None, None, :])
    return F.conv2d(rows, kernel[None, None, :, None])
