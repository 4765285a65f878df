"""Masks as run lengths, in the compressed text that COCO's tools read.

Source: maskApi.c of pycocotools, ``rleEncode`` and ``rleToString``.
"""

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import NDArray

from snlad.data.masks import nearest

_MORE, _SIGN, _DIGIT = 32, 16, 31
"""In a character less 48: another one follows; the number is negative; its five bits."""


def run_lengths(mask: Bool[np.ndarray, "h w"], size: tuple[int, int]) -> Int[np.ndarray, " N"]:
    """Run lengths of a mask that is stretched to a picture by nearest neighbour.

    The stretched mask is never made: memory goes with its columns and runs, not with its pixels.

    Args:
        mask: true where something is.
        size: (H, W) of the picture, not empty.

    Returns:
        Pixels of each run, down the first column, then the second; the first run is false and may
        have no pixel, the others alternate and have some. They sum to H * W.
    """
    height, width = size
    used, top = np.unique(nearest(mask.shape[0], height), return_index=True)
    columns = mask[used][:, nearest(mask.shape[1], width)].T  # (W, rows used)
    column, row = np.nonzero(np.diff(np.pad(columns, ((0, 0), (1, 1))), axis=1))
    places = column * height + np.append(top, height)[row]
    edges, times = np.unique(places, return_counts=True)
    edges = edges[times == 1]  # where one column ends and the next begins, the run goes on
    lengths: NDArray[np.int64] = np.diff(edges, prepend=0, append=height * width)
    return lengths[: 1 + np.flatnonzero(lengths)[-1]]


def compress(lengths: Int[np.ndarray, " N"]) -> str:
    """Write run lengths as text: from the fourth on as the difference to the last but one.

    Each number is signed, five bits a character, the lowest first, from ``0`` (48) on.
    """
    rest = np.array(lengths, dtype=np.int64)
    rest[3:] -= lengths[1:-2]
    places, goes_on = [], np.ones(rest.shape, dtype=bool)
    while goes_on.any():
        digit = rest & _DIGIT
        rest >>= 5
        more = rest != np.where(digit & _SIGN, -1, 0)
        places.append(np.where(goes_on, 48 + digit + _MORE * more, 0))
        goes_on &= more
    characters = np.stack(places, axis=1).astype(np.uint8).ravel()
    return characters[characters > 0].tobytes().decode("ascii")
