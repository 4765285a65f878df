"""How far an export may be from the model that it was made of."""

TOLERANCE = 1e-3
"""Largest difference: of a score or a pixel in standard deviations of the calibration scores, of a
distance to a class relative."""
