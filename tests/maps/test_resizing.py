"""Bilinear interpolation by matrices: the same as torch's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from snlad.maps.resizing import resize

SIDE = st.integers(1, 40)


@given(st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE), st.booleans())
def test_equals_torch_at_any_size(old: tuple[int, int], new: tuple[int, int], corners: bool):
    maps = torch.randn(2, 3, *old, dtype=torch.float64)
    expected = F.interpolate(maps, new, mode="bilinear", align_corners=corners)
    torch.testing.assert_close(resize(maps, new, align_corners=corners), expected)


@pytest.mark.parametrize("corners", [True, False])
def test_the_same_size_changes_nothing(corners: bool) -> None:
    maps = torch.randn(1, 1, 5, 7)
    assert torch.equal(resize(maps, (5, 7), align_corners=corners), maps)


def test_autocast_does_not_reach_it() -> None:
    maps = torch.randn(1, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = resize(maps, (16, 16), align_corners=True)
    assert found.dtype == torch.float32
    assert torch.equal(found, resize(maps, (16, 16), align_corners=True))
