import hashlib
import os
import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng
from PIL import Image, PngImagePlugin

from snlad.data import images
from snlad.data.images import read_file, read_image, resize_image, restore_size, to_input
from snlad.errors import ImageError

EXIF_ORIENTATION = 0x0112


def encode(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


def colours(height: int = 6, width: int = 9) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


# What is read, and by which rule


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_a_lossless_rgb_picture_comes_back_pixel_for_pixel(kind: str) -> None:
    image = read_image(encode(Image.fromarray(colours()), kind))
    np.testing.assert_array_equal(image, colours())
    assert image.dtype == np.uint8
    assert image.flags.writeable  # torch.from_numpy warns about read-only arrays


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})]
)
def test_a_lossy_picture_comes_back_nearly(kind: str, options: dict[str, int]) -> None:
    smooth = np.tile(np.arange(64, dtype=np.uint8)[:, None, None] * 2 + 40, (1, 48, 3))
    image = read_image(encode(Image.fromarray(smooth), kind, **options))
    assert image.shape == (64, 48, 3)
    assert np.abs(image.astype(int) - smooth).max() < 12


def test_a_path_and_its_bytes_give_the_same_picture(
    tmp_path: Path, paint: Callable[..., Path]
) -> None:
    path = paint(tmp_path / "Bild mit Ümlaut und\nZeilenumbruch.PNG")
    np.testing.assert_array_equal(read_image(path), read_image(path.read_bytes()))


def test_the_content_decides_the_format_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encode(Image.fromarray(colours())))
    np.testing.assert_array_equal(read_image(path), colours())


def test_a_polyglot_is_just_the_picture_that_it_begins_with() -> None:
    data = encode(Image.fromarray(colours())) + b"<html><script>alert(1)</script>PK\x03\x04"
    np.testing.assert_array_equal(read_image(data), colours())


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1)])
def test_extreme_shapes_are_pictures_too(size: tuple[int, int]) -> None:
    image = read_image(encode(Image.new("RGB", size[::-1], (1, 2, 3))))
    assert image.shape == (*size, 3)
    assert (image == (1, 2, 3)).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 250  # the upper left quarter is bright
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    data = encode(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif)
    image = read_image(data)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 6


def test_grey_is_repeated_in_three_channels() -> None:
    grey = colours()[..., 0]
    image = read_image(encode(Image.fromarray(grey)))
    np.testing.assert_array_equal(image, np.repeat(grey[..., None], 3, axis=2))


def test_one_bit_is_black_and_white() -> None:
    bits = colours()[..., 0] > 127
    image = read_image(encode(Image.fromarray(bits)))
    np.testing.assert_array_equal(image[..., 0], np.where(bits, 255, 0))


def test_palette_entries_become_their_colours() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    assert read_image(encode(picture)).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_transparency_is_laid_over_black() -> None:
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 128]]], np.uint8)
    image = read_image(encode(Image.fromarray(rgba)))
    assert image[0, 0].tolist() == [200, 100, 50]
    assert image[0, 1].tolist() == [0, 0, 0]
    assert np.abs(image[0, 2].astype(int) - (100, 50, 25)).max() <= 1


def test_transparent_palette_entries_are_black() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    image = read_image(encode(picture, transparency=b"\x00\xff"))
    assert image.tolist() == [[[0, 0, 0], [200, 100, 50]]]


def test_grey_with_alpha_is_laid_over_black_too() -> None:
    pixels = np.array([[[90, 255], [90, 0]]], np.uint8)
    assert read_image(encode(Image.fromarray(pixels, "LA")))[..., 0].tolist() == [[90, 0]]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind: str) -> None:
    image = read_image(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind))
    assert np.abs(image.astype(int) - (255, 0, 0)).max() < 10


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_divided_by_257_and_never_stretched(kind: str) -> None:
    values = np.array([[0, 128, 129, 257, 1000, 65535]], np.uint16)
    image = read_image(encode(Image.fromarray(values), kind))
    assert image[..., 0].tolist() == [[0, 0, 1, 1, 4, 255]]
    dark = read_image(encode(Image.fromarray(np.array([[0, 514]], np.uint16)), kind))
    assert dark[..., 0].tolist() == [[0, 2]]


def test_sixteen_bit_colour_keeps_the_high_byte() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" + struct.pack(">HHH", 0x12FF, 0x8000, 0xFFFF)))
    data = b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")
    assert read_image(data).tolist() == [[[0x12, 0x80, 0xFF]]]


def test_big_endian_sixteen_bits_are_read_alike() -> None:
    values = np.array([[0, 257, 65535]], ">u2")
    picture = Image.frombytes("I;16B", (3, 1), values.tobytes())
    assert read_image(encode(picture, "TIFF"))[..., 0].tolist() == [[0, 1, 255]]


