import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snlad.data.roi import FittedRois, blank_outside, fit_roi, parse_rois, read_roi, seen_part
from snlad.errors import DataError, ImageError, UsageError


def test_each_option_gives_the_mask_of_one_class(
    tmp_path: Path, paint_mask: Callable[..., Path]
) -> None:
    paths = [paint_mask(tmp_path / f"{name}.png", (12, 18)) for name in ("a", "b = c")]
    rois = parse_rois([f"bolt={paths[0]}", f"große Mutter={paths[1]}"])
    assert list(rois) == ["bolt", "große Mutter"]
    assert rois["bolt"].shape == (12, 18)
    assert rois["bolt"].dtype == np.bool_
    assert 0 < rois["bolt"].sum() < 12 * 18


def test_no_option_gives_no_mask() -> None:
    assert parse_rois([]) == {}


@pytest.mark.parametrize("option", ["", "bolt", "bolt=", "=mask.png", "="])
def test_an_option_of_another_form_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match=r"NAME=mask\.png"):
        parse_rois([option])


def test_a_class_named_twice_is_refused(tmp_path: Path, paint_mask: Callable[..., Path]) -> None:
    path = paint_mask(tmp_path / "m.png")
    with pytest.raises(UsageError, match="'bolt' twice"):
        parse_rois([f"bolt={path}", f"bolt={path}"])


def test_an_unreadable_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png"):
        parse_rois([f"bolt={tmp_path / 'gone.png'}"])


def test_a_mask_that_inspects_nothing_is_refused(
    tmp_path: Path, paint_mask: Callable[..., Path]
) -> None:
    path = paint_mask(tmp_path / "black.png", value=0)
    with pytest.raises(DataError, match=r"black\.png' is empty"):
        parse_rois([f"bolt={path}"])


