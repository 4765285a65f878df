"""Tiles: where they lie, that they cover all, and that their maps join to one without a step."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from snlad.data.tiles import MAX_CANVAS, Canvas, Tiling, cut

SIDES = st.integers(1, 150)


def join(plan, maps) -> np.ndarray:
    canvas = Canvas(plan)
    for one in maps:
        canvas.add(one)
    return canvas.map


def shared(starts, side) -> list[int]:
    return [before + side - start for before, start in pairwise(starts)]


# -- where they lie


def test_tiles_go_row_by_row_and_the_last_is_flush_with_the_border() -> None:
    plan = Tiling(40, 10).plan((100, 75))
    assert plan.canvas == (100, 75)
    assert plan.rows == (0, 30, 60)
    assert plan.columns == (0, 30, 35)
    assert plan.boxes[:4] == ((0, 0, 40, 40), (0, 30, 40, 70), (0, 35, 40, 75), (30, 0, 70, 40))
    assert plan.boxes[-1] == (60, 35, 100, 75)
    assert plan.middle == (30, 30, 70, 70)


def test_a_side_that_is_shorter_than_a_tile_is_taken_whole() -> None:
    plan = Tiling(64, 16).plan((40, 100))
    assert plan.boxes == ((0, 0, 40, 64), (0, 36, 40, 100))
    assert Tiling(64, 16).plan((10, 20)).boxes == ((0, 0, 10, 20),)


def test_a_picture_of_the_size_of_a_tile_is_one() -> None:
    assert Tiling(64, 16).plan((64, 64)).boxes == ((0, 0, 64, 64),)


def test_the_canvas_is_as_fine_as_the_map_of_a_tile() -> None:
    plan = Tiling(512, 64).plan((1000, 1501))
    assert plan.canvas == (500, 750)
    assert plan.tile == (256, 256)
    assert plan.boxes[0] == (0, 0, 512, 512)
    assert plan.columns[1] == 256 - 32
    assert plan.boxes[1][1:4:2] == (448, 961)  # 448.3 and 960.6: half a pixel at most
    assert plan.boxes[-1][2:] == (1000, 1501)


def test_the_canvas_is_never_finer_than_the_picture() -> None:
    plan = Tiling(32, 8).plan((100, 100))
    assert (plan.canvas, plan.tile) == ((100, 100), (32, 32))


def test_the_canvas_of_the_largest_picture_is_bounded() -> None:
    plan = Tiling(256, 32).plan((9000, 12000))
    assert math.prod(plan.canvas) <= MAX_CANVAS * 1.001
    assert plan.tile == (101, 101)
    assert plan.boxes[-1][2:] == (9000, 12000)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(SIDES, SIDES, st.integers(16, 64), st.data())
def test_tiles_cover_the_picture_and_neighbours_share_the_overlap(height, width, size, data):
    overlap = data.draw(st.integers(0, size // 2))
    plan = Tiling(size, overlap).plan((height, width))
    covered = np.zeros((height, width), int)
    for box in plan.boxes:
        cut(covered, box)[:] += 1
        top, left, bottom, right = box
        assert (bottom - top, right - left) == (min(size, height), min(size, width))
    assert covered.min() == 1
    for starts in (plan.rows, plan.columns):
        between = shared(starts, size)
        assert all(pixels >= overlap for pixels in between)
        assert all(pixels == overlap for pixels in between[:-1])


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.integers(1, 30000), st.integers(1, 30000), st.integers(16, 4096), st.data())
def test_tiles_of_any_picture_cover_it_in_order(height, width, size, data):
    overlap = data.draw(st.integers(0, size // 2))
    plan = Tiling(size, overlap).plan((height, width))
    for starts, side, canvas in zip((plan.rows, plan.columns), plan.tile, plan.canvas, strict=True):
        assert all(a < b <= a + side for a, b in pairwise(starts))
        assert (starts[0], starts[-1] + side) == (0, canvas)
    assert plan.boxes[0][:2] == (0, 0)
    assert plan.boxes[-1][2:] == (height, width)


# -- one map of all


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.integers(20, 150), st.integers(20, 150), st.integers(16, 64), st.data())
def test_what_looks_less_far_than_the_overlap_gives_the_map_of_the_whole(height, width, size, data):
    """A stub of receptive field 2 reach + 1, which sees a border where its tile ends."""
    overlap = data.draw(st.integers(2, size // 2))
    field = 2 * data.draw(st.integers(0, (overlap - 2) // 2)) + 1
    assert field < overlap
    picture = np.random.default_rng(height).normal(size=(height, width)).astype(np.float32)
    stub = lambda x: ndimage.uniform_filter(x, field, mode="reflect") * field**2  # noqa: E731
    plan = Tiling(size, overlap).plan((height, width))
    joined = join(plan, (stub(cut(picture, box)) for box in plan.boxes))
    np.testing.assert_allclose(joined, stub(picture), atol=1e-5 * max(1, field))


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(20, 150), st.integers(20, 150), st.integers(16, 64), st.data())
def test_joining_has_weights_of_sum_one(height, width, size, data):
    plan = Tiling(size, data.draw(st.integers(0, size // 2))).plan((height, width))
    joined = join(plan, (np.full(plan.tile, 3.0, np.float32) for _ in plan.boxes))
    np.testing.assert_allclose(joined, 3.0, rtol=1e-6)


def test_a_difference_fades_from_the_middle_to_the_ends_of_the_overlap():
    # 8 columns, of which the neighbours of 6 share 4: they meet before column 4
    plan = Tiling(16, 8).plan((16, 24))
    low, high = np.zeros((16, 16), np.float32), np.ones((16, 16), np.float32)
    joined = join(plan, [low, high])[0]
    assert (joined[:8] == 0).all()
    np.testing.assert_allclose(joined[8:12], [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(joined[12:16], [0.5, 0.625, 0.75, 0.875])
    assert (joined[16:] == 1).all()


def test_without_overlap_tiles_stand_side_by_side():
    plan = Tiling(16, 0).plan((16, 32))
    joined = join(plan, [np.zeros((16, 16), np.float32), np.ones((16, 16), np.float32)])
    assert (joined[:, :16] == 0).all()
    assert (joined[:, 16:] == 1).all()


def test_maps_of_another_size_are_stretched_to_their_tile():
    plan = Tiling(32, 8).plan((32, 56))
    joined = join(plan, [np.full((256, 256), 2.0, np.float32)] * 2)
    assert joined.shape == (32, 56)
    np.testing.assert_allclose(joined, 2.0, rtol=1e-6)


@pytest.mark.parametrize("overlap", [8, 16, 32])
def test_the_joined_map_has_no_step_where_tiles_meet(overlap):
    """Every tile off by a constant of its own: a step of the size of the difference otherwise."""
    rng = np.random.default_rng(0)
    plan = Tiling(64, overlap).plan((200, 200))
    offsets = rng.normal(size=len(plan.boxes))
    joined = join(plan, (np.full((64, 64), x, np.float32) for x in offsets))
    largest = np.ptp(offsets)
    for axis in (0, 1):
        assert np.abs(np.diff(joined, axis=axis)).max() < 2 * largest / overlap
