"""AUPRO: worked cases, a slow loop over thresholds and regions as oracle, known traps."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.metrics.aupro import aupro, region_areas
from snlad.metrics.ranking import auroc, rank

quick = settings(deadline=None, derandomize=True, max_examples=60)


def fast(maps: list[np.ndarray], masks: list[np.ndarray], limit: float = 0.3) -> float:
    positives = np.concatenate([one[mask] for one, mask in zip(maps, masks, strict=True)])
    negatives = np.concatenate([one[~mask] for one, mask in zip(maps, masks, strict=True)])
    areas = np.concatenate([region_areas(mask, np.ones_like(mask)) for mask in masks])
    return aupro(rank(positives, [np.sort(negatives)], 1.0 / areas), limit)


def flood(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Regions by walking to the eight neighbours, without any library."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    regions = []
    while left:
        region, edge = [], [left.pop()]
        while edge:
            y, x = edge.pop()
            region.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        regions.append(region)
    return regions


def slow(maps: list[np.ndarray], masks: list[np.ndarray], limit: float = 0.3) -> float:
    """Every distinct score as threshold, every region by itself, then trapezoids to the limit."""
    normal = sum(int((~mask).sum()) for mask in masks)
    points = [(0.0, 0.0)]
    for threshold in sorted({float(v) for one in maps for v in one.ravel()}, reverse=True):
        alarms, overlaps = 0, []
        for one, mask in zip(maps, masks, strict=True):
            alarms += int(((one >= threshold) & ~mask).sum())
            overlaps += [np.mean([one[y, x] >= threshold for y, x in r]) for r in flood(mask)]
        points.append((alarms / normal, sum(overlaps) / len(overlaps)))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 < limit and x1 > x0:
            x = min(x1, limit)
            y = y0 + (y1 - y0) * (x - x0) / (x1 - x0)
            area += (x - x0) * (y0 + y) / 2
    return area / limit


@st.composite
def pictures(draw: st.DrawFn) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Up to three pairs of one odd shape, of few or many distinct scores, with a defect and not."""
    height, width = draw(st.integers(1, 7)), draw(st.integers(2, 7))
    count, levels = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 5, 1000]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    maps = random.integers(0, levels, (count, height, width)).astype(np.float32) / 8
    masks = random.random((count, height, width)) < draw(st.sampled_from([0.1, 0.4, 0.8]))
    masks[0, 0, :2] = True, False
    return list(maps), list(masks)


@quick
@given(pictures(), st.sampled_from([0.3, 0.05, 1.0]))
def test_equals_the_slow_loop(drawn: tuple[list, list], limit: float) -> None:
    assert fast(*drawn, limit) == pytest.approx(slow(*drawn, limit), abs=1e-12)


@quick
@given(pictures())
def test_lies_between_zero_and_one(drawn: tuple[list, list]) -> None:
    assert 0.0 <= fast(*drawn) <= 1.0


@quick
@given(pictures(), st.randoms(use_true_random=False))
def test_a_rising_transform_and_another_image_order_change_nothing(drawn, random) -> None:
    before = fast(*drawn)
    assert fast([np.exp(one / 125) for one in drawn[0]], drawn[1]) == before
    pairs = list(zip(*drawn, strict=True))
    random.shuffle(pairs)
    assert fast(*map(list, zip(*pairs, strict=True))) == pytest.approx(before, abs=1e-12)


@quick
@given(pictures())
def test_with_single_pixel_regions_and_no_limit_it_is_auroc(drawn: tuple[list, list]) -> None:
    maps, masks = drawn
    lattice = np.zeros_like(masks[0])
    lattice[::2, ::2] = True
    masks = [mask & lattice for mask in masks]
    positives = np.concatenate([one[mask] for one, mask in zip(maps, masks, strict=True)])
    negatives = np.concatenate([one[~mask] for one, mask in zip(maps, masks, strict=True)])
    ordinary = auroc(rank(positives, [np.sort(negatives)]))
    assert fast(maps, masks, limit=1.0) == pytest.approx(ordinary, abs=1e-12)


def line(*scores: float) -> np.ndarray:
    return np.array([scores], np.float32)


def test_worked_by_hand_with_two_regions() -> None:
    # Ten normal pixels scored 9 ... 0. The region of one pixel is found at 9.5, before any alarm;
    # one pixel of the region of two at 7.5, after two alarms; its other pixel after all ten.
    # PRO is 1/2 up to FPR 0.2, then 3/4: (0.2 * 0.5 + 0.1 * 0.75) / 0.3.
    scores = line(9.5, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 7.5, -1)
    mask = np.zeros((1, 13), bool)
    mask[0, [0, 11, 12]] = True
    assert fast([scores], [mask]) == pytest.approx(0.175 / 0.3)


