"""Overlays: one colour scale, the picture's own size, the region drawn, maps kept exactly."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.random import default_rng
from PIL import Image

from snlad.errors import UsageError
from snlad.report import overlay as drawing
from snlad.report.overlay import (
    HEAT,
    MAX_OPACITY,
    ROI_COLOUR,
    Map,
    Mask,
    Picture,
    contact_sheet,
    write_tiff,
)


def overlay(image: Picture, anomaly_map: Map, low: float, high: float, roi=None) -> Picture:
    """The drawn pixels, which a test may change."""
    return np.array(drawing.overlay(image, anomaly_map, low, high, roi))


def grey(level: int, size: tuple[int, int] = (40, 60)) -> Picture:
    return np.full((*size, 3), level, dtype=np.uint8)


def flat(value: float, size: tuple[int, int] = (8, 8)) -> Map:
    return np.full(size, value, dtype=np.float32)


def box(size: tuple[int, int], top: int, left: int, bottom: int, right: int) -> Mask:
    mask = np.zeros(size, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


# -- overlay


def test_an_overlay_has_the_pictures_size_and_type() -> None:
    result = overlay(grey(100, (37, 53)), flat(0.5), 0, 1)
    assert result.shape == (37, 53, 3)
    assert result.dtype == np.uint8


@pytest.mark.parametrize("value", [-5.0, 0.0, 1.0])
def test_at_low_and_below_the_picture_shows_in_grey(value: float) -> None:
    image = default_rng(0).integers(0, 256, size=(20, 30, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).convert("L"))
    result = overlay(image, flat(value), 1.0, 2.0)
    for channel in range(3):
        np.testing.assert_array_equal(result[..., channel], expected)


@pytest.mark.parametrize("value", [2.0, 50.0])
def test_at_high_and_above_the_hottest_colour_lies_on_the_picture(value: float) -> None:
    result = overlay(grey(100), flat(value), 1.0, 2.0)
    hottest = np.rint(100 + MAX_OPACITY * (HEAT[-1] - 100))
    assert (result == hottest).all()


def test_half_way_is_worked_by_hand() -> None:
    # heat 1/4 lies on the second of five anchors, opacity 0.75 * sqrt(1/4)
    result = overlay(grey(200), flat(0.25), 0, 1)
    expected = np.rint(200 + 0.375 * (np.array([254, 178, 76]) - 200))
    assert (result == expected).all()


def test_the_same_value_has_the_same_colour_in_every_picture() -> None:
    # no stretch by picture: a quiet map next to a hot one keeps its colours
    quiet, hot = flat(0.2), flat(0.2)
    hot[0, 0] = 9
    one, other = overlay(grey(90), quiet, 0, 1), overlay(grey(90), hot, 0, 1)
    np.testing.assert_array_equal(one[20:, 20:], other[20:, 20:])
    assert (one[0, 0] != other[0, 0]).any()


@pytest.mark.parametrize("level", [0, 100, 230])
def test_hotter_is_never_mistaken_for_colder(level: int) -> None:
    # along the scale green only falls once the heat covers the picture, and colours never repeat
    ramp = np.linspace(0, 1, 60, dtype=np.float32)[None].repeat(40, axis=0)
    row = overlay(grey(level), ramp, 0, 1)[20].astype(int)
    assert len({tuple(colour) for colour in row.tolist()}) > 50
    assert (np.diff(row[20:, 1]) <= 0).all()


def test_the_colour_scale_darkens_steadily() -> None:
    luminance = HEAT @ [0.299, 0.587, 0.114]
    assert (np.diff(luminance) < -25).all()


def test_the_picture_stays_visible_under_the_heat() -> None:
    image = np.where(np.arange(60)[None, :, None] % 20 < 10, 40, 200).astype(np.uint8)
    result = overlay(np.broadcast_to(image, (40, 60, 3)).copy(), flat(1), 0, 1).astype(int)
    assert np.ptp(result[..., 0]) == pytest.approx(160 * (1 - MAX_OPACITY), abs=1)


def test_the_picture_and_the_map_are_left_alone() -> None:
    image, anomaly_map, roi = grey(10), flat(3), box((40, 60), 5, 5, 20, 20)
    overlay(image, anomaly_map, 0, 1, roi)
    assert (image == 10).all()
    assert (anomaly_map == 3).all()
    assert roi.sum() == 15 * 15


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0)])
def test_an_empty_colour_scale_is_refused_with_its_ends(low: float, high: float) -> None:
    with pytest.raises(UsageError, match=rf"{low} to {high} is empty: give low below high"):
        overlay(grey(0), flat(0), low, high)


# -- region of interest


def test_outside_the_region_there_is_no_heat() -> None:
    roi = box((40, 60), 10, 10, 30, 40)
    result = overlay(grey(77), flat(9), 0, 1, roi)
    assert (result[~roi] == 77).all()


def test_the_regions_inner_edge_is_drawn_and_its_inside_is_hot() -> None:
    roi = box((40, 60), 10, 10, 30, 40)
    result = overlay(grey(77), flat(9), 0, 1, roi)
    line = (result == ROI_COLOUR).all(axis=2)
    np.testing.assert_array_equal(line, roi & ~box((40, 60), 11, 11, 29, 39))
    without = overlay(grey(77), flat(9), 0, 1)
    np.testing.assert_array_equal(result[11:29, 11:39], without[11:29, 11:39])


def test_the_line_is_wider_on_a_large_picture() -> None:
    size = (1024, 1024)
    result = overlay(grey(0, size), flat(0), 0, 1, box(size, 100, 100, 900, 900))
    assert (result[500] == ROI_COLOUR).all(axis=1).sum() == 2 * 4


def test_a_region_with_a_hole_has_two_lines() -> None:
    roi = box((40, 60), 5, 5, 35, 55) & ~box((40, 60), 15, 20, 25, 40)
    line = (overlay(grey(0), flat(0), 0, 1, roi) == ROI_COLOUR).all(axis=2)
    assert np.flatnonzero(line[20]).tolist() == [5, 19, 40, 54]


def test_a_region_over_the_whole_picture_draws_no_line() -> None:
    everything = np.ones((40, 60), dtype=bool)
    np.testing.assert_array_equal(
        overlay(grey(50), flat(0.5), 0, 1, everything), overlay(grey(50), flat(0.5), 0, 1)
    )


# -- raw maps


def test_a_tiff_keeps_every_value_for_pillow_and_tifffile(tmp_path: Path) -> None:
    path = tmp_path / "a map.tiff"
    anomaly_map = (default_rng(0).normal(size=(13, 17)) * 1e-3).astype(np.float32)
    write_tiff(path, anomaly_map)
    with Image.open(path) as picture:
        assert picture.mode == "F"
        np.testing.assert_array_equal(np.asarray(picture), anomaly_map)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 1
        page = tiff.pages[0].asarray()
    assert page.dtype == np.float32
    np.testing.assert_array_equal(page, anomaly_map)


def test_a_map_that_is_not_contiguous_is_written_right(tmp_path: Path) -> None:
    anomaly_map = default_rng(0).normal(size=(10, 12)).astype(np.float32)
    write_tiff(tmp_path / "map.tiff", anomaly_map[::2].T)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "map.tiff"), anomaly_map[::2].T)


# -- contact sheet


def test_a_sheet_holds_a_cell_for_each_picture() -> None:
    rows = [[grey(10), grey(20), grey(30)], [grey(40), grey(50), grey(60)]]
    sheet = contact_sheet(rows, ["a", "b", "c"], cell_px=60)
    assert sheet.shape == (18 + 2 * 60 + 4, 3 * 60 + 2 * 4, 3)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            assert (sheet[18 + row * 64 + 20, column * 64 + 30] == picture[0, 0]).all()


def test_a_sheet_keeps_the_shape_of_a_picture() -> None:
    sheet = contact_sheet([[grey(0, (30, 60))]], ["wide"], cell_px=100)
    dark = (sheet[18:] == 0).all(axis=2)
    assert dark.sum() == 50 * 100


def test_a_sheet_takes_masks_and_enlarges_small_pictures() -> None:
    mask = np.full((5, 5), 255, dtype=np.uint8)
    mask[:, :2] = 0
    sheet = contact_sheet([[mask]], ["truth"], cell_px=50)
    assert (sheet[18 + 25, 5] == 0).all()
    assert (sheet[18 + 25, 45] == 255).all()


def test_captions_are_written_above_their_columns() -> None:
    named = contact_sheet([[grey(9), grey(9)]], ["picture", ""], cell_px=80)
    plain = contact_sheet([[grey(9), grey(9)]], ["", ""], cell_px=80)
    changed = (named != plain).any(axis=2)
    assert changed[:18, :80].any()
    assert not changed[18:].any()
    assert not changed[:, 80:].any()


# Strips bound the memory and must not show.
@pytest.mark.parametrize("size", [(41, 60), (97, 33), (300, 500)])
def test_strips_draw_what_one_piece_draws(size, monkeypatch: pytest.MonkeyPatch) -> None:
    random = default_rng(0)
    image = random.integers(0, 256, (*size, 3), np.uint8)
    anomaly_map = random.random((16, 16), np.float32)
    roi = box(size, 3, 4, size[0] - 5, size[1] - 6)
    whole = overlay(image, anomaly_map, 0.2, 0.9, roi)
    monkeypatch.setattr("snlad.report.overlay.STRIP_PIXELS", 7 * size[1])
    np.testing.assert_array_equal(overlay(image, anomaly_map, 0.2, 0.9, roi), whole)
    monkeypatch.setattr("snlad.report.overlay.STRIP_PIXELS", 1)
    np.testing.assert_array_equal(overlay(image, anomaly_map, 0.2, 0.9, roi), whole)
