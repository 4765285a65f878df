"""Reverse distillation: a decoder rebuilds the teacher's levels from one compact embedding.

Source: RD4AD (Deng and Li, CVPR 2022, arXiv 2201.10703): its architecture for ResNet teachers,
without the two layers that its code builds and never uses; for others the same plan, ours.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from snlad.errors import ConfigError
from snlad.models.blocks import (
    BlockKind,
    ResidualBlock,
    convolution,
    fit_size,
    initialise,
    normalised,
)
from snlad.models.teacher import PyramidNetwork
from snlad.pyramid import Pyramid

RD4AD_PLANS: dict[str, dict[str, Any]] = {
    "resnet18": {"signed": False},
    "resnet34": {"signed": False, "decoder_blocks": (3, 4, 6)},
    "resnet50": {
        "signed": False,
        "block": "bottleneck",
        "bottleneck_blocks": 3,
        "decoder_blocks": (3, 4, 6),
    },
    "wide_resnet50_2": {
        "signed": False,
        "block": "bottleneck",
        "bottleneck_blocks": 3,
        "decoder_blocks": (3, 4, 6),
        "decoder_width_factor": 2,
    },
}
"""What differs from the defaults of ``ReverseStudent`` for RD4AD's own teachers, levels 1 to 3."""


class ReverseStudent(nn.Module):
    """Multi-scale fusion, one-class bottleneck and a decoder that mirrors the teacher's levels.

    Every level is brought to the deepest level's size and channels, all are concatenated and
    compressed at twice the deepest stride; each decoder stage then rebuilds one level, deepest
    first. Neighbouring strides may be equal or differ by a power of two.

    Sizes: networks halve odd sizes up or down. What we compute is cut, or its last row and column
    repeated, at the bottom and right until it has the teacher's size.

    Args:
        channels: of the teacher's levels, finest first.
        strides: of the teacher's levels, image pixels per location.
        bottleneck_channels: of the embedding, which ``cram`` receives.
        block: residual block of bottleneck and decoder.
        bottleneck_blocks: residual blocks of the bottleneck.
        decoder_blocks: residual blocks of each decoder stage, deepest first; default two each.
        signed: the teacher's features have both signs. A decoder stage ends in a ReLU, as a
            ResNet's features do, so it is twice as wide as its level, one channel for each
            sign, and the level leaves through a 1x1 convolution.
        decoder_width_factor: widens the decoder's bottleneck blocks, as in a wide ResNet.
        cram: applied to the embedding, (B, C, H, W) to the same shape.
        dropout: share in [0, 1) of the embedding's values set to 0 in training, before ``cram``.

    Raises:
        ConfigError: two neighbouring strides differ by something else than a power of two.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        bottleneck_channels: int,
        *,
        block: BlockKind = "basic",
        bottleneck_blocks: int = 2,
        decoder_blocks: Sequence[int] | None = None,
        signed: bool = True,
        decoder_width_factor: int = 1,
        cram: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        ratios = _ratios(strides)
        self.fusion = nn.ModuleList(
            _fusion_chain(channels[level:], ratios[level:]) for level in range(len(channels))
        )
        self.bottleneck = _stage(
            channels[-1] * len(channels), bottleneck_channels, bottleneck_blocks, block, down=2
        )
        widths = [(2 if signed else 1) * c for c in channels]
        ins = [bottleneck_channels, *reversed(widths[1:])]
        counts = decoder_blocks or [2] * len(channels)
        self.decoder = nn.ModuleList(
            _stage(a, b, count, block, up=up, width_factor=decoder_width_factor)
            for a, b, count, up in zip(
                ins, reversed(widths), counts, [2, *reversed(ratios)], strict=True
            )
        )
        self.heads = nn.ModuleList(
            nn.Conv2d(width, c, kernel_size=1) if signed else nn.Identity()
            for width, c in zip(widths, channels, strict=True)
        )
        initialise(self)
        self.dropout = nn.Dropout(dropout)
        self.cram = nn.Identity() if cram is None else cram

    @classmethod
    def for_teacher(
        cls,
        teacher: PyramidNetwork,
        bottleneck_channels: int | None = None,
        cram: nn.Module | None = None,
        dropout: float = 0.0,
        blocks: int | Literal["auto"] | None = None,
    ) -> "ReverseStudent":
        """RD4AD's student for its own teachers, the same plan for every other pyramid.

        The embedding has ``bottleneck_channels``, by default those of ``default_bottleneck``; the
        bottleneck and each decoder stage have ``blocks``, by default those of the plan. ``auto``
        is the plan for RD4AD's own teachers and one block for others.
        """
        architecture = teacher.name.partition(".")[0]
        plan = RD4AD_PLANS.get(architecture, {}) if teacher.strides == (4, 8, 16) else {}
        if blocks == "auto":
            blocks = None if plan else 1
        if blocks is not None:
            counts = [blocks] * len(teacher.channels)
            plan = {**plan, "bottleneck_blocks": blocks, "decoder_blocks": counts}
        return cls(
            teacher.channels,
            teacher.strides,
            bottleneck_channels or default_bottleneck(teacher),
            cram=cram,
            dropout=dropout,
            **plan,
        )

    def forward(self, images: Float[Tensor, "B 3 H W"], teacher: Pyramid) -> list[Tensor]:
        """Levels of the teacher's shapes from the teacher's levels; the images are not read."""
        del images
        x = self.cram(self.dropout(self.embed(teacher)))
        levels = []
        for stage, target in zip(self.decoder, reversed(teacher), strict=True):
            x = fit_size(stage(x), target)
            levels.append(x)
        return [head(x) for head, x in zip(self.heads, reversed(levels), strict=True)]

    def embed(self, teacher: Pyramid) -> Float[Tensor, "B C H W"]:
        """Compress all levels into (B, bottleneck_channels, H, W) at twice the deepest stride."""
        fused = [fit_size(f(x), teacher[-1]) for f, x in zip(self.fusion, teacher, strict=True)]
        embedding: Tensor = self.bottleneck(torch.cat(fused, dim=1))
        return embedding


def default_bottleneck(teacher: PyramidNetwork) -> int:
    """Channels of the embedding: twice the deepest level's, as in RD4AD, at half its size."""
    return 2 * teacher.channels[-1]


