from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from snlad.data.masks import fit_mask, read_mask, read_values, resize_nearest
from snlad.errors import ImageError


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(picture: Image.Image | np.ndarray, name: str = "mask.png") -> Path:
        path = tmp_path / name
        (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(path)
        return path

    return write


Save = Callable[..., Path]


def test_more_than_half_of_255_is_defect(save: Save) -> None:
    mask = read_mask(save(np.array([[0, 127, 128, 255]], np.uint8)))
    assert mask.tolist() == [[False, False, True, True]]
    assert mask.dtype == np.bool_


def test_more_than_half_of_65535_is_defect(save: Save) -> None:
    mask = read_mask(save(np.array([[0, 32767, 32768, 65535]], np.uint16)))
    assert mask.tolist() == [[False, False, True, True]]


def test_a_float_mask_is_cut_at_one_half(save: Save) -> None:
    mask = read_mask(save(np.array([[0.0, 0.5, 0.51, 1.0]], np.float32), "mask.tiff"))
    assert mask.tolist() == [[False, False, True, True]]


def test_a_one_bit_mask_is_itself(save: Save) -> None:
    bits = np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(read_mask(save(bits)), bits)


def test_any_colour_channel_marks_a_defect(save: Save) -> None:
    rgb = np.array([[[0, 0, 0], [255, 0, 0], [0, 200, 0], [0, 0, 129], [90, 90, 90]]], np.uint8)
    assert read_mask(save(rgb)).tolist() == [[False, True, True, True, False]]


def test_transparency_marks_nothing_and_hides_nothing(save: Save) -> None:
    rgba = np.array([[[0, 0, 0, 255], [255, 255, 255, 0]]], np.uint8)
    assert read_mask(save(rgba)).tolist() == [[False, True]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_in_a_label_mask_every_value_above_0_is_defect(save: Save, dtype: type) -> None:
    # VisA as published marks defects with 1, 2, 3, ...; a plain cut at half would empty it
    assert read_mask(save(np.array([[0, 1, 2, 15]], dtype))).tolist() == [[False, True, True, True]]


def test_a_faint_mask_is_no_label_mask(save: Save) -> None:
    assert not read_mask(save(np.array([[0, 1, 16]], np.uint8))).any()


def test_in_a_palette_every_colour_but_black_is_defect(save: Save) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 255, 255, 0, 0, 0, 64, 0, 0])  # black has the index 1
    for x in range(3):
        picture.putpixel((x, 0), x)
    assert read_mask(save(picture)).tolist() == [[True, False, True]]


def test_an_empty_mask_stays_empty(save: Save) -> None:
    assert not read_mask(save(np.zeros((4, 5), np.uint8))).any()


def test_values_come_with_the_top_of_their_range(save: Save) -> None:
    values, top = read_values(save(np.array([[0, 7, 255]], np.uint8)))
    assert values.tolist() == [[0, 7, 255]]
    assert top == 255


# A stored mask comes as bytes; the rules are the same, and an error names what it is called.
def test_bytes_are_read_as_the_file_they_came_from(save: Save) -> None:
    path = save(np.array([[0, 127, 128, 255]], np.uint8))
    np.testing.assert_array_equal(read_mask(path.read_bytes()), read_mask(path))
    with pytest.raises(ImageError, match="'my mask' is empty"):
        read_mask(b"", "my mask")
    with pytest.raises(ImageError, match="'<bytes>' is empty"):
        read_mask(b"")


def test_an_unreadable_mask_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken_mask.png"
    path.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"broken_mask\.png"):
        read_mask(path)


# Fitting to a size


def test_nearest_takes_the_value_at_each_new_center() -> None:
    mask = np.array([[0, 0, 0, 1]], bool)
    assert resize_nearest(mask, (1, 2)).tolist() == [[False, True]]  # centers 1.0 and 3.0
    assert resize_nearest(mask, (2, 8))[1].tolist() == [False] * 6 + [True] * 2


def test_nearest_agrees_with_pillow() -> None:
    mask = np.random.default_rng(0).random((37, 53)) > 0.5
    for size in ((16, 16), (64, 90), (37, 20)):
        picture = Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST)
        np.testing.assert_array_equal(resize_nearest(mask, size), np.asarray(picture))


def test_a_mask_that_would_be_emptied_keeps_the_pixel_at_its_centroid() -> None:
    mask = np.zeros((100, 100), bool)
    mask[77, 23] = True  # not at any of the ten centers a side
    fitted, kept = fit_mask(mask, (10, 10))
    assert kept
    assert np.argwhere(fitted).tolist() == [[7, 2]]


# A pixel of 4 x 4 is the mean of about 2 x 2 under a bilinear filter.
def test_published_rules_ask_for_any_or_half_of_a_bilinear_pixel() -> None:
    mask = np.zeros((8, 12), bool)
    mask[2:4, 4:6] = True  # fills one pixel, touches its neighbours
    mask[7, 11] = True  # a quarter of one
    half, kept = fit_mask(mask, (4, 6), "half")
    assert np.argwhere(half).tolist() == [[1, 2]]
    assert not kept
    touched, _ = fit_mask(mask, (4, 6), "any")
    assert np.argwhere(touched).tolist() == [[r, c] for r in (0, 1, 2) for c in (1, 2, 3)] + [
        [3, 5]
    ]
    assert not fit_mask(np.eye(64) > 0, (2, 2), "half")[0].any()  # emptied, as in their tables


def test_a_defect_in_the_last_corner_is_kept_inside() -> None:
    mask = np.zeros((100, 300), bool)
    mask[99, 299] = True
    fitted, kept = fit_mask(mask, (10, 10))
    assert kept
    assert fitted[9, 9]


def test_a_mask_that_survives_is_not_touched() -> None:
    mask = np.zeros((8, 8), bool)
    mask[2:6, 2:6] = True
    fitted, kept = fit_mask(mask, (4, 4))
    assert not kept
    np.testing.assert_array_equal(fitted, mask[::2, ::2])


def test_an_empty_mask_is_not_kept() -> None:
    fitted, kept = fit_mask(np.zeros((8, 8), bool), (3, 5))
    assert fitted.shape == (3, 5)
    assert not fitted.any()
    assert not kept


def test_fitting_leaves_the_given_mask_alone() -> None:
    mask = np.zeros((9, 9), bool)
    mask[0, 0] = True
    before = mask.copy()
    fit_mask(mask, (9, 9))[0][:] = True
    fit_mask(mask, (2, 2))
    np.testing.assert_array_equal(mask, before)


@settings(deadline=None, derandomize=True)
@given(st.data())
def test_no_defect_is_ever_lost_by_fitting(data: st.DataObject) -> None:
    size = st.tuples(st.integers(1, 40), st.integers(1, 40))
    mask = np.zeros(data.draw(size), bool)
    mask[tuple(data.draw(st.integers(0, side - 1)) for side in mask.shape)] = True
    fitted, _ = fit_mask(mask, data.draw(size))
    assert fitted.any()
