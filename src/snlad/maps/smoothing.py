"""Gaussian smoothing: one implementation for training, export and metrics."""

from functools import lru_cache
from math import ceil
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from snlad.affinity import in_full_precision
from snlad.errors import DataError
from snlad.maps.resizing import weigh

_Border = Literal["reflect", "edge", "constant"]
"""What lies beyond the border, in NumPy's words."""


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
def gaussian_context(values: Float[Tensor, "B C H W"], sigma: float) -> Float[Tensor, "B C H W"]:
    """Mean of each location's neighbours, Gaussian and cut at ceil(3 sigma), the border repeated.

    Args:
        values: of any size.
        sigma: standard deviation in locations, above 0.
    """
    return _convolved(values, sigma, ceil(3 * sigma), "edge")


def _convolved(
    x: Float[Tensor, "B C H W"], sigma: float, radius: int, border: _Border
) -> Float[Tensor, "B C H W"]:
    """Rows and columns as two matrix products: on a CPU much faster than narrow convolutions."""
    down, across = (_weights(size, sigma, radius, border) for size in x.shape[2:])
    return weigh(x, down, across)


@lru_cache(maxsize=32)
def _weights(
    size: int, sigma: float, radius: int, border: _Border
) -> Float64[np.ndarray, "size size"]:
    """Weight of each location (columns) in each smoothed one (rows)."""
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    beyond = {"constant_values": size} if border == "constant" else {}
    seen = np.pad(np.arange(size), radius, mode=border, **beyond)  # type: ignore[call-overload] # its stub knows single modes alone
    weights = np.zeros((size, size + 1))  # the last one is what lies beyond a border of zeros
    windows = np.lib.stride_tricks.sliding_window_view(seen, len(kernel))
    np.add.at(weights, (np.arange(size)[:, None], windows), kernel / kernel.sum())
    return np.ascontiguousarray(weights[:, :size])