def test_32_bit_whole_numbers_count_as_sixteen_bits() -> None:
    picture = Image.fromarray(np.array([[0, 257, 65535]], np.int32))
    assert read_image(encode(picture, "TIFF"))[..., 0].tolist() == [[0, 1, 255]]


def test_floats_in_the_unit_range_are_scaled_by_255() -> None:
    picture = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert read_image(encode(picture, "TIFF"))[..., 0].tolist() == [[0, 128, 255]]


def test_the_first_picture_of_an_mpo_photograph_counts() -> None:
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ("white", "black"))
    data = encode(first, "MPO", save_all=True, append_images=[second])
    assert Image.open(BytesIO(data)).n_frames == 2
    assert read_image(data).min() > 250


# What is refused, always with one sentence that names the file


def refused(data: bytes, match: str, **options: int) -> str:
    with pytest.raises(ImageError, match=match) as caught:
        read_image(data, name="line 3/part.png", **options)
    message = str(caught.value)
    assert "line 3/part.png" in message
    assert "\n" not in message
    return message


def test_an_empty_file_is_refused() -> None:
    refused(b"", r"is empty \(0 bytes\)")


@pytest.mark.parametrize("data", [b"P", b"hello world", b"%PDF-1.7", b"\x00" * 64, b"<svg></svg>"])
def test_other_content_is_refused(data: bytes) -> None:
    refused(data, "part.png")


def test_a_pillow_format_outside_the_list_is_refused() -> None:
    refused(encode(Image.fromarray(colours()), "ICO"), "no picture of a known format")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(kind: str, share: float) -> None:
    data = encode(Image.fromarray(colours(64, 64)), kind)
    refused(data[: int(len(data) * share)], "cannot be decoded|no picture")


def test_a_header_beyond_the_pixel_cap_is_refused_before_decoding() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(png_header(65_500, 65_500), "65500 x 65500 pixels, not between 1 and 200000000")


def test_a_large_picture_below_our_cap_passes_pillows_own_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_image(encode(Image.fromarray(colours()))).shape == (6, 9, 3)


def test_the_caller_may_lower_the_pixel_cap() -> None:
    data = encode(Image.fromarray(colours()))
    assert read_image(data, max_pixels=54).shape == (6, 9, 3)
    refused(data, "6 x 9 pixels, not between 1 and 53", max_pixels=53)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_several_frames_are_refused(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    refused(data, "has 3 frames")


def test_one_gif_frame_is_a_picture() -> None:
    assert read_image(encode(Image.new("RGB", (8, 8), "white"), "GIF")).min() == 255


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.01, 1.01])
def test_a_float_outside_the_unit_range_is_refused(value: float) -> None:
    picture = Image.fromarray(np.array([[0.5, value]], np.float32))
    refused(encode(picture, "TIFF"), r"outside \[0, 1\]")


@pytest.mark.parametrize("value", [-1, 65_536])
def test_a_whole_number_beyond_sixteen_bits_is_refused(value: int) -> None:
    picture = Image.fromarray(np.array([[5, value]], np.int32))
    refused(encode(picture, "TIFF"), r"outside \[0, 65535\]")


def test_a_colour_mode_without_a_rule_is_refused() -> None:
    refused(encode(Image.new("LAB", (4, 4)), "TIFF"), "colour mode LAB")


def test_a_text_chunk_that_inflates_without_end_is_refused() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * 5_000_000, zip=True)
    refused(encode(Image.fromarray(colours()), pnginfo=text), "cannot be decoded")


def test_an_icc_profile_that_inflates_without_end_is_one_error_or_a_picture() -> None:
    bomb = b"p\0\0" + zlib.compress(b"\0" * 50_000_000)
    data = encode(Image.fromarray(colours()))
    refused(data[:33] + chunk(b"iCCP", bomb) + data[33:], "cannot be decoded")


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png' cannot be read \(No such file"):
        read_image(tmp_path / "gone.png")


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "nul\0.png"])
def test_an_impossible_name_is_an_image_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path / name)


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path / "pipe.png")


