"""Evaluation of maps and scores that any method wrote; needs no torch."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snlad.data.given_maps import GivenMaps, read_map
from snlad.data.images import read_image
from snlad.data.samples import Dataset, Sample
from snlad.engine.evaluation import Evaluation, LabelledPictures
from snlad.errors import DataError
from snlad.metrics.pooling import pool
from snlad.metrics.protocols import Protocol, find_protocol
from snlad.types import MAP_SIZE, Progress, silent


def evaluate_maps(
    folder: Path,
    dataset: Dataset,
    *,
    protocol: str = "snlad-v1",
    progress: Progress = silent,
) -> Evaluation:
    """Score a folder of anomaly maps by the same rules as our own; they are not smoothed again.

    Args:
        folder: maps named as the test pictures, and perhaps ``scores.csv``; without it, an
            image's score comes from its map by the protocol.
        dataset: with test samples.
        protocol: the rules, by name.
        progress: told how far the work is.

    Returns:
        The table and notes; maps have no thresholds.

    Raises:
        DataError: no test picture, a map or score is missing or cannot be read.
        MetricError: a score or map is not finite.
        UsageError: the protocol is unknown.
    """
    rules, given = find_protocol(protocol), GivenMaps(folder, dataset.root)
    if not dataset.test:
        raise DataError(f"{dataset.root} has no test picture to score")
    tested = LabelledPictures(dataset, rules)
    for done, sample in enumerate(dataset.test, start=1):
        size = MAP_SIZE if rules.resolution == "map" else read_image(sample.path).shape[:2]
        found = _find(given, sample, rules, size, needs_map=tested.has_masks(sample))
        tested.add(sample, *found, size)
        progress("evaluating", done, len(dataset.test))
    notes = [] if given.has_scores else [f"no scores.csv: images are scored by {rules.name}"]
    return Evaluation(tested.table(), notes + tested.notes())


def _find(
    given: GivenMaps, sample: Sample, rules: Protocol, size: tuple[int, int], *, needs_map: bool
) -> tuple[float, NDArray[np.float32] | None]:
    """Score and map of one picture; the map only where something needs it."""
    score = given.score(sample)
    if score is not None and not needs_map:
        return score, None
    path = given.find(sample)
    if path is None:
        raise DataError(f"no map for {str(sample.path)!r}; expected {given.expected(sample)}")
    anomaly_map = read_map(path, size)
    return (pool(anomaly_map, rules.score) if score is None else score), anomaly_map
