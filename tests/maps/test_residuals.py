"""Residuals at the locations of each level: what maps are made of."""

import pytest
import torch
from torch.nn import functional as F

from snlad.maps.affinity_difference import affinity_difference_map, affinity_differences
from snlad.maps.feature_distance import feature_distance_map, feature_distances

PAIRS = [
    (feature_distances, feature_distance_map),
    (affinity_differences, affinity_difference_map),
]


@pytest.fixture
def pyramids():
    torch.manual_seed(0)
    shapes = [(2, 3, 8, 6), (2, 5, 4, 3)]
    return [[torch.randn(shape) for shape in shapes] for _ in range(2)]


@pytest.mark.parametrize(("residuals", "map_"), PAIRS)
def test_a_map_is_its_residuals_upsampled_and_summed(pyramids, residuals, map_):
    levels = residuals(*pyramids)
    assert [level.shape for level in levels] == [(2, 8, 6), (2, 4, 3)]
    shown = [
        F.interpolate(level[:, None], (16, 12), mode="bilinear", align_corners=True)
        for level in levels
    ]
    torch.testing.assert_close(map_(*pyramids, (16, 12)), sum(shown))


@pytest.mark.parametrize(("residuals", "map_"), PAIRS)
def test_a_student_that_agrees_has_no_residual(pyramids, residuals, map_):
    del map_
    for level in residuals(pyramids[0], pyramids[0]):
        assert float(level.abs().max()) < 1e-5
