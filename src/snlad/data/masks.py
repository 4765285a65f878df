"""Masks: which pixels are defect, read by one stated rule and brought to a size.

Rule: more than half of the mode's range in any colour channel is defect; in a palette picture every
colour but black; in a label picture (no value above 15: 0 and 1, or 0, 1, 2, ...) every value above
0. Transparency is ignored.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snlad.data.images import decode, unit_values, whole_values
from snlad.data.samples import Sample

LABELS_MAX = 15

MaskRule = Literal["nearest", "half", "any"]


def read_mask(source: Path | bytes, name: str | None = None) -> NDArray[np.bool_]:
    """Read a mask as (H0, W0), True where defect.

    Args:
        source: A file, or the bytes of one.
        name: The name for errors; the path by default.

    Raises:
        ImageError: The mask cannot be read as a picture; the message names it.
    """
    values, top = read_values(source, name)
    return defect_pixels(values, top)


def read_values(source: Path | bytes, name: str | None = None) -> tuple[NDArray[Any], int]:
    """Read a mask's values, (H0, W0), highest over the colour channels, and the range's top.

    Raises:
        ImageError: The mask cannot be read as a picture; the message names it.
    """
    name = name or ("<bytes>" if isinstance(source, bytes) else str(source))
    picture = decode(source, name)
    match picture.mode:
        case "F":
            return unit_values(picture, name), 1
        case "I" | "I;16" | "I;16B" | "I;16L" | "I;16N":
            return whole_values(picture, name), 65535
        case "1" | "P" | "PA":
            return _channel_max(picture) > 0, 1
        case _:
            return _channel_max(picture), 255


def defect_pixels(values: NDArray[Any], top: int) -> NDArray[np.bool_]:
    """Decide by the stated rule which values in [0, top] are defect."""
    is_label_picture = top > LABELS_MAX and values.max() <= LABELS_MAX
    return np.asarray(values > (0 if is_label_picture else top / 2))


def fit_mask(
    mask: NDArray[np.bool_], size: tuple[int, int], rule: MaskRule = "nearest"
) -> tuple[NDArray[np.bool_], bool]:
    """Stretch a mask to (H, W).

    Args:
        mask: True where defect.
        size: (H, W).
        rule: the nearest pixel, or, as published tables have it, any defect or more than half
            of it under a bilinear filter; these may empty a mask.

    Returns:
        The mask, and whether it would have been emptied and keeps, for that reason, the one pixel
        nearest its centroid.
    """
    if rule != "nearest":
        picture = Image.fromarray(mask.astype(np.uint8) * 255)
        shares = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))
        return shares > (0 if rule == "any" else 255 / 2), False
    fitted = resize_nearest(mask, size)
    if fitted.any() or not mask.any():
        return fitted, False
    center = (np.argwhere(mask).mean(axis=0) + 0.5) * size / mask.shape
    fitted[tuple(center.astype(int))] = True
    return fitted, True


def read_truth(
    sample: Sample, size: tuple[int, int], rule: MaskRule = "nearest"
) -> tuple[NDArray[np.bool_] | None, bool]:
    """A test picture's defect pixels at (H, W), and whether one of them had to be kept.

    ``None`` for a defect picture without a mask: where its defect is, nobody knows.

    Raises:
        ImageError: The mask cannot be read as a picture; the message names it.
    """
    if sample.mask is not None:
        return fit_mask(read_mask(sample.mask), size, rule)
    return (None if sample.is_anomalous else np.zeros(size, dtype=bool)), False


def resize_nearest(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Stretch (H0, W0) to (H, W), each new pixel taking the value at its own centre."""
    rows, columns = (nearest(old, new) for old, new in zip(mask.shape, size, strict=True))
    return mask[np.ix_(rows, columns)]


def nearest(old: int, new: int) -> NDArray[np.intp]:
    """Which of ``old`` pixels in a row lies under the centre of each of ``new``, ascending."""
    return ((np.arange(new) + 0.5) * old / new).astype(np.intp)


def _channel_max(picture: Image.Image) -> NDArray[np.uint8]:
    highest: NDArray[np.uint8] = np.asarray(picture.convert("RGB")).max(axis=2)
    return highest
