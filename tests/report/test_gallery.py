"""Pictures of a report: small, honest about what is missing, on one scale tied to the threshold."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from snlad.report.gallery import (
    SIDE_PX,
    Entry,
    color_legend,
    entries_table,
    explain_colours,
    show_map,
    show_picture,
    show_truth,
    shrink,
    threshold_scale,
)
from snlad.report.html import Html, element
from snlad.report.overlay import HEAT

RANDOM = np.random.default_rng(0)


def pixels(shown: Html, read_page) -> np.ndarray:
    """The picture in an ``img``, as a browser would show it."""
    (found,) = read_page(shown.markup).all("img")
    data = base64.b64decode(str(found["src"]).partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))


def entry(**changed) -> Entry:
    row = {"path": "a/0.png", "class_name": "a", "defect_type": "hole", "score": 1.5}
    return Entry(**(row | changed))


def test_the_threshold_lies_in_the_middle_of_the_colours():
    assert threshold_scale((1.0, 9.0), 3.0) == (1.0, 5.0)
    assert threshold_scale((1.0, 9.0), None) == (1.0, 9.0)


def test_a_threshold_below_normal_maps_still_lies_in_the_middle():
    """As for a class whose maps are much lower than those of the others."""
    assert threshold_scale((1.0, 9.0), 0.5) == (-3.5, 4.5)
    assert threshold_scale((1.0, 9.0), 1.0) == (-3.0, 5.0)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_every_scale_rises_around_its_threshold(low, width, threshold):
    start, end = threshold_scale((low, low + width), threshold)
    assert start < threshold < end
    assert (start + end) / 2 == pytest.approx(threshold, abs=1e-9)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((100, 200), (100, 200)),
        ((512, 256), (256, 128)),
        ((300, 4000), (19, 256)),
        ((1, 5000), (1, 256)),
        ((5000, 1), (256, 1)),
    ],
)
def test_a_picture_is_shrunk_to_the_side_and_never_enlarged(before, after):
    small = shrink(np.zeros((*before, 3), np.uint8))
    assert small.shape == (*after, 3)
    assert max(small.shape[:2]) <= SIDE_PX


def test_a_picture_is_shown_in_its_colours(read_page):
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 0] = 200
    shown = pixels(show_picture(red, "x"), read_page)
    assert shown.shape == red.shape
    assert np.abs(shown.astype(int) - red).max() < 8


def test_ground_truth_is_white_on_black_and_exact(read_page):
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:60] = True
    shown = pixels(show_truth(mask, (20, 30), "x"), read_page)
    expected = np.zeros((20, 30), np.uint8)
    expected[5:10, 15:30] = 255
    np.testing.assert_array_equal(shown, expected)


def test_one_colour_means_at_the_threshold_in_every_model(read_page):
    """Two models whose maps differ by scale and offset, each at its own threshold."""
    grey = np.full((64, 64, 3), 128, np.uint8)
    shown = []
    for factor, offset, threshold in ((1.0, 0.0, 2.0), (50.0, 7.0, 107.0)):
        anomaly_map = np.full((256, 256), 2.0 * factor + offset, np.float32)
        scale = threshold_scale((offset, 1e4), threshold)
        shown.append(pixels(show_map(grey, anomaly_map, scale, None, "x"), read_page))
    assert np.abs(shown[0].astype(int) - shown[1]).max() <= 2
    middle = shown[0][32, 32].astype(int)
    assert np.abs(middle - (128 + 0.75 * 0.5**0.5 * (HEAT[2] - 128))).max() < 8


def test_outside_an_inspection_mask_a_map_has_no_colour(read_page):
    grey = np.full((64, 64, 3), 128, np.uint8)
    hot = np.full((256, 256), 9.0, np.float32)
    roi = np.zeros((10, 10), bool)
    roi[:, 5:] = True
    shown = pixels(show_map(grey, hot, (0.0, 1.0), roi, "x"), read_page).astype(int)
    assert np.abs(shown[:, :20] - 128).max() < 12
    assert shown[32, 50, 0] - shown[32, 50, 1] > 50


def test_the_legend_marks_the_middle(read_page):
    found = read_page(color_legend().markup)
    strip = pixels(Html(color_legend().markup.partition("<span")[0] + "</div>"), read_page)
    middle = strip.shape[1] // 2
    assert strip[:, middle].max() == 0
    assert strip[:, middle - 10].min() > 0
    assert "pixel threshold" in found.text


def test_the_legend_is_explained_and_a_model_without_threshold_named(read_page):
    told = read_page(element("div", *explain_colours([])).markup).text
    assert "tied to the threshold" in told
    assert "not calibrated" not in told
    told = read_page(element("div", *explain_colours(["map, <rd>"])).markup).text
    assert "“map, <rd>” is not calibrated" in told
    assert "marks no threshold" in told


def test_an_entry_says_what_it_is_and_how_it_was_judged(read_page):
    known = entry(threshold=1.4, rank=0.975, baseline_rank=0.5)
    other = entry(path="b.png", threshold=1.6, rank=None)
    found = read_page(entries_table("Some", [known, other, entry()], ()).markup)
    assert found.tables["Some"] == [
        ["class and file", "score", "normals below"],
        ["a hole a/0.png", "1.5 threshold 1.4 called NG", "97.5 % baseline 50.0 %"],
        ["a hole b.png", "1.5 threshold 1.6 called OK", "-"],
        ["a hole a/0.png", "1.5", "-"],
    ]


def test_a_score_at_the_threshold_is_ok(read_page):
    rows = read_page(entries_table("Some", [entry(threshold=1.5)], ()).markup).tables["Some"]
    assert "called OK" in rows[1][1]


def test_views_stand_under_their_headings(read_page):
    one = element("img", src="data:image/png;base64,", alt="x")
    entries = [
        entry(views={"picture": one, "ground truth": one, "map": one}),
        entry(views={"picture": one, "map": one}),
        entry(problem="a/0.png was <changed>"),
    ]
    heads = ("picture", "ground truth", "map")
    rows = read_page(entries_table("Some", entries, heads).markup).tables["Some"]
    assert rows[0][3:] == list(heads)
    assert rows[1][3:] == [" <img>", " <img>", " <img>"]
    assert rows[2][3:] == [" <img>", "-", " <img>"]
    assert rows[3][3:] == ["a/0.png was <changed>", "-", "-"]


def test_a_heading_of_nothing_is_left_out(read_page):
    """Normal pictures have no ground truth; where nothing can be shown the reasons still stand."""
    one = element("img", src="data:image/png;base64,", alt="x")
    heads = ("picture", "ground truth", "map")
    rows = read_page(
        entries_table("Some", [entry(views={"picture": one, "map": one})], heads).markup
    ).tables["Some"]
    assert rows[0][3:] == ["picture", "map"]
    rows = read_page(entries_table("Some", [entry(problem="gone")], heads).markup).tables["Some"]
    assert [row[3:] for row in rows] == [["picture"], ["gone"]]


def test_the_noisiest_pictures_of_a_full_report_stay_small():
    """15 classes compared with a baseline: 12 misses, 12 alarms, 15 picks, 8 gains and 8 losses."""
    noise = RANDOM.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    hot = RANDOM.random((256, 256), dtype=np.float32)
    mask = RANDOM.random((SIDE_PX, SIDE_PX)) > 0.5
    picture = len(show_picture(noise, "x").markup)
    truth = len(show_truth(mask, (SIDE_PX, SIDE_PX), "x").markup)
    heat = len(show_map(noise, hot, (0.0, 1.0), None, "x").markup)
    assert 55 * (picture + 2 * heat) + 43 * truth < 10e6
