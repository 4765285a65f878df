"""Inspection masks: outside its class's mask nothing counts in score, calibration or metrics."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snlad.data.masks import fit_mask, read_mask, resize_nearest
from snlad.data.tiles import Box, cut
from snlad.errors import DataError, ImageError, UsageError
from snlad.types import MAP_SIZE

_PNG = b"\x89PNG\r\n\x1a\n"

BLANK = np.uint8(128)
"""What the networks see outside an inspection mask."""

Rois = Mapping[str, NDArray[np.bool_]]
"""Inspection masks (H0, W0) by class name, True where the class is inspected."""


def parse_rois(options: Iterable[str]) -> dict[str, NDArray[np.bool_]]:
    """Read ``NAME=mask.png`` options as class name to (H0, W0), True where inspected.

    Raises:
        UsageError: An option without a name or a file, or a name given twice.
        ImageError: A mask that cannot be read.
        DataError: A mask that inspects no pixel, or none that is left at 256 x 256.
    """
    rois: dict[str, NDArray[np.bool_]] = {}
    for option in options:
        name, file = _split(option)
        if not name or not file:
            raise UsageError(f"--roi {option!r} is not of the form NAME=mask.png; give both")
        if name in rois:
            raise UsageError(f"--roi names the class {name!r} twice; give one mask a class")
        rois[name] = read_mask(Path(file))
        _refuse_empty(rois[name], file)
    return rois


def _split(option: str) -> tuple[str, str]:
    """Name and file of ``NAME=FILE``; where both may hold "=", the file that exists decides."""
    parts = option.split("=")
    splits = [("=".join(parts[:i]), "=".join(parts[i:])) for i in range(1, len(parts))]
    splits += [(option, "")]  # no "=" at all
    return next((pair for pair in splits if pair[1] and Path(pair[1]).is_file()), splits[0])


def read_roi(data: bytes, name: str) -> NDArray[np.bool_]:
    """Decode a stored inspection mask to (H0, W0), True where inspected.

    Args:
        data: The bytes of a PNG.
        name: The name for errors.

    Raises:
        ImageError: No PNG, over the cap on pixels or damaged; the message names it.
    """
    if not data.startswith(_PNG):
        raise ImageError(f"{name!r} is no PNG, as stored inspection masks are; get the file again")
    return read_mask(data, name)


def fit_roi(roi: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Stretch an inspection mask to (H, W), nearest neighbour.

    Raises:
        DataError: Nothing to inspect is left at that size.
    """
    fitted = resize_nearest(roi, size)
    if not fitted.any():
        raise DataError(
            f"an inspection mask has no pixel left at {size[0]} x {size[1]}; enlarge it"
        )
    return fitted


def seen_part(roi: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels of a fitted picture (H, W) that are made of inspected pixels alone.

    Where none is, because the mask is thinner than a pixel, those of ``fit_roi``.

    Raises:
        DataError: Nothing to inspect is left at that size.
    """
    inside = _inside(roi, size)
    return inside if inside.any() else fit_roi(roi, size)


def _inside(roi: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels at (H, W) that are made of inspected ones alone."""
    shares = Image.fromarray(roi.astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR)
    inside: NDArray[np.bool_] = np.asarray(shares) > 0.999
    return inside


def blank_outside(picture: NDArray[np.uint8], roi: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A copy of a fitted picture (H, W, 3) in middle grey outside its inspection mask (H, W).

    The networks never see what is not inspected, so nothing there can move a score inside.
    """
    return np.where(roi[..., None], picture, BLANK)


class FittedRois:
    """A model's inspection masks, at the sizes of its input and of its maps.

    Args:
        rois: masks (H0, W0) by class name.
        size: network input (H, W).

    Raises:
        DataError: Nothing of one is left at one of the sizes.
    """

    def __init__(self, rois: Rois, size: tuple[int, int]) -> None:
        self._rois, self._size = rois, size
        self._valid = {name: fit_roi(roi, MAP_SIZE) for name, roi in rois.items()}
        self._seen = {name: seen_part(roi, size) for name, roi in rois.items()}

    def inspected(self, name: str | None, shape: tuple[int, ...] = MAP_SIZE) -> NDArray[np.bool_]:
        """Which pixels of a class's maps count, (256, 256) or of a canvas; all without a mask."""
        if shape == MAP_SIZE:
            return self._valid.get(name or "", _EVERYWHERE)
        roi = self._rois.get(name or "")
        return np.ones(shape, bool) if roi is None else fit_mask(roi, (shape[0], shape[1]))[0]

    def seen(self, name: str | None) -> NDArray[np.bool_] | None:
        """Which pixels (H, W) of a class's pictures the networks see; ``None`` for all."""
        return self._seen.get(name or "")

    def of_tile(
        self, name: str | None, picture: tuple[int, int], box: Box
    ) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_]]:
        """What the networks see (H, W) of a tile, ``None`` for all, and what counts (256, 256).

        Nothing counts where the tile shows nothing of what is inspected.

        Args:
            name: of its class.
            picture: (H0, W0) of the picture that it is a part of.
            box: its place there.
        """
        roi = self._rois.get(name or "")
        if roi is None:
            return None, _EVERYWHERE
        part = cut(roi, _over(box, picture, roi.shape))
        inside = _inside(part, self._size)
        if not inside.any():
            inside, _ = fit_mask(part, self._size)
        return inside, fit_mask(part, MAP_SIZE)[0]

    def blank(
        self, pictures: Sequence[NDArray[np.uint8]], names: Sequence[str | None]
    ) -> list[NDArray[np.uint8]] | None:
        """Fitted pictures blank where they are not inspected; ``None`` where none changes."""
        if not any(name in self._seen for name in names):
            return None
        return [
            blank_outside(picture, self._seen[name]) if name in self._seen else picture
            for picture, name in zip(pictures, names, strict=True)
        ]


def _over(box: Box, picture: tuple[int, int], mask: tuple[int, ...]) -> Box:
    """The pixels of a mask (h, w) that a box of its picture (H0, W0) touches."""
    top, left, bottom, right = box
    down, along = mask[0] / picture[0], mask[1] / picture[1]
    return (
        math.floor(top * down),
        math.floor(left * along),
        math.ceil(bottom * down),
        math.ceil(right * along),
    )


_EVERYWHERE = np.ones(MAP_SIZE, dtype=bool)


def _refuse_empty(roi: NDArray[np.bool_], file: str) -> None:
    if not roi.any():
        raise DataError(f"the inspection mask {file!r} is empty; paint what to inspect white")
    try:
        fit_roi(roi, MAP_SIZE)
    except DataError as error:
        raise DataError(f"{file!r}: {error}") from error
