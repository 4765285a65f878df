"""How far an export may be from the model that it was made of, and from itself elsewhere."""

import math
from dataclasses import dataclass

from snlad.runtime.exported import Precision


@dataclass(frozen=True)
class Tolerance:
    """What is allowed of one precision.

    Attributes:
        difference: largest one of a score or a pixel from the trained model's, in standard
            deviations of the calibration scores.
        flipped: share of pictures that may be decided otherwise.
        replayed: largest difference from what the export said where it was made: of a score or a
            pixel in the same units, of a distance to a class relative.
    """

    difference: float
    flipped: float
    replayed: float


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(difference=1e-3, flipped=0.0, replayed=1e-3),
    "bf16": Tolerance(difference=5e-2, flipped=0.01, replayed=5e-2),
    "int8": Tolerance(difference=math.inf, flipped=0.01, replayed=5e-2),
}
