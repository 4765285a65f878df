"""Anomalous regions of a map: boxes, areas and scores in the pixels of the picture."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


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
    down, right = size[0] / mask.shape[0], size[1] / mask.shape[1]
    _, found = _components(anomaly_map, mask, size, min_area)
    return [
        {"box": _box(*one.place, down, right), "area": round(one.area), "score": one.score}
        for one in found
    ]


def region_masks(
    anomaly_map: Float[np.ndarray, "H W"],
    mask: Bool[np.ndarray, "H W"],
    size: tuple[int, int],
    min_area: float = 0.0,
) -> Iterator[Bool[np.ndarray, "H W"]]:
    """The part of the mask that belongs to each of ``find_regions``, in their order."""
    labels, found = _components(anomaly_map, mask, size, min_area)
    return (labels == one.label for one in found)


class _Component(NamedTuple):
    """A connected part of a mask; its place in the map, its area in pixels of the picture."""

    label: int
    place: tuple[slice, slice]
    area: float
    score: float


def _components(
    anomaly_map: Float[np.ndarray, "H W"],
    mask: Bool[np.ndarray, "H W"],
    size: tuple[int, int],
    min_area: float,
) -> tuple[Int[np.ndarray, "H W"], list[_Component]]:
    """A map of labels, and the components that are large enough, the highest score first."""
    from scipy import ndimage  # half a second, which only a found region needs to pay

    if not mask.any():
        return np.zeros(mask.shape, dtype=np.int32), []
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    numbers, places = range(1, count + 1), ndimage.find_objects(labels)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:] * size[0] * size[1] / mask.size
    scores = map(float, ndimage.maximum(anomaly_map, labels, numbers))
    every = map(_Component, numbers, places, areas.tolist(), scores)
    large = (one for one in every if one.area >= min_area)
    return labels, sorted(large, key=lambda one: -one.score)


def _box(rows: slice, columns: slice, down: float, right: float) -> list[int]:
    """[x, y, width, height] in whole pixels of the picture that the box touches."""
    x, y = int(columns.start * right), int(rows.start * down)
    end_x, end_y = -int(-columns.stop * right // 1), -int(-rows.stop * down // 1)
    return [x, y, end_x - x, end_y - y]
