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
from snlad.data.images import resize_image
from snlad.data.limits import Cause, find_cause, measure_picture
from snlad.data.loading import Picture
from snlad.data.roi import FittedRois, blank_outside
from snlad.data.tiles import Box, Canvas, TilePlan, cut
from snlad.metrics.pooling import pool
from snlad.metrics.protocols import Protocol as Rules
from snlad.model_card import ModelCard
from snlad.types import MAP_SIZE

_TILES = 4
"""Tiles that the networks see at once: few, as what they compute is larger than their maps."""

_NO_MAP = np.zeros(MAP_SIZE, np.float32)
"""Of a tile of which nothing is inspected."""

_Judged = tuple[float, dict[str, Float[np.ndarray, "H W"]]]
"""Image score, and maps by name."""


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
        maps: float32 maps by name, (256, 256), or of a canvas where the picture was cut.
        answer: class that it belongs to; ``None`` for none, or where the model cannot tell.
        distances: to each class, in the order of their names; ``None`` where it cannot tell.
        cause: why the picture is not like those of training, or ``None``.
    """

    score: float
    maps: dict[str, Float[np.ndarray, "H W"]]
    answer: str | None
    distances: Float[np.ndarray, " K"] | None
    cause: Cause | None


class Inspector:
    """The networks of a model, and what is known of its classes.

    Where the model cuts tiles, a picture has the score of its highest tile and maps that are joined
    of theirs; class and limits are those of the whole picture, stretched, as without tiles.

    Args:
        network: computes scores and maps.
        card: of the model.
        masks: inspection masks at the sizes of input and maps.
    """

    def __init__(self, network: Network, card: ModelCard, masks: FittedRois) -> None:
        self.network = network
        self._masks, self._limits = masks, card.limits
        self._tiling, self._size = card.config.tiling, card.config.image_size
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
            pictures: each with ``fitted``, and with ``original`` where the model cuts tiles. One
                without a size is not held against any limit, and to a model that cuts it is a tile,
                inspected everywhere.
            stated: class of each, where the user states it.
            limits: how far from a class is too far; without them no class is answered.
        """
        fitted = [picture.fitted for picture in pictures if picture.fitted is not None]
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
        # The class is told from the whole picture, the score from its part, or from its tiles.
        if blank is not None and self._tiling is None:
            output = self.network.run(np.stack(blank))
        causes = [
            None
            if one.size is None
            else find_cause(self._limits, name, measure_picture(seen, one.size))
            for seen, one, name in zip(blank or fitted, pictures, names, strict=True)
        ]
        judged = [self._judge(one, output, i, names[i]) for i, one in enumerate(pictures)]
        return [
            Found(score, maps, answers[i], distances[i], causes[i])
            for i, (score, maps) in enumerate(judged)
        ]

    def _judge(self, picture: Picture, output: Output, i: int, name: str | None) -> _Judged:
        """Score and maps of a picture whose whole is row ``i`` of what the networks say."""
        if self._tiling is not None and picture.size is not None:
            assert picture.original is not None, "a model that cuts tiles needs the decoded picture"
            return self._judge_tiles(picture.original, self._tiling.plan(picture.size), name)
        inside = self._masks.inspected(name if self._tiling is None else None)
        maps = {kind: found[i] for kind, found in output.maps.items()}
        return self._score(output, i, inside), maps

    def _judge_tiles(
        self, picture: UInt8[np.ndarray, "H W 3"], plan: TilePlan, name: str | None
    ) -> _Judged:
        """Highest score and joined maps; a tile of which nothing is inspected is passed over."""
        canvases = {kind: Canvas(plan) for kind in self.network.map_names}
        scores: list[float] = []
        for start in range(0, len(plan.boxes), _TILES):
            boxes = plan.boxes[start : start + _TILES]
            masks = [self._masks.of_tile(name, plan.picture, box) for box in boxes]
            seen = [i for i, (_, inside) in enumerate(masks) if inside.any()]
            if seen:
                tiles = [self._fit(picture, boxes[i], masks[i][0]) for i in seen]
                output = self.network.run(np.stack(tiles))
                scores += [self._score(output, at, masks[i][1]) for at, i in enumerate(seen)]
            for kind, canvas in canvases.items():
                for i in range(len(boxes)):
                    canvas.add(output.maps[kind][seen.index(i)] if i in seen else _NO_MAP)
        return float(np.max(scores)), {kind: canvas.map for kind, canvas in canvases.items()}

    def _fit(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        box: Box,
        seen: Bool[np.ndarray, "h w"] | None,
    ) -> UInt8[np.ndarray, "h w 3"]:
        """A tile at the input size, blank where it is not inspected."""
        fitted = resize_image(cut(picture, box), self._size)
        return fitted if seen is None else blank_outside(fitted, seen)

    def _score(self, output: Output, i: int, inside: Bool[np.ndarray, "256 256"]) -> float:
        """The image score, over the inspected part where there is a mask."""
        if inside.all():
            return float(output.scores[i])
        return pool(output.maps["overall"][i][inside], self._how)
