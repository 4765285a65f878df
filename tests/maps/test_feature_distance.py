"""Feature distance map: 1 - cos at each location, upsampled, over levels."""

import pytest
import torch
from torch.nn import functional as F

from snlad.maps.feature_distance import feature_distance_map, feature_distances

# Distances by hand: fine level [[0, 1], [2, 0]]; coarse level [[1]].
FINE_T = torch.tensor([[[[1.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]])
FINE_S = torch.tensor([[[[2.0, 0.0], [-1.0, 0.0]], [[0.0, 3.0], [0.0, 4.0]]]])
COARSE_T, COARSE_S = torch.tensor([[[[1.0]], [[0.0]]]]), torch.tensor([[[[0.0]], [[1.0]]]])


def random_pyramids(dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 4, 3), (2, 5, 2, 2)]
    return tuple(
        [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes] for _ in range(2)
    )


def test_worked_by_hand_without_upsampling() -> None:
    result = feature_distance_map([FINE_T], [FINE_S], (2, 2))
    assert result.shape == (1, 1, 2, 2)
    torch.testing.assert_close(result[0, 0], torch.tensor([[0.0, 1.0], [2.0, 0.0]]))


def test_levels_are_added_or_multiplied_by_hand() -> None:
    teacher, student = [FINE_T, COARSE_T], [FINE_S, COARSE_S]
    added = feature_distance_map(teacher, student, (2, 2), levels="sum")
    torch.testing.assert_close(added[0, 0], torch.tensor([[1.0, 2.0], [3.0, 1.0]]))
    multiplied = feature_distance_map(teacher, student, (2, 2), levels="product")
    torch.testing.assert_close(multiplied[0, 0], torch.tensor([[0.0, 1.0], [2.0, 0.0]]))


def test_aligned_corners_put_locations_on_the_outermost_pixels_by_hand() -> None:
    # Row (0, 1) stretched to three pixels: aligned (0, 1/2, 1); else the middle of each pixel is
    # looked up: -1/6 -> 0, 1/2, 7/6 -> 1 gives the same; four pixels tell them apart.
    teacher, student = FINE_T[:, :, :1], FINE_S[:, :, :1]
    aligned = feature_distance_map([teacher], [student], (1, 4))
    assert aligned[0, 0, 0].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    loose = feature_distance_map([teacher], [student], (1, 4), align_corners=False)
    assert loose[0, 0, 0].tolist() == pytest.approx([0, 0.25, 0.75, 1])


@pytest.mark.parametrize("levels", ["sum", "product"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_equals_a_loop_over_levels_images_and_locations(levels, align_corners) -> None:
    teacher, student = random_pyramids()
    expected = None
    for t, s in zip(teacher, student, strict=True):
        distance = torch.empty(2, 1, *t.shape[2:], dtype=torch.float64)
        for b in range(2):
            for y in range(t.shape[2]):
                for x in range(t.shape[3]):
                    cos = torch.cosine_similarity(t[b, :, y, x], s[b, :, y, x], dim=0)
                    distance[b, 0, y, x] = 1 - cos
        large = F.interpolate(distance, (6, 5), mode="bilinear", align_corners=align_corners)
        if expected is None:
            expected = large
        else:
            expected = expected + large if levels == "sum" else expected * large
    result = feature_distance_map(
        teacher, student, (6, 5), levels=levels, align_corners=align_corners
    )
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("levels", ["sum", "product"])
def test_gradients_are_exact(levels) -> None:
    teacher, student = random_pyramids()
    inputs = [level[:1, :, :2, :2].requires_grad_() for level in (*teacher, *student)]

    def as_map(t_fine, t_coarse, s_fine, s_coarse):
        return feature_distance_map([t_fine, t_coarse], [s_fine, s_coarse], (3, 3), levels=levels)

    assert torch.autograd.gradcheck(as_map, inputs, fast_mode=True)


def test_the_scale_of_features_does_not_matter_and_a_batch_is_its_images() -> None:
    teacher, student = random_pyramids()
    result = feature_distance_map(teacher, student, (5, 5))
    scaled = feature_distance_map([3 * t for t in teacher], [s / 7 for s in student], (5, 5))
    torch.testing.assert_close(scaled, result)
    second = feature_distance_map([t[1:] for t in teacher], [s[1:] for s in student], (5, 5))
    torch.testing.assert_close(second, result[1:])


def test_equal_features_give_a_map_of_exact_zeros_in_float32_even_from_half_precision() -> None:
    teacher = [level.to(torch.bfloat16) for level in random_pyramids()[0]]
    result = feature_distance_map(teacher, teacher, (8, 8))
    assert result.dtype == torch.float32
    assert result.abs().max() == 0


def test_features_of_one_direction_never_fall_below_zero() -> None:
    """Products over levels would change their sign where rounding leaves a distance below it."""
    torch.manual_seed(0)
    teacher = [torch.randn(2, 64, 8, 8)]
    for scale in (0.7, 1.3, 3.0):
        (distance,) = feature_distances(teacher, [scale * teacher[0]])
        assert 0 <= float(distance.min()) <= float(distance.max()) < 1e-6
