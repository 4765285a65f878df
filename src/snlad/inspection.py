"""The networks' part of an inspection: loaded pictures in, scores and maps out; no thresholds."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from snlad.calibration.class_answer import AnswerLimits
from snlad.data.images import to_input
from snlad.data.limits import Cause, find_cause, measure_picture
from snlad.data.loading import Picture
from snlad.data.roi import FittedRois
from snlad.metrics.protocols import Protocol
from snlad.model_folder import LoadedModel
from snlad.models.detector import Detector
from snlad.models.memory import FeatureMemory, remember
from snlad.models.statistics import channel_statistics
from snlad.pyramid import Pyramid


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
    maps: dict[str, NDArray[np.float32]]
    answer: str | None
    distances: NDArray[np.float64] | None
    cause: Cause | None


class Inspector:
    """The networks of a model on one device.

    Args:
        loaded: a checked model folder.
        device: where they run.

    Attributes:
        map_names: the maps that it finds; ``overall`` is the last.
        masks: inspection masks at the sizes of input and maps.
    """

    def __init__(self, loaded: LoadedModel, device: torch.device) -> None:
        self._detector: Detector = loaded.detector.to(
            device=device, memory_format=torch.channels_last
        )  # type: ignore[call-overload] # torch's stub lacks this form
        self._class_answer, self._limits = loaded.class_answer, loaded.card.limits
        self._device = device
        self.map_names = (*self._detector.map_names, "overall")
        self.masks = FittedRois(loaded.rois, loaded.card.config.image_size)

    def under(self, protocol: Protocol) -> "Inspector":
        """The same networks with the image score and the smoothing of an evaluation protocol."""
        other = copy(self)
        other._detector = copy(self._detector)
        other._detector.score, other._detector.kernel_px = protocol.score, protocol.kernel_px
        return other

    def remember(self, memory: FeatureMemory | None) -> None:
        """Look the teacher's features up from now on; ``None`` computes them every time."""
        remember(self._detector.teacher, memory)

    @torch.inference_mode()
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
        teacher, student = self._detector.features(self._to_images(fitted))
        answers = self._answer_classes(teacher, limits)
        names = [
            one if one is not None else answer
            for one, (answer, _) in zip(stated, answers, strict=True)
        ]
        blank = self.masks.blank(fitted, names)
        if blank is not None:  # the class is told from the whole picture, the score from its part
            teacher, student = self._detector.features(self._to_images(blank))
        scores, maps = self._score(teacher, student, names)
        causes = [
            None if size is None else find_cause(self._limits, name, measure_picture(seen, size))
            for seen, size, name in zip(blank or fitted, sizes, names, strict=True)
        ]
        return [
            Found(score, {name: map_[i] for name, map_ in maps.items()}, *answers[i], causes[i])
            for i, score in enumerate(scores)
        ]

    def _score(
        self, teacher: Pyramid, student: Pyramid, names: Sequence[str | None]
    ) -> tuple[list[float], dict[str, NDArray[np.float32]]]:
        """Image scores, and maps (B, 256, 256) by name."""
        raw = self._detector.raw_maps(teacher, student)
        overall = self._detector.overall(raw)
        valid = self.masks.valid(names)
        inside = None if valid is None else torch.from_numpy(valid).to(self._device)
        scores: list[float] = self._detector.image_score(overall, inside).tolist()
        maps = {**raw, "overall": overall}
        return scores, {name: map_.cpu().numpy()[:, 0] for name, map_ in maps.items()}

    def _to_images(self, fitted: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        images = torch.from_numpy(to_input(np.stack(fitted))).to(self._device)
        return images.contiguous(memory_format=torch.channels_last)

    def _answer_classes(
        self, teacher: Pyramid, limits: AnswerLimits | None
    ) -> list[tuple[str | None, NDArray[np.float64] | None]]:
        """The class that the model answers and the distances behind it, a picture each."""
        if self._class_answer is None:
            return [(None, None)] * len(teacher[0])
        distances = self._class_answer.distances(channel_statistics(teacher).cpu().numpy())
        return [
            (None if limits is None else limits.answer(self._class_answer.names, row), row)
            for row in distances
        ]
