"""Anomalous regions of a map: boxes, areas and scores in the pixels of the picture."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float


def find_regions(
    anomaly_map: Float[np.ndarray, "H W"],
    mask: Bool[np.ndarray, "H W"],
    size: tuple[int, int],
    min_area: float = 0.0,
) -> list[dict[str, Any]]:
    """The 8-connected regions of a mask, the highest score first.

    Args:
        anomaly_map: smoothed map.
        mask: true where it exceeds the pixel threshold.
        size: (H0, W0) of the picture that the map lies over.
        min_area: regions smaller than this many pixels of the picture are left out.

    Returns:
        ``{"box": [x, y, width, height], "area": pixels, "score": largest pixel}`` for each, box
        and area in pixels of the picture.
    """
    from scipy import ndimage  # half a second, which only a found region needs to pay

    if not mask.any():
        return []
    down, right = size[0] / mask.shape[0], size[1] / mask.shape[1]
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:] * down * right
    scores = ndimage.maximum(anomaly_map, labels, range(1, count + 1))
    regions = [
        {"box": _box(rows, columns, down, right), "area": round(area), "score": float(score)}
        for (rows, columns), area, score in zip(
            ndimage.find_objects(labels), areas.tolist(), scores, strict=True
        )
        if area >= min_area
    ]
    return sorted(regions, key=lambda region: -region["score"])


def _box(rows: slice, columns: slice, down: float, right: float) -> list[int]:
    """[x, y, width, height] in whole pixels of the picture that the box touches."""
    x, y = int(columns.start * right), int(rows.start * down)
    end_x, end_y = -int(-columns.stop * right // 1), -int(-rows.stop * down // 1)
    return [x, y, end_x - x, end_y - y]
