"""Exported models where they work: their folder, and what computes their graph, without torch."""
