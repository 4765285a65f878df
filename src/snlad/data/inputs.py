"""Pictures as network inputs all at once, where none may be missing: for training and probes."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snlad.data.images import decode, read_image, resize_image
from snlad.data.tiles import Box, Tiling, cut

_WORKERS = 2


def load_inputs(
    paths: Sequence[Path], size: tuple[int, int], tiling: Tiling | None = None
) -> NDArray[np.uint8]:
    """Fitted pictures (N, H, W, 3), all of them good.

    Args:
        paths: picture files.
        size: network input (H, W).
        tiling: takes the middle tile of each picture instead of the whole.

    Raises:
        ImageError: one picture cannot be read; the message names it.
    """

    def load(path: Path) -> NDArray[np.uint8]:
        picture = read_image(path)
        height, width, _ = picture.shape
        part = picture if tiling is None else cut(picture, tiling.plan((height, width)).middle)
        return resize_image(part, size)

    with ThreadPoolExecutor(_WORKERS) as pool:
        return np.stack(list(pool.map(load, paths)))


def load_tiles(
    paths: Sequence[Path], boxes: Sequence[Box], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Fitted tiles (N, H, W, 3); every picture is read once.

    Args:
        paths: picture file of each tile.
        boxes: its place there.
        size: network input (H, W).

    Raises:
        ImageError: one picture cannot be read; the message names it.
    """
    places: dict[Path, list[int]] = defaultdict(list)
    for index, path in enumerate(paths):
        places[path].append(index)
    tiles = np.empty((len(paths), *size, 3), np.uint8)

    def load(path: Path) -> None:
        picture = read_image(path)
        for index in places[path]:
            tiles[index] = resize_image(cut(picture, boxes[index]), size)

    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(load, places))
    return tiles


def read_sizes(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """(H0, W0) of pictures as they are turned upright.

    Raises:
        ImageError: one picture cannot be read; the message names it.
    """

    def read(path: Path) -> tuple[int, int]:
        width, height = decode(path, str(path)).size
        return height, width

    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(read, paths))