# Training would fit the mask at its very end; the user must hear of it before the start.
@pytest.mark.parametrize("size", [(3000, 4000), (256, 4000), (1, 1000)])
def test_a_mask_that_vanishes_at_the_size_of_the_maps_is_refused_and_named(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    pixels = np.zeros(size, np.uint8)
    pixels[0, 0] = 255  # no pixel of 256 x 256 has its centre there
    Image.fromarray(pixels).save(tmp_path / "dot.png")
    with pytest.raises(DataError) as caught:
        parse_rois([f"bolt={tmp_path / 'dot.png'}"])
    assert str(caught.value) == (
        f"{str(tmp_path / 'dot.png')!r}: "
        "an inspection mask has no pixel left at 256 x 256; enlarge it"
    )


def test_one_pixel_that_stays_at_the_size_of_the_maps_is_enough(tmp_path: Path) -> None:
    pixels = np.zeros((256, 256), np.uint8)
    pixels[7, 9] = 255
    Image.fromarray(pixels).save(tmp_path / "dot.png")
    assert parse_rois([f"bolt={tmp_path / 'dot.png'}"])["bolt"].sum() == 1


def stored(pixels: np.ndarray, form: str = "PNG") -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_stored_mask_is_read_as_it_was_written(share: float) -> None:
    roi = np.random.default_rng(0).random((11, 17)) < share
    read = read_roi(stored(roi.astype(np.uint8) * 255), "roi_0.png")
    assert read.dtype == np.bool_
    np.testing.assert_array_equal(read, roi)


# A model folder may come from anyone: its mask is read under the rules of every other picture.
@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "'roi_0.png' is no PNG"),
        (b"GIF89a", "'roi_0.png' is no PNG"),
        (stored(np.zeros((4, 4), np.uint8), "TIFF"), "'roi_0.png' is no PNG"),
        (stored(np.zeros((40, 40), np.uint8))[:50], "'roi_0.png' cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 30, "'roi_0.png' cannot be decoded"),
    ],
    ids=["empty", "another format", "a whole TIFF", "cut short", "a header alone"],
)
def test_a_stored_mask_that_is_none_is_one_error_that_names_it(data: bytes, sentence: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_roi(data, "roi_0.png")
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_a_stored_mask_of_too_many_pixels_is_refused_by_its_header() -> None:
    data = stored(np.zeros((2, 2), np.uint8))
    header = b"IHDR" + struct.pack(">II", 100_000, 100_000) + data[24:29]
    bomb = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    with pytest.raises(ImageError, match=r"'roi_0\.png' has 100000 x 100000 pixels"):
        read_roi(bomb, "roi_0.png")


def test_fitting_is_nearest_neighbour() -> None:
    roi = np.zeros((8, 8), bool)
    roi[:, 4:] = True
    np.testing.assert_array_equal(fit_roi(roi, (4, 4)), roi[::2, ::2])


def test_a_roi_that_vanishes_at_the_size_is_refused() -> None:
    roi = np.zeros((100, 100), bool)
    roi[0, 0] = True
    with pytest.raises(DataError, match="no pixel left at 4 x 5"):
        fit_roi(roi, (4, 5))


def test_only_what_is_wholly_inspected_is_seen() -> None:
    roi = np.zeros((8, 12), bool)
    roi[:, 5:] = True
    assert seen_part(roi, (8, 12)).tolist() == roi.tolist()
    assert seen_part(roi, (4, 6))[0].tolist() == [False, False, False, True, True, True]
    whole = np.ones((7, 9), bool)
    assert seen_part(whole, (64, 64)).all()


def test_a_mask_thinner_than_a_pixel_is_still_seen() -> None:
    roi = np.zeros((16, 16), bool)
    roi[:, 6] = True
    np.testing.assert_array_equal(seen_part(roi, (4, 4)), fit_roi(roi, (4, 4)))


def test_outside_the_mask_a_picture_is_grey_and_the_original_stays() -> None:
    picture = np.full((2, 2, 3), 7, np.uint8)
    blank = blank_outside(picture, np.array([[True, False], [False, True]]))
    assert blank[..., 0].tolist() == [[7, 128], [128, 7]]
    assert blank.dtype == np.uint8
    assert (picture == 7).all()


def half() -> FittedRois:
    """Class a is inspected in its right half."""
    roi = np.zeros((8, 8), bool)
    roi[:, 4:] = True
    return FittedRois({"a": roi}, (4, 6))


def test_a_class_without_a_mask_is_inspected_everywhere() -> None:
    masks = half()
    assert masks.inspected("b").all()
    assert masks.inspected(None).all()
    assert masks.inspected("a")[:, 128:].all()
    assert not masks.inspected("a")[:, :128].any()


def test_a_mask_lies_over_a_canvas_of_any_size() -> None:
    masks = half()
    assert masks.inspected("b", (30, 50)).all()
    inside = masks.inspected("a", (30, 50))
    assert inside.shape == (30, 50)
    assert inside[:, 25:].all()
    assert not inside[:, :25].any()


def test_a_tile_has_its_part_of_the_mask() -> None:
    masks = half()  # inspected from the middle of the columns on
    picture = (40, 60)
    assert masks.of_tile("b", picture, (0, 0, 20, 20))[0] is None
    assert masks.of_tile("b", picture, (0, 0, 20, 20))[1].all()
    assert not masks.of_tile("a", picture, (0, 0, 20, 20))[1].any()
    seen, inspected = masks.of_tile("a", picture, (20, 20, 40, 40))
    assert seen.shape == (4, 6)
    assert seen[:, 4:].all()
    assert not seen[:, :3].any()
    assert inspected.mean() == 0.5
    assert masks.of_tile("a", picture, (0, 40, 20, 60))[1].all()


def test_a_batch_is_blank_only_where_it_is_not_inspected() -> None:
    masks = half()
    pictures = [np.full((4, 6, 3), level, np.uint8) for level in (10, 20)]
    assert masks.blank(pictures, ["b", None]) is None
    untouched, blank = masks.blank(pictures, ["b", "a"])
    assert untouched is pictures[0]
    assert blank[0, :, 0].tolist() == [128, 128, 128, 128, 20, 20]  # one is cut by the mask
    assert (pictures[1] == 20).all()


def test_a_mask_that_vanishes_at_one_of_the_sizes_is_refused() -> None:
    roi = np.zeros((1000, 1000), bool)
    roi[1, 1] = True
    with pytest.raises(DataError, match="has no pixel left"):
        FittedRois({"a": roi}, (64, 64))


def test_a_class_or_file_with_an_equals_sign_has_its_mask(tmp_path: Path) -> None:
    path = tmp_path / "roi=left.png"
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(path)
    assert list(parse_rois([f"a=b={path}"])) == ["a=b"]
    assert list(parse_rois([f"plain={path}"])) == ["plain"]
    with pytest.raises(ImageError, match=r"b=none\.png"):
        parse_rois(["a=b=none.png"])
    for nonsense in ("", "=", "a", "a=", f"={path}"):
        with pytest.raises(UsageError, match="NAME=mask"):
            parse_rois([nonsense])