def test_a_file_over_the_byte_cap_is_refused(
    tmp_path: Path, paint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = paint(tmp_path / "big.png")
    monkeypatch.setattr(images, "MAX_BYTES", path.stat().st_size)
    assert read_file(path)[0] == path.read_bytes()
    monkeypatch.setattr(images, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(ImageError, match=r"big\.png' is larger than"):
        read_image(path)


def test_an_error_without_a_text_is_named_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(images, "_identify", fail)
    refused(b"x", "MemoryError")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM"]),
    edits=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_a_damaged_file_is_a_picture_or_one_image_error(
    kind: str, edits: list[tuple[int, int]]
) -> None:
    data = bytearray(encode(Image.fromarray(colours(16, 16)), kind))
    for place, value in edits:
        data[place % len(data)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = read_image(bytes(data), name="damaged", max_pixels=10_000)
        except ImageError as error:
            assert "damaged" in str(error)
        else:
            assert image.ndim == 3
            assert image.dtype == np.uint8


# Bytes, sizes and inputs


def test_read_file_gives_the_bytes_and_their_sha256(tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"abc")
    assert read_file(path) == (b"abc", hashlib.sha256(b"abc").hexdigest())


def test_a_picture_of_the_right_size_is_not_resampled() -> None:
    assert resize_image(colours(), (6, 9)) is not None
    np.testing.assert_array_equal(resize_image(colours(), (6, 9)), colours())


def test_resizing_stretches_to_height_and_width() -> None:
    image = resize_image(colours(20, 30), (7, 11))
    assert image.shape == (7, 11, 3)
    assert image.dtype == np.uint8
    assert image.flags.writeable


def test_resizing_down_is_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = resize_image(stripes, (16, 16))[:, 2:-2]
    assert np.abs(inner.astype(int) - 127).max() <= 2  # without antialiasing: 0 or 255


def test_resizing_up_is_linear_between_pixel_centers() -> None:
    edge = np.array([[[0] * 3, [100] * 3]], np.uint8)
    assert resize_image(edge, (1, 4))[0, :, 0].tolist() == [0, 25, 75, 100]


def test_inputs_are_planes_in_the_unit_range() -> None:
    batch = np.stack([colours(), colours()[::-1]])
    planes = to_input(batch)
    assert planes.shape == (2, 3, 6, 9)
    assert planes.dtype == np.float32
    assert planes.flags.c_contiguous
    np.testing.assert_array_equal(planes[1, 2], np.float32(batch[1, :, :, 2]) / np.float32(255))
    assert to_input(np.full((1, 1, 1, 3), 255, np.uint8)).max() == 1.0


# Python reserves what it is told to read at most, even for a file of a few bytes.
def test_reading_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "small.png"
    path.write_bytes(encode(Image.new("RGB", (4, 4))))
    tracemalloc.start()
    read_file(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e8  # threads of other tests may hold a picture or two


def test_a_map_is_restored_to_the_pictures_size_height_first() -> None:
    restored = restore_size(np.full((4, 8), 0.25, np.float32), (30, 50))
    assert restored.shape == (30, 50)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, 0.25, rtol=1e-6)


def test_a_map_of_the_pictures_size_is_kept_exactly() -> None:
    anomaly_map = default_rng(0).normal(size=(12, 9)).astype(np.float32)
    np.testing.assert_array_equal(restore_size(anomaly_map, (12, 9)), anomaly_map)


def test_restoring_is_bilinear_between_pixel_centres() -> None:
    # two pixels to four: worked by hand, centres at -1/4, 1/4, 3/4 and 5/4 of the way
    restored = restore_size(np.array([[0.0, 1.0]], dtype=np.float32), (1, 4))
    np.testing.assert_allclose(restored[0], [0, 0.25, 0.75, 1], atol=1e-6)


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(1, 40), st.integers(1, 40))
def test_restoring_adds_nothing_beyond_the_maps_range(height: int, width: int) -> None:
    anomaly_map = default_rng(1).uniform(-3, 5, size=(16, 16)).astype(np.float32)
    restored = restore_size(anomaly_map, (height, width))
    assert restored.min() >= anomaly_map.min() - 1e-5
    assert restored.max() <= anomaly_map.max() + 1e-5


def test_a_hot_corner_stays_in_its_corner() -> None:
    anomaly_map = np.zeros((8, 8), np.float32)
    anomaly_map[0, -1] = 1
    restored = restore_size(anomaly_map, (64, 32))
    assert restored[0, -1] == 1
    assert restored[32:].max() == restored[:, :16].max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_a_large_picture_is_converted_strip_by_strip_to_the_same(mode: str, monkeypatch) -> None:
    values = default_rng(0).integers(0, 256, (23, 17, 4), np.uint8)
    if mode == "I;16":
        picture = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    elif mode == "F":
        picture = Image.fromarray(values[..., 0].astype(np.float32) / 255)
    else:
        picture = Image.fromarray(values, "RGBA").convert("RGB" if mode == "CMYK" else "RGBA")
        picture = picture.convert(mode)
    assert picture.mode == mode
    whole = images.to_rgb(picture, "x")
    monkeypatch.setattr(images, "_STRIP_PIXELS", 17 * 5)
    assert whole.flags.writeable
    np.testing.assert_array_equal(images.to_rgb(picture, "x"), whole)
