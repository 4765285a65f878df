"""Regions in the pixels of the picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from snlad.calibration.regions import find_regions, region_masks


def mask_of(*pixels: tuple[int, int], shape: tuple[int, int] = (8, 8)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for pixel in pixels:
        mask[pixel] = True
    return mask


def test_boxes_and_areas_are_in_pixels_of_the_picture() -> None:
    mask = mask_of((1, 2), (1, 3), (2, 2))
    scores = np.where(mask, 5.0, 1.0)
    scores[2, 2] = 7.0
    (region,) = find_regions(scores, mask, (24, 16))  # 3 x 2 pixels of the picture a map pixel
    assert region == {"box": [4, 3, 4, 6], "area": 18, "score": 7.0}


def test_corners_join_and_the_highest_region_stands_first() -> None:
    mask = mask_of((0, 0), (1, 1), (5, 5))
    scores = np.arange(64.0).reshape(8, 8)
    regions = find_regions(scores, mask, (8, 8))
    assert [region["box"] for region in regions] == [[5, 5, 1, 1], [0, 0, 2, 2]]
    assert [region["score"] for region in regions] == [45.0, 9.0]


def test_a_region_smaller_than_the_minimum_is_left_out() -> None:
    mask = mask_of((0, 0), (5, 5), (5, 6))
    scores = mask.astype(float)
    assert len(find_regions(scores, mask, (16, 16), min_area=4)) == 2
    (region,) = find_regions(scores, mask, (16, 16), min_area=5)
    assert region["area"] == 8


# Pixels of the picture that a map pixel touches even in part belong to the box.
@pytest.mark.parametrize(("size", "box"), [((5, 5), [1, 1, 2, 1]), ((256, 1), [0, 64, 1, 32])])
def test_a_box_of_another_scale_covers_what_it_touches(size, box) -> None:
    mask = mask_of((2, 2), (2, 3))
    assert find_regions(mask.astype(float), mask, size)[0]["box"] == box


def test_the_whole_map_is_one_region_of_the_whole_picture() -> None:
    mask = np.ones((8, 8), bool)
    (region,) = find_regions(np.ones((8, 8)), mask, (31, 77))
    assert (region["box"], region["area"]) == ([0, 0, 77, 31], 31 * 77)


def test_nothing_above_the_threshold_is_no_region() -> None:
    assert find_regions(np.ones((8, 8)), mask_of(), (8, 8)) == []
    assert list(region_masks(np.ones((8, 8)), mask_of(), (8, 8))) == []


@given(
    arrays(bool, (9, 7)),
    arrays(float, (9, 7), elements=st.integers(0, 5).map(float)),
    st.sampled_from([0, 1, 5, 60]),
)
@settings(deadline=None, derandomize=True)
def test_each_region_has_the_part_of_the_mask_that_it_describes(mask, scores, min_area) -> None:
    size = (18, 21)  # 2 x 3 pixels of the picture a map pixel
    regions = find_regions(scores, mask, size, min_area)
    parts = list(region_masks(scores, mask, size, min_area))
    for region, part in zip(regions, parts, strict=True):
        rows, columns = np.nonzero(part)
        x, y, width, height = region["box"]
        assert (x, width) == (columns.min() * 3, np.ptp(columns) * 3 + 3)
        assert (y, height) == (rows.min() * 2, np.ptp(rows) * 2 + 2)
        assert region["area"] == part.sum() * 6 >= min_area
        assert region["score"] == scores[part].max()
    kept = np.sum(parts, axis=0) if parts else np.zeros_like(mask)
    assert kept.max() <= 1  # no pixel is in two regions
    assert (mask | (kept == 0)).all()
    if not min_area:
        np.testing.assert_array_equal(kept, mask)


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
@settings(deadline=None, derandomize=True)
def test_parts_are_those_of_scipy(mask) -> None:
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    parts = list(region_masks(np.zeros(mask.shape), mask, mask.shape))
    assert len(parts) == count
    numbers = [set(labels[part]) for part in parts]
    assert all(len(one) == 1 for one in numbers)
    assert len(set.union(set(), *numbers)) == count


def test_a_spiral_is_one_region_and_a_large_chessboard_too() -> None:
    spiral = np.zeros((9, 9), bool)
    for inset in range(0, 5, 2):
        spiral[inset : 9 - inset, inset : 9 - inset] = True
        spiral[inset + 1 : 8 - inset, inset + 1 : 8 - inset] = False
    spiral[1, 0] = spiral[3, 2] = False
    spiral[2, 1] = spiral[4, 3] = True
    assert len(find_regions(np.ones((9, 9)), spiral, (9, 9))) == 1
    board = np.indices((200, 200)).sum(axis=0) % 2 == 0
    (found,) = find_regions(np.ones((200, 200)), board, (200, 200))
    assert (found["box"], found["area"]) == ([0, 0, 200, 200], 20_000)


def test_the_score_is_the_highest_pixel_wherever_it_lies_in_its_run() -> None:
    anomaly_map = np.zeros((3, 9), np.float32)
    anomaly_map[0, 1:4], anomaly_map[2, 4:8] = (7, 1, 2), (3, 4, 9, 5)
    found = find_regions(anomaly_map, anomaly_map > 0, (3, 9))
    assert [one["score"] for one in found] == [9, 7]
