"""Tiles: a large picture in parts that the networks see one by one, and one map of them all.

A picture is cut into squares of one side, row by row, each sharing some pixels with its neighbours;
the last of a row or column is flush with the border, and a side that is shorter than a tile is
taken whole. Every tile is stretched to the network's input as a whole picture would be.

The maps of the tiles come together on a canvas. Two neighbours meet in the middle of what they
share, where both are farthest from a border and know most of what is around. Where they differ
there, half of the difference is taken from the one and given to the other, fading out to the end
of the overlap. The joined map has no step, and where the two agree each is left as it is: so a
network that looks less far than the overlap gives the map that it would give of the whole picture.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from snlad.data.images import restore_size
from snlad.types import MAP_SIZE

Pixel = TypeVar("Pixel", bound=np.generic)

Box = tuple[int, int, int, int]
"""Top, left, bottom and right of a tile in pixels of the picture; the last two lie outside."""

MAX_CANVAS = 1 << 24
"""Pixels of a canvas at most, 64 MiB a map."""


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut.

    Attributes:
        size: side of a tile, in pixels of the picture.
        overlap: pixels that neighbours share, at most half of ``size``.
    """

    size: int
    overlap: int

    def plan(self, picture: tuple[int, int]) -> "TilePlan":
        """Where the tiles of a picture (H0, W0) lie.

        The canvas is as fine as the map of a tile, but never finer than the picture nor larger
        than ``MAX_CANVAS``. Tiles begin at its pixels, so that no map is shifted by a part of one.
        """
        finest = math.sqrt(MAX_CANVAS / math.prod(picture))
        scale = min(1.0, MAP_SIZE[0] / self.size, finest)
        height, width = (max(1, round(side * scale)) for side in picture)
        side = max(1, round(self.size * scale))
        step = max(1, side - round(self.overlap * scale))
        return TilePlan(
            picture=picture,
            canvas=(height, width),
            tile=(min(side, height), min(side, width)),
            rows=_starts(height, side, step),
            columns=_starts(width, side, step),
        )


@dataclass(frozen=True)
class TilePlan:
    """Where the tiles of one picture lie.

    Attributes:
        picture: (H0, W0).
        canvas: (H, W) of the joined map.
        tile: (h, w) of each tile on the canvas.
        rows: where tiles begin on the canvas, from top to bottom.
        columns: likewise from left to right.
    """

    picture: tuple[int, int]
    canvas: tuple[int, int]
    tile: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """The tiles in the picture, row by row."""
        return tuple(
            (*self._pixels(row, column), *self._pixels(row + self.tile[0], column + self.tile[1]))
            for row in self.rows
            for column in self.columns
        )

    @property
    def middle(self) -> Box:
        """The tile in the middle, or the one before it."""
        return self.boxes[
            (len(self.rows) - 1) // 2 * len(self.columns) + (len(self.columns) - 1) // 2
        ]

    def _pixels(self, row: int, column: int) -> tuple[int, int]:
        """The pixel of the picture at a place on the canvas."""
        (height, width), (rows, columns) = self.picture, self.canvas
        return round(row * height / rows), round(column * width / columns)


class Canvas:
    """One map of a whole picture, made of the maps of its tiles.

    Args:
        plan: where the tiles lie.

    Attributes:
        map: (H, W) of ``plan.canvas``; complete when every tile was added.
    """

    def __init__(self, plan: TilePlan) -> None:
        self.map: Float32[np.ndarray, "H W"] = np.zeros(plan.canvas, np.float32)
        self._row = np.zeros((plan.tile[0], plan.canvas[1]), np.float32)
        self._plan, self._added = plan, 0

    def add(self, tile_map: Float32[np.ndarray, "h w"]) -> None:
        """Join the map of the next tile, row by row, to those before it."""
        row, column = divmod(self._added, len(self._plan.columns))
        _join(self._row, restore_size(tile_map, self._plan.tile), self._plan.columns, column)
        if column == len(self._plan.columns) - 1:
            _join(self.map.T, self._row.T, self._plan.rows, row)
        self._added += 1


def cut(picture: NDArray[Pixel], box: Box) -> NDArray[Pixel]:
    """The pixels of a tile, of a picture (H0, W0, 3) or a mask (H0, W0); a view of it."""
    top, left, bottom, right = box
    return picture[top:bottom, left:right]


def _starts(length: int, side: int, step: int) -> tuple[int, ...]:
    """Where tiles begin along a side; the last ends where it ends."""
    last = max(0, length - side)
    return (*range(0, last, step), last)


def _join(
    onto: Float32[np.ndarray, "n L"],
    part: Float32[np.ndarray, "n w"],
    starts: tuple[int, ...],
    number: int,
) -> None:
    """Join a part to those before it along the second axis, in place."""
    start, width = starts[number], part.shape[1]
    shared = starts[number - 1] + width - start if number else 0
    before = shared // 2
    middle = start + before
    if shared:
        part = part.copy()
        half = (onto[:, middle] - part[:, before])[:, None] / 2
        rising = np.arange(1, before + 1, dtype=np.float32) / (before + 1)
        falling = 1 - np.arange(shared - before, dtype=np.float32) / (shared - before)
        onto[:, start:middle] -= half * rising
        part[:, before:shared] += half * falling
    onto[:, middle : start + width] = part[:, before:]
