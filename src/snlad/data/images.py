"""One picture: bytes to uint8 RGB by stated rules, stretched to a size, scaled to [0, 1].

The rules (docs/datasets.md shows them as a table): the content decides the format, not the name;
EXIF orientation is applied; grey, palette, CMYK and 1-bit become RGB; transparency is laid over
black; 16-bit is divided by 257 and float must lie in [0, 1], never a stretch by the picture's own
range; a file with several frames is refused, except the preview frames of an MPO photograph.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import (  # the imports register the formats in Image.OPEN
    BmpImagePlugin,  # noqa: F401
    ExifTags,
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    PpmImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from snlad.errors import ImageError

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in ("png", "jpg", "jpeg", "mpo", "bmp", "tif", "tiff", "webp", "gif", "ppm", "pgm")
)
MAX_PIXELS = 200_000_000
MAX_BYTES = 1 << 30

_STRIP_PIXELS = 1 << 22
"""Converted at once, so that a large picture needs little more memory than itself."""

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
_RGB_LIKE = frozenset(["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"])
_WHOLE = frozenset(["I;16", "I;16B", "I;16L", "I;16N", "I"])
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(
    source: Path | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Read one picture as (H0, W0, 3) RGB in [0, 255].

    Args:
        source: A file, or the bytes of one.
        name: The name for errors; the path by default.
        max_pixels: The cap on height times width, read from the header before decoding.

    Raises:
        ImageError: The picture cannot be read by the stated rules; the message names it.
    """
    name = name or ("<bytes>" if isinstance(source, bytes) else str(source))
    return to_rgb(decode(source, name, max_pixels), name)


def read_file(path: Path) -> tuple[bytes, str]:
    """Read a file's bytes and their sha256 in hex.

    Raises:
        ImageError: The file is gone, unreadable, not a regular file or over 1 GiB.
    """
    data = _read_bytes(path)
    return data, hashlib.sha256(data).hexdigest()


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Stretch an (H0, W0, 3) picture to (H, W, 3), bilinear and antialiased."""
    if image.shape[:2] == size:
        return image
    height, width = size
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.array(picture)


def restore_size(anomaly_map: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Stretch a map (H, W) to (H0, W0), bilinear and antialiased, in the map's units."""
    if anomaly_map.shape == size:
        return anomaly_map
    resized = Image.fromarray(anomaly_map).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def to_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn (N, H, W, 3) uint8 into a contiguous (N, 3, H, W) float32 in [0, 1]."""
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
    planes /= np.float32(255)
    return planes


def decode(source: Path | bytes, name: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one picture in its own mode, turned upright.

    Raises:
        ImageError: As for ``read_image``.
    """
    data = source if isinstance(source, bytes) else _read_bytes(source)
    with _one_error(name):
        picture = _identify(data, name)
        _refuse_size(picture, name, max_pixels)
        _refuse_frames(picture, name)
        picture.load()
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
        return picture if turn is None else picture.transpose(turn)


def to_rgb(picture: Image.Image, name: str) -> NDArray[np.uint8]:
    """Convert a decoded picture of any mode to (H0, W0, 3) RGB in [0, 255].

    Raises:
        ImageError: A mode without a rule, or values outside the rule's range.
    """
    with _one_error(name):
        width, height = picture.size
        pixels, rows = np.empty((height, width, 3), np.uint8), max(1, _STRIP_PIXELS // width)
        for top in range(0, height, rows):
            strip = picture.crop((0, top, width, min(top + rows, height)))
            pixels[top : top + rows] = _strip_to_rgb(strip, name)
        return pixels


def whole_values(picture: Image.Image, name: str) -> NDArray[np.int64]:
    """Return a 16- or 32-bit picture's values, (H0, W0) in [0, 65535].

    Raises:
        ImageError: A 32-bit value outside that range.
    """
    values = np.asarray(picture).astype(np.int64)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ImageError(
            f"{name!r} has whole-number values from {low} to {high}, outside [0, 65535]; "
            "save it with 8 or 16 bits"
        )
    return values


def unit_values(picture: Image.Image, name: str) -> NDArray[np.float32]:
    """Return a float picture's values, (H0, W0) in [0, 1].

    Raises:
        ImageError: Another mode, or a value that is not finite or outside [0, 1].
    """
    if picture.mode != "F":
        raise ImageError(f"{name!r} has the colour mode {picture.mode}; save it as RGB or grey")
    values = np.asarray(picture)
    if not ((values >= 0) & (values <= 1)).all():  # NaN fails both
        raise ImageError(
            f"{name!r} has float values that are not finite or outside [0, 1]; "
            "scale them, or save it with 8 or 16 bits"
        )
    return values


def _strip_to_rgb(picture: Image.Image, name: str) -> NDArray[np.uint8]:
    """(H0, W0, 3), or (H0, W0, 1) where it is grey."""
    if picture.mode in _RGB_LIKE:
        return np.asarray(_flatten(picture))
    if picture.mode in _WHOLE:
        return ((whole_values(picture, name) + 128) // 257).astype(np.uint8)[..., None]
    return np.rint(unit_values(picture, name) * 255).astype(np.uint8)[..., None]


def _flatten(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, picture.convert("RGBA")).convert("RGB")


def _read_bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageError(f"{str(path)!r} is not a regular file; give a picture")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(min(size, MAX_BYTES) + 1)  # reserves what it is told to read
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(
            f"{str(path)!r} cannot be read ({reason}); check that it is there and readable"
        ) from error
    if len(data) > MAX_BYTES:
        raise ImageError(f"{str(path)!r} is larger than {MAX_BYTES} bytes; shrink the picture")
    return data


@contextmanager
def _one_error(name: str) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except Exception as error:  # a decoder may raise anything on a hostile file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(
            f"{name!r} cannot be decoded ({reason}); replace or remove the file"
        ) from error


def _identify(data: bytes, name: str) -> Image.Image:
    """Find the format by content; unlike ``Image.open`` this has no global pixel limit."""
    if not data:
        raise ImageError(f"{name!r} is empty (0 bytes); replace or remove the file")
    for format_name in _FORMATS:
        opener, accepts = Image.OPEN[format_name]
        if accepts is not None and accepts(data[:16]) is True:
            return opener(BytesIO(data), name)
    raise ImageError(f"{name!r} is no picture of a known format; give one of {', '.join(_FORMATS)}")


def _refuse_size(picture: Image.Image, name: str, max_pixels: int) -> None:
    width, height = picture.size
    if not 0 < width * height <= max_pixels:
        raise ImageError(
            f"{name!r} has {height} x {width} pixels, not between 1 and {max_pixels}; "
            "shrink or cut the picture"
        )


def _refuse_frames(picture: Image.Image, name: str) -> None:
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":
        raise ImageError(
            f"{name!r} has {frames} frames, and which one to inspect is not for us to guess; "
            "save the frame you mean as its own file"
        )
