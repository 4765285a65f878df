"""Which scored test pictures a report shows: the worst, some drawn by seed, what a model gains."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

import numpy as np

from snlad.calibration.record import Calibration
from snlad.engine.scored import ScoredPicture

WORST, CHANGED, CLASSES, SEED = 12, 8, 16, 0
"""At most so many misses and so many false alarms, gains and losses, drawn classes; the seed."""

Key = tuple[str, str]
"""Class and path of a scored picture, which name it within its data set."""

Ranks = Mapping[Key, float]
"""Share of the normal pictures of its class that score below a picture, ties as halves."""


def key_of(picture: ScoredPicture) -> Key:
    """What names the picture within its data set."""
    return picture.class_name, picture.path


def rank_pictures(pictures: Sequence[ScoredPicture]) -> dict[Key, float]:
    """The rank of each picture among the normal pictures of its class, in [0, 1].

    The mean over the defects of a class is its image AUROC. Pictures of a class without a normal
    one have no rank.
    """
    ranks = {}
    for members in _by_class(pictures).values():
        normals = np.sort([one.score for one in members if not one.is_anomalous])
        for one in members if len(normals) else ():
            below = np.searchsorted(normals, one.score, "left")
            up_to = np.searchsorted(normals, one.score, "right")
            ranks[key_of(one)] = float(below + up_to) / (2 * len(normals))
    return ranks


def worst_misses(
    pictures: Sequence[ScoredPicture], calibration: Calibration | None
) -> list[ScoredPicture]:
    """The defects furthest below the threshold of their class, or least above it, the worst first.

    Without thresholds those with the lowest scores.
    """
    defects = [one for one in pictures if one.is_anomalous]
    return _first(defects, _margin(calibration), WORST)


def worst_alarms(
    pictures: Sequence[ScoredPicture], calibration: Calibration | None
) -> list[ScoredPicture]:
    """The normal pictures furthest above the threshold of their class, likewise."""
    normals = [one for one in pictures if not one.is_anomalous]
    margin = _margin(calibration)
    return _first(normals, lambda one: -margin(one), WORST)


def draw_defects(pictures: Sequence[ScoredPicture]) -> list[ScoredPicture]:
    """One defect of each class, of no more than CLASSES classes, whatever any model scores."""
    random = Random(SEED)
    members = _by_class([one for one in pictures if one.is_anomalous])
    names = sorted(members)
    if len(names) > CLASSES:
        names = sorted(random.sample(names, CLASSES))
    return [random.choice(sorted(members[name], key=key_of)) for name in names]


def largest_gains(
    pictures: Sequence[ScoredPicture], ranks: Ranks, baseline: Ranks
) -> tuple[list[ScoredPicture], list[ScoredPicture]]:
    """The defects whose rank is furthest above the baseline's, and those furthest below.

    A gain is what the picture adds to the difference of the two image AUROCs of its class, but for
    the number of defects.
    """
    gains = {key: rank - baseline[key] for key, rank in ranks.items()}
    ranked = [one for one in pictures if one.is_anomalous and key_of(one) in gains]
    up = [one for one in ranked if gains[key_of(one)] > 0]
    down = [one for one in ranked if gains[key_of(one)] < 0]
    return (
        _first(up, lambda one: -gains[key_of(one)], CHANGED),
        _first(down, lambda one: gains[key_of(one)], CHANGED),
    )


def _margin(calibration: Calibration | None) -> Callable[[ScoredPicture], float]:
    if calibration is None:
        return lambda one: one.score
    return lambda one: one.score - calibration.limits(one.class_name).threshold


def _first(
    pictures: Sequence[ScoredPicture], order: Callable[[ScoredPicture], float], count: int
) -> list[ScoredPicture]:
    return sorted(pictures, key=lambda one: (order(one), key_of(one)))[:count]


def _by_class(pictures: Sequence[ScoredPicture]) -> dict[str, list[ScoredPicture]]:
    members: dict[str, list[ScoredPicture]] = {}
    for one in pictures:
        members.setdefault(one.class_name, []).append(one)
    return members
