"""How far an export may be from the model that it was made of."""

from snlad.runtime.sessions import Precision

TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "bf16": 5e-2, "int8": float("inf")}
"""Largest difference of a score or a pixel, in standard deviations of the calibration scores."""

FLIPPED: dict[Precision, float] = {"fp32": 0.0, "bf16": 0.01, "int8": 0.01}
"""Largest share of pictures that are decided otherwise."""
