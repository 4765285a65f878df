"""The networks' part of an inspection: loaded pictures in, scores and maps out; no thresholds.

Without torch: the networks may be those that were trained, or an export of them.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float, UInt8

from snlad.calibration.class_answer import AnswerLimits
from snlad.data.limits import Cause, find_cause, measure_picture
from snlad.data.loading import Picture
from snlad.data.roi import FittedRois
from snlad.metrics.pooling import pool
from snlad.metrics.protocols import Protocol as Rules
from snlad.model_card import ModelCard


@dataclass(frozen=True)
class Output:
    """What the networks say of a batch.

    Attributes:
        scores: image scores; may be NaN where the model is damaged.
        maps: float32 maps by name.
        distances: to each class, in the order of their names; ``None`` where the model cannot tell.
    """

    scores: Float[np.ndarray, " B"]
    maps: dict[str, Float[np.ndarray, "B 256 256"]]
    distances: Float[np.ndarray, "B K"] | None


class Network(Protocol):
    """Teacher, student and maps, whatever computes them.

    Attributes:
        map_names: the maps that it finds; ``overall`` is the last.
    """

    map_names: tuple[str, ...]

    def run(self, pictures: UInt8[np.ndarray, "B H W 3"]) -> Output:
        """Inspect pictures of the input size."""
        ...

    def under(self, rules: Rules) -> "Network":
        """The same networks with the image score and the smoothing of an evaluation protocol."""
        ...


@dataclass(frozen=True)
class Found:
    """What the networks found in one picture.

    Attributes:
        score: image score; may be NaN where the model is damaged.
        maps: float32 maps (256, 256) by name.
        answer: class that it belongs to; ``None`` for none, or where the model cannot tell.
        distances: to each class, in the order of their names; ``None`` where it cannot tell.
        cause: why the picture is not like those of training, or ``None``.
    """

    score: float
    maps: dict[str, Float[np.ndarray, "256 256"]]
    answer: str | None
    distances: Float[np.ndarray, " K"] | None
    cause: Cause | None


class Inspector:
    """The networks of a model, and what is known of its classes.

    Args:
        network: computes scores and maps.
        card: of the model.
        masks: inspection masks at the sizes of input and maps.
    """

    def __init__(self, network: Network, card: ModelCard, masks: FittedRois) -> None:
        self.network = network
        self._masks, self._limits = masks, card.limits
        self._names = sorted(card.classes)
        self._how: Literal["top", "max"] = card.config.maps.score

    def under(self, rules: Rules) -> "Inspector":
        """The same with the image score and the smoothing of an evaluation protocol."""
        other = copy(self)
        other.network, other._how = self.network.under(rules), rules.score
        return other

    def inspect(
        self,
        pictures: Sequence[Picture],
        stated: Sequence[str | None],
        limits: AnswerLimits | None,
    ) -> list[Found]:
        """Inspect a batch of pictures that were read.

        Args:
            pictures: each with ``fitted``; one without a size is not held against any limit.
            stated: class of each, where the user states it.
            limits: how far from a class is too far; without them no class is answered.
        """
        fitted = [picture.fitted for picture in pictures if picture.fitted is not None]
        sizes = [picture.size for picture in pictures if picture.fitted is not None]
        if not fitted:
            return []
        output = self.network.run(np.stack(fitted))
        distances = [None] * len(fitted) if output.distances is None else list(output.distances)
        answers = [
            None if limits is None or row is None else limits.answer(self._names, row)
            for row in distances
        ]
        names = [
            one if one is not None else answer for one, answer in zip(stated, answers, strict=True)
        ]
        blank = self._masks.blank(fitted, names)
        if blank is not None:  # the class is told from the whole picture, the score from its part
            output = self.network.run(np.stack(blank))
        causes = [
            None if size is None else find_cause(self._limits, name, measure_picture(seen, size))
            for seen, size, name in zip(blank or fitted, sizes, names, strict=True)
        ]
        return [
            Found(
                self._score(output, i, names[i]),
                {name: maps[i] for name, maps in output.maps.items()},
                answers[i],
                distances[i],
                causes[i],
            )
            for i in range(len(fitted))
        ]

    def _score(self, output: Output, i: int, name: str | None) -> float:
        """The image score, over the inspected part where there is a mask."""
        inside: Bool[np.ndarray, "256 256"] = self._masks.inspected(name)
        if inside.all():
            return float(output.scores[i])
        return pool(output.maps["overall"][i][inside], self._how)
