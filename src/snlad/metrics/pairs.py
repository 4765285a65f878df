"""AUROC of probes that belong to pairs of classes: of all together, and of each pair."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from snlad.metrics.ranking import RunningAuroc

Pair = tuple[str, str]


class PairAurocs:
    """Exact, against normal scores that come part by part and are not kept.

    Args:
        positives: scores of the probes, or of their pasted pixels, by pair of classes.
    """

    def __init__(self, positives: Mapping[Pair, Float[np.ndarray, "..."]]) -> None:
        self._pairs = {pair: RunningAuroc(scores) for pair, scores in positives.items()}
        self._all = RunningAuroc(np.concatenate([np.empty(0, np.float32), *positives.values()]))

    def add(self, negatives: Float[np.ndarray, " N"], concerns: Callable[[Pair], bool]) -> None:
        """Take in normal scores in any order; a pair counts those that concern it."""
        ascending = np.sort(negatives)
        self._all.add(ascending)
        for pair, one in self._pairs.items():
            if concerns(pair):
                one.add(ascending)

    @property
    def value(self) -> float | None:
        """Of all pairs together; None without one score of each kind."""
        return self._all.value

    def by_pair(self) -> dict[Pair, float | None]:
        """Of each pair that has probes."""
        return {pair: one.value for pair, one in self._pairs.items()}
