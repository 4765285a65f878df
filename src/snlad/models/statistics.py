"""What is kept of a picture to tell its class: the mean of each feature channel."""

import torch
from jaxtyping import Float
from torch import Tensor

from snlad.pyramid import Pyramid


def channel_means(teacher: Pyramid) -> Float[Tensor, "B D"]:
    """Mean over locations of every channel, all levels one after the other, float32."""
    return torch.cat([level.float().mean(dim=(2, 3)) for level in teacher], dim=1)
