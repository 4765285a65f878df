"""Reconstruction: a transformer rebuilds levels of one stride from their mean.

Source: Dinomaly (Guo et al., arXiv 2405.14325): a noisy bottleneck, attention that cannot focus on
a few locations, and a decoder whose first block answers for the deepest level. Every level is
rebuilt for itself, where Dinomaly sums groups of levels.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.nn import functional as F

from snlad.affinity import in_full_precision
from snlad.errors import ConfigError
from snlad.models.teacher import PyramidNetwork
from snlad.pyramid import Pyramid

_LEAST = 1e-6
_HEAD_CHANNELS = 64
"""Channels of an attention head, as in the ViTs of the family."""


class ReconstructionStudent(nn.Module):
    """Mean of all levels, bottleneck with dropout, CRAM, and one transformer block a level.

    Args:
        teacher: gives channels and strides, which are the same in all levels, as in a plain ViT.
        cram: applied to the embedding, (B, C, H, W) to the same shape.
        dropout: share in [0, 1) of the bottleneck's values set to 0 in training.

    Raises:
        ConfigError: the teacher's levels differ in channels or strides.
    """

    def __init__(
        self, teacher: PyramidNetwork, *, cram: nn.Module | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        _require_one_shape(teacher)
        width, depth = teacher.channels[0], len(teacher.channels)
        self.bottleneck = Mlp(width, 4 * width, drop=dropout)
        self.cram = nn.Identity() if cram is None else cram
        self.decoder = nn.ModuleList(DecoderBlock(width) for _ in range(depth))

    def forward(self, images: Float[Tensor, "B 3 H W"], teacher: Pyramid) -> list[Tensor]:
        """Levels of the teacher's shapes from the teacher's levels; the images are not read."""
        del images
        size = teacher[0].shape[2:]
        mean = torch.stack(list(teacher)).mean(dim=0)
        embedding = self.bottleneck(mean.flatten(2).mT)
        x = self.cram(embedding.mT.unflatten(2, size)).flatten(2).mT
        levels = []
        for block in self.decoder:
            x = block(x)
            levels.append(x.mT.unflatten(2, size))
        return levels[::-1]


class DecoderBlock(nn.Module):
    """A transformer block in which every location attends to all, focused on none."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = LinearAttention(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        """Locations (B, N, C) to the same shape."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return] # a module's call is untyped


class LinearAttention(nn.Module):
    """Attention of cost N: weights are products of elu + 1, so none of them can dominate.

    Source: Katharopoulos et al., "Transformers are RNNs", ICML 2020, equation 7.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = math.gcd(width, max(1, width // _HEAD_CHANNELS))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        """Locations (B, N, C) to the same shape."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = _attend(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return] # untyped


@in_full_precision
def _attend(
    q: Float[Tensor, "B h N c"], k: Float[Tensor, "B h N c"], v: Float[Tensor, "B h N c"]
) -> Float[Tensor, "B h N c"]:
    """Means of v with weights (elu(q) + 1)'(elu(k) + 1), each kept above 0."""
    q, k = (F.elu(x) + 1 + _LEAST for x in (q, k))
    return q @ (k.mT @ v) / (q * k.sum(dim=2, keepdim=True)).sum(dim=-1, keepdim=True)


def _require_one_shape(teacher: PyramidNetwork) -> None:
    for what, values in (("channels", teacher.channels), ("strides", teacher.strides)):
        if len(set(values)) > 1:
            raise ConfigError(
                f"student.distillation 'reconstruction' needs levels of equal {what}, as a plain "
                f"ViT has; {teacher.name} has {_listed(values)}: choose 'reverse'"
            )


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
