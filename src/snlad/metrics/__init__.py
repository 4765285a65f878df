"""Metrics: the seven numbers of protocol snlad-v1, without torch."""
