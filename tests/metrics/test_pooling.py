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
    ours = image_score(torch.from_numpy(anomaly_map)[None, None], None, how)
    assert pool(anomaly_map, how) == pytest.approx(float(ours[0]), rel=1e-6)


def test_the_map_stays_as_it_is() -> None:
    anomaly_map = np.array([[3, 1], [2, 0]], np.float32)
    assert pool(anomaly_map, "max") == 3
    assert anomaly_map.tolist() == [[3, 1], [2, 0]]
