"""Image score of a map, or of a part of it: the rule of ``snlad.maps.overall`` without torch."""

from typing import Literal

import numpy as np
from jaxtyping import Float

SHARE = 0.01


def pool(anomaly_map: Float[np.ndarray, "..."], how: Literal["top", "max"]) -> float:
    """Mean of the highest 1 % of the pixels, at least one, or the maximum."""
    pixels = anomaly_map.ravel()
    top = max(1, int(SHARE * pixels.size)) if how == "top" else 1
    return float(np.partition(pixels, -top)[-top:].mean(dtype=np.float64))
