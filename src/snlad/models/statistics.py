"""What is kept of a picture to tell its class: mean and spread of each deep feature channel."""

import torch
from jaxtyping import Float
from torch import Tensor

from snlad.pyramid import Pyramid

_FLAT = 1e-3
"""Added to a spread before its logarithm: a channel that is 0 everywhere has one."""


def channel_statistics(teacher: Pyramid) -> Float[Tensor, "B D"]:
    """Mean and logarithm of the standard deviation over locations, float32, D = 2 C.

    Of the deepest level, whose channels say what a thing is and least how it is lit or turned.
    """
    deepest = teacher[-1].float().flatten(2)
    spread = deepest.std(dim=2, correction=0) + _FLAT
    return torch.cat([deepest.mean(dim=2), spread.log()], dim=1)
