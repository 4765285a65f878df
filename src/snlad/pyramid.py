"""The one shape that teacher, student, losses and maps exchange."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

Level = Float[Tensor, "B C H W"]
"""Features of one level: B images, C channels, H x W locations."""

Pyramid = Sequence[Tensor]
"""Levels of one network, finest first, each (B, C, H, W)."""