def _ratios(strides: Sequence[int]) -> list[int]:
    """How many times coarser each level is than the one before it."""
    ratios = []
    for fine, coarse in pairwise(strides):
        ratio, rest = divmod(coarse, fine)
        if rest or ratio not in (1, 2, 4, 8):
            raise ConfigError(
                f"strides {tuple(strides)} must grow by 1, 2, 4 or 8 from level to level; "
                "choose other levels of the teacher"
            )
        ratios.append(ratio)
    return ratios


def _fusion_chain(channels: Sequence[int], ratios: Sequence[int]) -> nn.Sequential:
    """Convolutions that take the first level to the deepest one, through each level between."""
    layers: list[nn.Module] = []
    for (before, after), ratio in zip(pairwise(channels), ratios, strict=True):
        halvings = ratio.bit_length() - 1
        ins = [before] + [after] * (max(halvings, 1) - 1)
        for width in ins:
            layers += normalised(convolution(width, after, down=2 if halvings else 1), after)
    return nn.Sequential(*layers)


def _stage(
    channels_in: int, channels_out: int, blocks: int, kind: BlockKind, **first: int
) -> nn.Sequential:
    """Residual blocks of which the first changes channels and size."""
    width_factor = first.pop("width_factor", 1)
    head = ResidualBlock(channels_in, channels_out, kind=kind, width_factor=width_factor, **first)
    rest = [
        ResidualBlock(channels_out, channels_out, kind=kind, width_factor=width_factor)
        for _ in range(blocks - 1)
    ]
    return nn.Sequential(head, *rest)
