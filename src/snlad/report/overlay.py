"""Heat maps that people look at: one colour scale for every picture, never stretched by picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from snlad.errors import UsageError

Picture = NDArray[np.uint8]
Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Colours from `low` to `high`, evenly spaced: darker is hotter, also in print and for the colour
# blind. Our own; every picture is shown in grey underneath, so that no product hides the colours.
HEAT = np.array([(255, 237, 160), (254, 178, 76), (252, 78, 42), (200, 20, 40), (110, 0, 60)])
MAX_OPACITY = 0.75  # the picture stays visible under the hottest colour
ROI_COLOUR = (0, 190, 255)
GAP_PX = 4
CAPTION_PX = 18
STRIP_PIXELS = 1 << 18
"""Drawn at once, so that a large picture needs little more memory than itself."""


def overlay(
    image: Picture, anomaly_map: Map, low: float, high: float, roi: Mask | None = None
) -> Image.Image:
    """Lay an anomaly map over its picture.

    Args:
        image: (H0, W0, 3) RGB in [0, 255].
        anomaly_map: (H, W), any size; higher is more anomalous.
        low: map value without colour; the same for all pictures that are compared.
        high: map value of the hottest colour, and of all above it.
        roi: (H0, W0), true where the picture counts; outside it no colour, around it a line.

    Returns:
        An RGB image of the picture's size: the picture in grey under the heat.

    Raises:
        UsageError: low is not below high.
    """
    if not low < high:
        raise UsageError(f"the colour scale {low} to {high} is empty: give low below high")
    drawn = Image.new("RGB", (image.shape[1], image.shape[0]))
    heights, rows = Image.fromarray(anomaly_map), max(1, STRIP_PIXELS // image.shape[1])
    border = None if roi is None else _border(roi)
    for top in range(0, len(image), rows):
        strip = slice(top, min(top + rows, len(image)))
        heat = (_restore_rows(heights, image.shape[:2], strip) - low) / (high - low)
        heat = np.clip(heat, 0, 1)
        if roi is not None:
            heat = np.where(roi[strip], heat, 0)
        grey = np.asarray(Image.fromarray(image[strip]).convert("L"), dtype=float)[..., None]
        opacity = MAX_OPACITY * np.sqrt(heat)[..., None]
        blend = np.rint(grey + opacity * (_colours(heat) - grey)).astype(np.uint8)
        if border is not None:
            blend[border[strip]] = ROI_COLOUR
        drawn.paste(Image.fromarray(blend), (0, top))
    return drawn


def _restore_rows(anomaly_map: Image.Image, size: tuple[int, int], rows: slice) -> Map:
    """Some rows of the map at the picture's own size, as ``restore_size`` gives them."""
    per_row = anomaly_map.height / size[0]
    box = (0.0, rows.start * per_row, float(anomaly_map.width), rows.stop * per_row)
    resized = anomaly_map.resize(
        (size[1], rows.stop - rows.start), Image.Resampling.BILINEAR, box=box
    )
    return np.asarray(resized, dtype=np.float32)


def _colours(heat: NDArray[np.floating]) -> NDArray[np.float64]:
    """RGB of heat in [0, 1], interpolated between the anchors of HEAT."""
    anchors = np.linspace(0, 1, len(HEAT))
    return np.stack([np.interp(heat, anchors, HEAT[:, c]) for c in range(3)], axis=-1)


def _border(roi: Mask) -> Mask:
    """The inner edge of a region; its width grows with the picture, at least one pixel."""
    width = max(1, round(min(roi.shape) / 256))
    inside = Image.fromarray(roi.astype(np.uint8)).filter(ImageFilter.MinFilter(2 * width + 1))
    border: Mask = roi & (np.asarray(inside) == 0)
    return border


def write_tiff(path: Path, anomaly_map: Map) -> None:
    """Write a map as TIFF with one channel of 32-bit floats, in the map's units."""
    Image.fromarray(np.asarray(anomaly_map, dtype=np.float32)).save(path, format="TIFF")


def contact_sheet(
    rows: Sequence[Sequence[Picture]], captions: Sequence[str], *, cell_px: int = 160
) -> Picture:
    """Put pictures side by side, one row each, under captions for the columns.

    Args:
        rows: pictures (H, W, 3) or (H, W) of any size; shrunk or enlarged to fit a cell.
        captions: one for each column.
        cell_px: side of a cell.

    Returns:
        (H, W, 3) RGB in [0, 255].
    """
    step = cell_px + GAP_PX
    size = (step * len(captions) - GAP_PX, CAPTION_PX + step * len(rows) - GAP_PX)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for column, caption in enumerate(captions):
        draw.text((column * step + 2, 2), caption, fill="black", font=font)
    for index, row in enumerate(rows):
        for column, picture in enumerate(row):
            cell = Image.fromarray(picture).convert("RGB")
            scale = cell_px / max(cell.size)
            width, height = (max(1, round(side * scale)) for side in cell.size)
            sheet.paste(cell.resize((width, height)), (column * step, CAPTION_PX + index * step))
    return np.asarray(sheet)
