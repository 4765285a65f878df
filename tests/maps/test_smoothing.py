"""Gaussian smoothing: kernel, border, limits, and the same graph everywhere."""

from math import exp

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from snlad.errors import DataError
from snlad.maps.smoothing import gaussian_context, gaussian_smooth


def test_a_single_pixel_becomes_the_kernel_worked_by_hand() -> None:
    # sigma 1/2 has radius 2: weights 1, e^-2, e^-8 on either side, divided by their sum.
    weights = [exp(-8), exp(-2), 1.0, exp(-2), exp(-8)]
    kernel = torch.tensor(weights) / sum(weights)
    maps = torch.zeros(1, 1, 9, 9)
    maps[0, 0, 4, 4] = 1.0
    expected = torch.zeros(9, 9)
    expected[2:7, 2:7] = kernel[:, None] * kernel
    torch.testing.assert_close(gaussian_smooth(maps, 0.5)[0, 0], expected)


def test_the_border_is_reflected_without_the_edge_pixel_by_hand() -> None:
    # Left of (a, b, c) stand c, b: at the edge, b and c weigh double and a once.
    weights = torch.tensor([1.0, exp(-2), exp(-8)])
    weights = weights / (weights[0] + 2 * weights[1:].sum())
    row = torch.tensor([5.0, 7.0, 11.0, 13.0])
    maps = row.expand(1, 1, 4, 4)
    expected = weights[0] * 5 + 2 * weights[1] * 7 + 2 * weights[2] * 11
    assert gaussian_smooth(maps, 0.5)[0, 0, 1, 0].item() == pytest.approx(expected.item())


@pytest.mark.parametrize("sigma", [0.3, 0.75, 1.5])
def test_a_context_equals_scipy_with_the_border_repeated_at_any_size(sigma: float) -> None:
    for shape in ((1, 1), (2, 5), (16, 16)):
        values = torch.randn(1, 1, *shape, dtype=torch.float64)
        radius = int(np.ceil(3 * sigma))
        expected = gaussian_filter(values[0, 0].numpy(), sigma, mode="nearest", radius=radius)
        found = gaussian_context(values, sigma)[0, 0]
        torch.testing.assert_close(found, torch.from_numpy(expected))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.3, 4.0])
def test_equals_scipy_with_the_same_radius_and_border(sigma: float) -> None:
    maps = torch.randn(2, 1, 20, 18, dtype=torch.float64)
    radius = int(np.ceil(4 * sigma))
    for image, smooth in zip(maps, gaussian_smooth(maps, sigma), strict=True):
        expected = gaussian_filter(image[0].numpy(), sigma, mode="mirror", radius=radius)
        np.testing.assert_allclose(smooth[0].numpy(), expected, atol=1e-12)


# Dinomaly's tables: 5 x 5 of sigma 4, which hardly smooths, and darkness beyond the border.
def test_a_kernel_cut_short_has_zeros_beyond_the_border() -> None:
    maps = torch.randn(1, 1, 12, 9, dtype=torch.float64)
    smooth = gaussian_smooth(maps, 4.0, kernel_px=5)[0, 0].numpy()
    expected = gaussian_filter(maps[0, 0].numpy(), 4.0, mode="constant", radius=2)
    np.testing.assert_allclose(smooth, expected, atol=1e-12)


def test_equals_a_loop_over_pixels_and_offsets() -> None:
    maps = torch.randn(1, 1, 4, 5, dtype=torch.float64)
    weights = {d: exp(-0.5 * (d / 0.7) ** 2) for d in range(-3, 4)}
    total = sum(weights.values())

    def mirrored(i: int, size: int) -> int:
        return -i if i < 0 else 2 * (size - 1) - i if i >= size else i

    for y in range(4):
        for x in range(5):
            expected = sum(
                w_y * w_x / total**2 * maps[0, 0, mirrored(y + d_y, 4), mirrored(x + d_x, 5)].item()
                for d_y, w_y in weights.items()
                for d_x, w_x in weights.items()
            )
            assert gaussian_smooth(maps, 0.7)[0, 0, y, x].item() == pytest.approx(expected)


def test_a_constant_map_stays_as_it_is() -> None:
    maps = torch.full((1, 1, 20, 20), 3.0)
    torch.testing.assert_close(gaussian_smooth(maps, 4.0), maps)


def test_sigma_zero_is_the_identity() -> None:
    maps = torch.randn(1, 1, 2, 2)
    assert torch.equal(gaussian_smooth(maps, 0.0), maps)


@pytest.mark.parametrize("size", [(16, 40), (40, 16)], ids=["height", "width"])
def test_a_side_below_the_minimum_is_refused_with_the_size_that_would_do(size) -> None:
    with pytest.raises(DataError, match=r"too small for sigma 4.0.*at least 17 pixels"):
        gaussian_smooth(torch.zeros(1, 1, *size), 4.0)


def test_the_smallest_allowed_side_works() -> None:
    assert gaussian_smooth(torch.ones(1, 1, 17, 17), 4.0).shape == (1, 1, 17, 17)


def test_gradients_are_exact() -> None:
    maps = torch.randn(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: gaussian_smooth(x, 0.7), (maps,))


def test_autocast_does_not_reach_the_convolution() -> None:
    maps = torch.randn(1, 1, 8, 8)
    expected = gaussian_smooth(maps, 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        result = gaussian_smooth(maps, 1.0)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_each_map_of_a_batch_is_smoothed_alone() -> None:
    maps = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(gaussian_smooth(maps, 1.0)[1:2], gaussian_smooth(maps[1:2], 1.0))
