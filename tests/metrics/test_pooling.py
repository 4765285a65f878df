"""The score of a given map is the score that our own maps get."""

import numpy as np
import pytest
import torch

from snlad.maps.overall import image_score
from snlad.metrics.pooling import pool


@pytest.mark.parametrize("shape", [(256, 256), (7, 9), (40, 40), (1, 1)])
@pytest.mark.parametrize("how", ["top", "max"])
def test_pooling_agrees_with_our_maps(shape, how) -> None:
    anomaly_map = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    ours = image_score(torch.from_numpy(anomaly_map)[None, None], how)
    assert pool(anomaly_map, how) == pytest.approx(float(ours[0]), rel=1e-6)


@pytest.mark.parametrize(("height", "top"), [(1, 1), (19, 1), (20, 2), (29, 2), (30, 3)], ids=str)
def test_a_part_is_scored_by_its_own_pixels(height: int, top: int) -> None:
    anomaly_map = np.full((40, 10), np.nan, np.float32)
    anomaly_map[:height] = np.random.default_rng(0).permutation(10 * height).reshape(height, 10)
    inside = np.zeros((40, 10), bool)
    inside[:height] = True
    expected = np.arange(10 * height)[-top:].mean()
    assert pool(anomaly_map[inside], "top") == pytest.approx(expected)
    assert pool(anomaly_map[inside], "max") == 10 * height - 1
    assert np.isnan(pool(anomaly_map, "top"))


def test_the_map_stays_as_it_is() -> None:
    anomaly_map = np.array([[3, 1], [2, 0]], np.float32)
    assert pool(anomaly_map, "max") == 3
    assert anomaly_map.tolist() == [[3, 1], [2, 0]]
