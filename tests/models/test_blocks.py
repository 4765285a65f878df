"""Residual blocks and sizes that reverse students are made of."""

import pytest
import torch
from torch import Tensor, nn

from snlad.models.blocks import ResidualBlock, fit_size, initialise


# A block keeps, halves or enlarges, whatever its kind.
@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
@pytest.mark.parametrize(
    ("resample", "side"),
    [({}, 8), ({"down": 2}, 4), ({"up": 2}, 16), ({"up": 4}, 32)],
)
def test_a_block_changes_size_and_channels(kind: str, resample: dict[str, int], side: int) -> None:
    block = ResidualBlock(8, 12, kind=kind, **resample)
    assert block(torch.rand(2, 8, 8, 8)).shape == (2, 12, side, side)


# Nothing changes, so the shortcut is the input itself and costs nothing.
def test_a_block_that_keeps_everything_has_an_identity_shortcut() -> None:
    block = ResidualBlock(4, 4)
    assert isinstance(block.shortcut, nn.Identity)
    for parameter in block.body.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(block.eval()(x), x.relu())


# The wide ResNet's decoder works at twice the width inside, with the same outside.
def test_the_width_factor_widens_only_the_middle() -> None:
    block = ResidualBlock(16, 16, kind="bottleneck", width_factor=2)
    shapes = [tuple(m.weight.shape) for m in block.body if isinstance(m, nn.Conv2d)]
    assert shapes == [(8, 16, 1, 1), (8, 8, 3, 3), (16, 8, 1, 1)]


# Kaiming's normal over the outputs: standard deviation sqrt(2 / (channels out * 9)).
def test_convolutions_start_at_kaimings_scale_over_the_outputs() -> None:
    layer = nn.Conv2d(32, 64, 3, bias=False)
    initialise(layer)
    assert layer.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.03)


# RD4AD leaves transposed convolutions alone, and so do we.
def test_transposed_convolutions_keep_torchs_start() -> None:
    layer = nn.ConvTranspose2d(3, 4, 2)
    before = layer.weight.clone()
    initialise(layer)
    assert torch.equal(layer.weight, before)


# Cut at the bottom and right, or repeat the last row and column there: the top left stays.
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((2, 2), [[0.0, 1.0], [3.0, 4.0]]),
        ((2, 4), [[0.0, 1.0, 2.0, 2.0], [3.0, 4.0, 5.0, 5.0]]),
        ((3, 2), [[0.0, 1.0], [3.0, 4.0], [3.0, 4.0]]),
        ((2, 3), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
    ],
)
def test_sizes_are_fitted_at_the_bottom_and_right(
    size: tuple[int, int], expected: list[list[float]]
) -> None:
    x: Tensor = torch.arange(6.0).view(1, 1, 2, 3)
    assert fit_size(x, torch.empty(1, 7, *size))[0, 0].tolist() == expected
