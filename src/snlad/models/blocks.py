"""Convolution, normalisation and the residual blocks that bottleneck and decoder are made of."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

BlockKind = Literal["basic", "bottleneck"]
"""ResNet's two residual blocks: two 3x3 convolutions, or 1x1, 3x3, 1x1 through a quarter width."""

SQUEEZE = 4
"""A bottleneck block works at this fraction of its output channels."""


def convolution(channels_in: int, channels_out: int, *, down: int = 1, up: int = 1) -> nn.Module:
    """A 3x3 convolution that shrinks ``down`` times, or a transposed one that enlarges ``up``."""
    if up > 1:
        return nn.ConvTranspose2d(channels_in, channels_out, up, stride=up, bias=False)
    return nn.Conv2d(channels_in, channels_out, 3, stride=down, padding=1, bias=False)


def normalised(layer: nn.Module, channels: int, *, relu: bool = True) -> list[nn.Module]:
    """A layer, its BatchNorm and, if asked, a ReLU."""
    tail: list[nn.Module] = [nn.ReLU(inplace=True)] if relu else []
    return [layer, nn.BatchNorm2d(channels), *tail]


class ResidualBlock(nn.Module):
    """A ResNet block that keeps, shrinks or enlarges its input; the shortcut follows.

    Attributes:
        body: the convolutions whose output is added to the shortcut.
        shortcut: identity, or one convolution and BatchNorm where channels or size change.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kind: BlockKind = "basic",
        down: int = 1,
        up: int = 1,
        width_factor: int = 1,
    ) -> None:
        super().__init__()
        width = channels_out // SQUEEZE * width_factor
        if kind == "basic":
            first = convolution(channels_in, channels_out, down=down, up=up)
            second = convolution(channels_out, channels_out)
            layers = normalised(first, channels_out) + normalised(second, channels_out, relu=False)
        else:
            squeeze = nn.Conv2d(channels_in, width, 1, bias=False)
            middle = convolution(width, width, down=down, up=up)
            expand = nn.Conv2d(width, channels_out, 1, bias=False)
            layers = normalised(squeeze, width) + normalised(middle, width)
            layers += normalised(expand, channels_out, relu=False)
        self.body = nn.Sequential(*layers)
        self.shortcut = _shortcut(channels_in, channels_out, down=down, up=up)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B Cout Hout Wout"]:
        """Body plus shortcut, rectified."""
        out: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return out


def _shortcut(channels_in: int, channels_out: int, *, down: int, up: int) -> nn.Module:
    if up > 1:
        layer = convolution(channels_in, channels_out, up=up)
    elif down > 1 or channels_in != channels_out:
        layer = nn.Conv2d(channels_in, channels_out, 1, stride=down, bias=False)
    else:
        return nn.Identity()
    return nn.Sequential(*normalised(layer, channels_out, relu=False))


def fit_size(x: Float[Tensor, "B C H W"], like: Tensor) -> Float[Tensor, "B C Hout Wout"]:
    """Cut, or repeat the last row and column, until the size is that of ``like``."""
    height, width = like.shape[-2:]
    x = x[..., :height, :width]
    missing = (0, width - x.shape[-1], 0, height - x.shape[-2])
    return F.pad(x, missing, mode="replicate") if any(missing) else x


def initialise(module: nn.Module) -> None:
    """Draw convolutions from Kaiming's normal over the outputs; the rest keeps torch's defaults.

    Source: RD4AD's public code, which leaves transposed convolutions at torch's default as well.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
