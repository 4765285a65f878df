"""Bilinear interpolation as matrix products, which every runtime computes alike and fast."""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from snlad.affinity import in_full_precision


@in_full_precision
def resize(
    maps: Float[Tensor, "B C H W"], size: tuple[int, int], *, align_corners: bool
) -> Float[Tensor, "B C h w"]:
    """Interpolate between locations, by the rules of ``torch.nn.functional.interpolate``.

    Args:
        maps: of any size.
        size: (h, w).
        align_corners: whether the outermost locations lie on the outermost pixels; else on the
            middles of the parts that they cover.
    """
    if maps.shape[2:] == size:
        return maps
    down, across = (
        _weights(old, new, align_corners) for old, new in zip(maps.shape[2:], size, strict=True)
    )
    return weigh(maps, down, across)


def weigh(
    maps: Float[Tensor, "B C H W"],
    down: Float64[np.ndarray, "h H"],
    across: Float64[np.ndarray, "w W"],
) -> Float[Tensor, "B C h w"]:
    """Make each new location of weighted old ones, along columns and along rows."""
    rows, columns = (torch.from_numpy(weights).to(maps) for weights in (down, across))
    return rows @ maps @ columns.mT


@lru_cache(maxsize=64)
def _weights(old: int, new: int, align_corners: bool) -> Float64[np.ndarray, "new old"]:
    """Weight of each location (columns) in each new one (rows)."""
    at = np.arange(new)
    if align_corners:
        place = at * ((old - 1) / max(new - 1, 1))
    else:
        place = ((at + 0.5) * (old / new) - 0.5).clip(0)
    below = place.astype(int)
    weights = np.zeros((new, old))
    weights[at, below] = 1 - (place - below)
    np.add.at(weights, (at, np.minimum(below + 1, old - 1)), place - below)
    return weights
