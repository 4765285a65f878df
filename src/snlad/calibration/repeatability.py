"""One score a part, and how far scores move when the same part is pictured again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from statistics import variance
from typing import NamedTuple


class Shot(NamedTuple):
    """One calibration picture.

    Attributes:
        part_id: which part it shows; a picture without one is a part of its own.
        view: which view of it.
        score: image score.
        peak: largest pixel of the smoothed map.
    """

    part_id: str | None
    view: str | None
    score: float
    peak: float


@dataclass(frozen=True, slots=True)
class Repeatability:
    """How the scores of one class repeat.

    Attributes:
        repeats: parts (or views of parts) that were pictured more than once.
        shots: pictures of them.
        deviation: standard deviation of the score between shots of one part and view.
        widest: largest difference between two of them.
        flips: repeats with shots on both sides of the threshold.
    """

    repeats: int
    shots: int
    deviation: float
    widest: float
    flips: int


def highest_by_part(shots: Sequence[Shot]) -> tuple[list[float], list[float]]:
    """Scores and peaks of the parts, ascending: a part is NG where any of its pictures is."""
    parts: dict[str | int, list[Shot]] = defaultdict(list)
    for index, shot in enumerate(shots):
        parts[index if shot.part_id is None else shot.part_id].append(shot)
    scores = sorted(max(shot.score for shot in part) for part in parts.values())
    return scores, sorted(max(shot.peak for shot in part) for part in parts.values())


def find_repeats(shots: Sequence[Shot]) -> list[list[float]]:
    """Scores of each part and view that was pictured more than once."""
    same: dict[tuple[str, str | None], list[float]] = defaultdict(list)
    for shot in shots:
        if shot.part_id is not None:
            same[shot.part_id, shot.view].append(shot.score)
    return [scores for scores in same.values() if len(scores) > 1]


def measure_repeatability(
    repeats: Mapping[str, Sequence[Sequence[float]]], thresholds: Mapping[str, float]
) -> dict[str, Repeatability]:
    """The repeatability of each class that has repeated shots.

    Args:
        repeats: what ``find_repeats`` found, by class.
        thresholds: in force, by class.
    """
    return {
        name: Repeatability(
            repeats=len(some),
            shots=sum(map(len, some)),
            deviation=_within(some),
            widest=max(max(scores) - min(scores) for scores in some),
            flips=sum(min(scores) <= thresholds[name] < max(scores) for scores in some),
        )
        for name, some in repeats.items()
        if some
    }


def _within(some: Sequence[Sequence[float]]) -> float:
    """Standard deviation within groups, pooled by their degrees of freedom."""
    squares = fsum(variance(scores) * (len(scores) - 1) for scores in some)
    return sqrt(squares / sum(len(scores) - 1 for scores in some))
