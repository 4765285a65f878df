"""Inspection masks: outside its class's mask nothing counts in score, calibration or metrics."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snlad.data.masks import read_mask, resize_nearest
from snlad.errors import DataError, UsageError


def parse_rois(options: Iterable[str]) -> dict[str, NDArray[np.bool_]]:
    """Read ``NAME=mask.png`` options as class name to (H0, W0), True where inspected.

    Raises:
        UsageError: An option without a name or a file, or a name given twice.
        ImageError: A mask that cannot be read.
        DataError: A mask that inspects no pixel.
    """
    rois: dict[str, NDArray[np.bool_]] = {}
    for option in options:
        name, _, file = option.partition("=")
        if not name or not file:
            raise UsageError(f"--roi {option!r} is not of the form NAME=mask.png; give both")
        if name in rois:
            raise UsageError(f"--roi names the class {name!r} twice; give one mask a class")
        rois[name] = read_mask(Path(file))
        if not rois[name].any():
            raise DataError(f"the inspection mask {file!r} is empty; paint what to inspect white")
    return rois


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
