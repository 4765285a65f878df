"""Classes that the model takes for each other, by its answers on the calibration pictures.

A good picture of A that is answered as B meets the threshold of B, and a defect of A may pass it.
Classes for which that is more than an accident form a group that shares its lowest thresholds.

Source: lower limit of a binomial share by Clopper and Pearson, Biometrika 26 (1934).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from snlad.calibration.class_answer import UNKNOWN_RATE, AnswerLimits

Answers = Mapping[str, Mapping[str, int]]
"""How many pictures of each class were answered as which class; the others as none."""

_LEAST = 2
_CONFIDENCE = 0.95


def count_answers(
    limits: AnswerLimits, names: Sequence[str], distances: Mapping[str, Float[np.ndarray, "N K"]]
) -> dict[str, dict[str, int]]:
    """Answer the pictures of each class.

    Args:
        limits: how far is too far.
        names: of all classes, K of them.
        distances: to each class, of the pictures of a class by its name.
    """
    return {
        name: dict(Counter(one for row in rows if (one := limits.answer(names, row)) is not None))
        for name, rows in distances.items()
    }


def find_inseparable(answers: Answers, totals: Mapping[str, int]) -> list[list[str]]:
    """Groups of classes that the model cannot tell apart, each in the order of their names.

    A is taken for B where, with 95 % confidence, more than 1 % of A's pictures are answered as B:
    more than may be called unknown by mistake. The confidence allows for few pictures: it takes 2
    of up to 35, 3 of up to 82, 4 of up to 137, and ties classes whose true share is within the 1 %
    in at most one calibration of 20. A single picture never ties two classes, because it may lie
    in the wrong folder. One direction is enough, and A and C that are both taken for B belong
    together with it.

    Args:
        answers: of calibration pictures, by their class.
        totals: how many pictures each class has.
    """
    groups: list[set[str]] = []
    for name, other in _pairs(answers):
        if _is_taken_for(answers[name][other], totals[name]):
            tied = [group for group in groups if group & {name, other}]
            groups = [group for group in groups if group not in tied]
            groups.append({name, other}.union(*tied))
    return sorted(sorted(group) for group in groups)


def strayed_share(
    answers: Answers, totals: Mapping[str, int], inseparable: Sequence[Sequence[str]]
) -> float:
    """Share of all pictures that were answered as a class which does not share their thresholds."""
    together = {(a, b) for group in inseparable for a in group for b in group}
    strayed = sum(answers[a][b] for a, b in _pairs(answers) if (a, b) not in together)
    return strayed / sum(totals.values())


def _pairs(answers: Answers) -> Iterator[tuple[str, str]]:
    """Each class and another one that some of its pictures were answered as."""
    return ((name, other) for name, row in answers.items() for other in row if other != name)


def _is_taken_for(count: int, n: int) -> bool:
    from scipy.stats import beta

    return count >= _LEAST and bool(beta.ppf(1 - _CONFIDENCE, count, n - count + 1) > UNKNOWN_RATE)