def test_a_tie_is_a_straight_line_cut_at_the_limit() -> None:
    # All five normal pixels tie with the whole region: PRO = FPR, whose mean up to 0.3 is 0.15.
    scores = line(1, 1, 1, 1, 1, 1)
    mask = line(1, 0, 0, 0, 0, 0) > 0
    assert fast([scores], [mask]) == pytest.approx(0.15)


def test_the_limit_falls_between_two_negatives() -> None:
    # Four normal pixels: FPR steps 0, 0.25, 0.5; found after one alarm, so 0 to 0.25, then 1.
    scores = line(3, 4, 2, 1, 0)
    mask = line(1, 0, 0, 0, 0) > 0
    assert fast([scores], [mask]) == pytest.approx(0.05 / 0.3)


def test_what_is_found_only_beyond_the_limit_is_worth_nothing() -> None:
    scores = line(1.5, 4, 3, 2, 1)
    mask = line(1, 0, 0, 0, 0) > 0
    assert fast([scores], [mask]) == 0.0


def test_a_perfect_map_gives_exactly_one_whatever_the_areas() -> None:
    mask = np.zeros((9, 11), bool)
    mask[0, 0] = mask[2:5, 2:5] = mask[7, 3:10] = True  # areas 1, 9 and 7
    random = np.random.default_rng(0).random(mask.shape)
    assert fast([(mask + random / 2).astype(np.float32)], [mask]) == 1.0


def test_a_region_counts_the_same_whatever_its_area() -> None:
    mask = np.zeros((8, 8), bool)
    mask[0, 0] = mask[3:7, 3:7] = True
    only_small, only_large = np.zeros((2, 8, 8), np.float32)
    only_small[0, 0] = 1
    only_large[3:7, 3:7] = 1
    assert fast([only_small], [mask]) == pytest.approx(fast([only_large], [mask]))


def test_pooling_images_is_not_averaging_them() -> None:
    # The second image's noise lies above the first image's defect: one threshold sees that.
    first, second = line(1, 0, 0, 0), line(9, 5, 5, 5)
    mask = line(1, 0, 0, 0) > 0
    alone = [fast([one], [mask]) for one in (first, second)]
    assert alone == [1.0, 1.0]
    assert fast([first, second], [mask, mask]) == pytest.approx(0.5)


def test_normal_images_take_part_in_the_false_positive_rate() -> None:
    defect, normal = line(1, 0, 0, 0), line(2, 2, 2, 2)
    mask = line(1, 0, 0, 0) > 0
    assert fast([defect, normal], [mask, np.zeros_like(mask)]) == 0.0


def areas(mask: np.ndarray, roi: np.ndarray | None = None) -> list[int]:
    return region_areas(mask, np.ones_like(mask) if roi is None else roi).tolist()


def test_corners_connect_a_region() -> None:
    assert areas(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]) > 0) == [3, 3, 3]


def test_areas_follow_the_order_of_the_mask_pixels() -> None:
    mask = np.array([[1, 0, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 0, 0, 1]]) > 0
    assert areas(mask) == [1, 3, 3, 3, 2, 2, 1]


def test_one_pixel_and_border_defects_are_regions_like_any_other() -> None:
    mask = np.zeros((4, 6), bool)
    mask[0, 0] = mask[3, 5] = True
    mask[0:4, 2] = True
    assert areas(mask) == [1, 4, 4, 4, 4, 1]


def test_opposite_borders_do_not_touch() -> None:
    mask = np.zeros((3, 5), bool)
    mask[:, [0, 4]] = True
    assert areas(mask) == [3] * 6


def test_a_region_is_clipped_to_the_roi() -> None:
    mask = np.array([[1, 1, 1, 0, 1]]) > 0
    assert areas(mask, np.array([[0, 1, 1, 1, 1]]) > 0) == [2, 2, 1]
    assert areas(mask, np.array([[0, 0, 0, 1, 0]]) > 0) == []


def test_a_region_that_the_roi_cuts_in_two_remains_one() -> None:
    assert areas(np.array([[1, 1, 1]]) > 0, np.array([[1, 0, 1]]) > 0) == [2, 2]


def test_no_defect_has_no_areas() -> None:
    assert areas(np.zeros((2, 3), bool)) == []
