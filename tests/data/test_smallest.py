"""The smallest defect: worked cases, and that what is proposed makes it large enough."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.config import make_config
from snlad.data.smallest import LARGEST_INPUT, LEAST_PX, find_smallest


def test_a_defect_that_is_large_enough_needs_no_change():
    found = find_smallest("nut", [(512, 512), (100, 100)], 8)
    assert (found.size, found.at_input_px, found.is_seen) == ((512, 512), 4.0, True)
    assert found.sentence() == "'nut': 8 px of 512 x 512 are 4 px at network input, enough (4 px)"


def test_a_somewhat_larger_input_is_proposed_where_it_is_enough():
    found = find_smallest("nut", [(480, 640)], 6)
    assert found.at_input_px == pytest.approx(2.4)
    assert found.input_size == (320, 448)  # 4/6 of 480 and of 640, in multiples of 32
    assert found.sentence().endswith("train with image_size = [320, 448] in the configuration")


def test_a_tile_is_proposed_for_a_large_picture():
    found = find_smallest("board", [(3000, 4000), (9000, 12000)], 3)
    assert found.size == (9000, 12000)
    assert found.at_input_px == pytest.approx(0.064)
    assert found.tile == 192  # 3 px of 192 are 4 of 256
    assert found.sentence() == (
        "'board': 3 px of 9000 x 12000 are 0.064 px at network input, 4 px are needed: "
        "train with --tile 192 --overlap 48"
    )


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 20000), st.integers(1, 20000), st.integers(1, 300))
def test_what_is_proposed_is_enough_and_a_valid_setting(height, width, defect_px):
    found = find_smallest("a", [(height, width)], defect_px)
    if found.is_seen:
        assert min(256 * defect_px / height, 256 * defect_px / width) >= LEAST_PX
    elif max(found.input_size) <= LARGEST_INPUT:
        config = make_config(image_size=found.input_size)
        for new, old in zip(config.image_size, (height, width), strict=True):
            assert defect_px * new / old >= LEAST_PX
    else:
        tiling = make_config(tiles={"size": found.tile}).tiling
        assert defect_px * 256 / tiling.size >= LEAST_PX
        assert tiling.overlap >= defect_px  # so that one tile shows the whole of it
        assert tiling.size < max(height, width)


def test_the_check_says_it_of_each_class(snlad, shared_data):
    code, out, _ = snlad("data", "check", shared_data, "--min-defect-px", "1", "--quiet")
    assert code == 0
    assert "'dark': 1 px of 48 x 48 are 5.3 px at network input, enough (4 px)" in out
    assert "'grey': 1 px of 48 x 48" in out
    assert "at network input" not in snlad("data", "check", shared_data, "--quiet")[1]


def test_the_check_says_it_in_json(snlad, shared_data):
    words = ("--min-defect-px", "2", "--json", "--quiet")
    rows = json.loads(snlad("data", "check", shared_data, *words)[1])["smallest"]
    assert [row["class_name"] for row in rows] == ["dark", "grey"]
    assert rows[0]["defect_px"] == 2
    assert rows[0]["size"] == [48, 48]


def test_a_defect_of_no_pixel_is_wrong_use(snlad, shared_data):
    assert snlad("data", "check", shared_data, "--min-defect-px", "0")[0] == 2
