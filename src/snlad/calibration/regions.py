"""Anomalous regions of a map: boxes, areas and scores in the pixels of the picture."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray


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
    runs = _find_runs(mask)
    labels = np.zeros(mask.shape, dtype=np.int32)
    if not len(runs.parts):
        return labels, []
    lengths = runs.stops - runs.starts
    labels[mask] = np.repeat(runs.parts + 1, lengths)
    highest = np.maximum.reduceat(anomaly_map[mask], np.cumsum(lengths) - lengths)
    of_parts = np.argsort(runs.parts, kind="stable")
    part_starts = np.searchsorted(runs.parts[of_parts], np.arange(runs.parts.max() + 1))

    def each(fold: np.ufunc, values: NDArray[Any]) -> list[Any]:
        return list(fold.reduceat(values[of_parts], part_starts).tolist())

    rows = map(slice, each(np.minimum, runs.rows), each(np.maximum, runs.rows + 1))
    columns = map(slice, each(np.minimum, runs.starts), each(np.maximum, runs.stops))
    pixels, scores = each(np.add, lengths), each(np.maximum, highest)
    areas = (count * size[0] * size[1] / mask.size for count in pixels)
    every = map(_Component, itertools.count(1), zip(rows, columns, strict=True), areas, scores)
    large = (one for one in every if one.area >= min_area)
    return labels, sorted(large, key=lambda one: -one.score)


class _Runs(NamedTuple):
    """Pixels of a mask that follow each other in a row, and the connected part that they are of."""

    rows: Int[np.ndarray, " R"]
    starts: Int[np.ndarray, " R"]
    stops: Int[np.ndarray, " R"]
    parts: Int[np.ndarray, " R"]


def _find_runs(mask: Bool[np.ndarray, "H W"]) -> _Runs:
    """All runs in reading order; by NumPy alone, so that an inspection line needs no scipy."""
    edges = np.diff(mask.astype(np.int8), axis=1, prepend=0, append=0)
    rows, starts = np.nonzero(edges == 1)
    stops = np.nonzero(edges == -1)[1]
    pitch = mask.shape[1] + 2
    # Those of the row above that a run touches, be it by a corner.
    first = np.searchsorted(rows * pitch + stops, (rows - 1) * pitch + starts)
    last = np.searchsorted(rows * pitch + starts, (rows - 1) * pitch + stops, side="right")
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = run = parents[parents[run]]
        return run

    for run, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        for above in range(low, high):
            one, other = sorted((root(run), root(above)))
            parents[other] = one
    roots = np.array([root(run) for run in parents], dtype=int)
    return _Runs(rows, starts, stops, np.unique(roots, return_inverse=True)[1])


def _box(rows: slice, columns: slice, down: float, right: float) -> list[int]:
    """[x, y, width, height] in whole pixels of the picture that the box touches."""
    x, y = int(columns.start * right), int(rows.start * down)
    end_x, end_y = -int(-columns.stop * right // 1), -int(-rows.stop * down // 1)
    return [x, y, end_x - x, end_y - y]
