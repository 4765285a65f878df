"""Where a picture shows its product: what differs in colour from the picture's border."""

import numpy as np
from numpy.typing import NDArray

RING = 0.03
"""Width of the border, as a share of the picture's shorter side."""

LEAST, MOST = 0.05, 0.95
"""Shares of a picture between which its foreground must lie to be believed."""


def find_foreground(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell the product (H, W) from its background in a picture (H, W, 3).

    The background is the median colour of the border; Otsu's threshold divides the distances to it.
    A picture has no background, and is foreground everywhere, where that leaves less than 5 % or
    more than 95 % of it, or where the border has more than half the inside's share: a texture.
    """
    ring = _ring(picture.shape[:2])
    distances = np.abs(picture - np.median(picture[ring], axis=0)).max(axis=2)
    levels = np.rint(distances).astype(np.uint8)
    found: NDArray[np.bool_] = levels > otsu(levels)
    has_background = found[ring].mean() <= found[~ring].mean() / 2
    if not LEAST <= found.mean() <= MOST or not has_background:
        return np.ones_like(found)
    return found


def otsu(levels: NDArray[np.uint8]) -> int:
    """Otsu's threshold: levels above it and the others have the largest variance between them.

    Source: Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9 (1979).
    """
    counts = np.bincount(levels.ravel(), minlength=256)
    below, mass = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    n, total = below[-1], mass[-1]
    spread = (total * below - mass * n) ** 2.0 / np.maximum(below * (n - below), 1)
    return int(spread.argmax())


def _ring(size: tuple[int, ...]) -> NDArray[np.bool_]:
    width = max(1, round(RING * min(size)))
    ring = np.ones(size, dtype=bool)
    ring[width:-width, width:-width] = False
    return ring
