"""Calibration: thresholds with a promise, from scores of normal pictures alone; without torch."""
