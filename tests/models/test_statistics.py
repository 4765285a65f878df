"""What is kept of a picture to tell its class."""

import numpy as np
import pytest
import torch

from snlad.models.statistics import channel_statistics


def test_mean_and_spread_of_the_deepest_channels() -> None:
    deep = torch.tensor([[[[1.0, 5.0]], [[5.0, 5.0]]]])  # B = 1, C = 2, 1 x 2 locations
    found = channel_statistics([torch.rand(1, 7, 2, 4), deep])
    expected = [3.0, 5.0, np.log(2.001), np.log(0.001)]
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_where_things_lie_does_not_matter_but_what_is_there_does() -> None:
    picture = torch.rand(2, 3, 4, 5)
    moved = picture.roll((1, 2), dims=(2, 3))
    torch.testing.assert_close(channel_statistics([picture]), channel_statistics([moved]))
    assert not torch.allclose(channel_statistics([picture]), channel_statistics([picture * 2]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_level_of_one_value_and_of_one_location_is_finite(dtype: torch.dtype) -> None:
    for deep in (torch.zeros(2, 3, 4, 4, dtype=dtype), torch.ones(2, 3, 1, 1, dtype=dtype)):
        found = channel_statistics([deep])
        assert found.shape == (2, 6)
        assert found.dtype == torch.float32
        assert torch.isfinite(found).all()
