"""What an inspection returns and how long work reports, without torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

MAP_SIZE = (256, 256)
"""(height, width) of the anomaly map of what the networks see at once (protocol snlad-v1)."""


INPUT_SIZE = (256, 256)
"""(height, width) of the network input where nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer for one picture; a picture that could not be read has ``error`` and no score.

    Attributes:
        path: file path as given, or ``None`` for an array.
        sha256: of the file's bytes; ``None`` for an array or an unreadable file.
        pred_score: image score, higher is more anomalous; no upper limit.
        pred_label: true means anomalous; ``None`` until the model is calibrated.
        threshold: ``pred_label`` is ``pred_score > threshold``; ``None`` until calibrated.
        p_value: conformal, in (0, 1]: the chance of a score this high or higher for a good picture
            like those of the calibration; ``None`` until calibrated.
        verdict: ``ok``, ``ng`` or ``not_judged``: what to act on.
        reason: of the verdict: ``score`` where it follows from the score, else why the picture
            was not judged: ``unreadable``, ``timeout``, ``not_finite``, ``not_calibrated``,
            ``unknown_class``, ``class_mismatch``, ``size``, ``exposure`` or ``sharpness``.
        class_name: the product class, as stated or as the model answers; ``None`` where neither
            knows.
        is_unknown: the model finds that the picture is of none of its classes; ``None`` where it
            cannot tell.
        regions: ``{"box": [x, y, width, height], "area", "score"}`` of each anomalous region, in
            pixels of the picture, the highest score first; ``None`` until calibrated.
        model: the first 12 hex digits of the model's identity.
        time: of the answer, ISO 8601 in UTC.
        error: one sentence; ``None`` when the picture was judged.
        size: (height, width) of the picture in pixels; not part of the row.
        maps: float32 maps by name, (256, 256), or finer where the picture was cut into tiles; not
            part of the row.
        class_answer: the class that the model answers, whatever was stated; not part of the row.
        class_distances: to each class, in the order of their names; not part of the row.
        pred_mask: bool, of the maps' size, true on anomalous pixels; not part of the row.
        image: the decoded picture, uint8 (H0, W0, 3); not part of the row.
    """

    path: str | None
    sha256: str | None
    pred_score: float | None
    pred_label: bool | None = None
    threshold: float | None = None
    p_value: float | None = None
    verdict: Literal["ok", "ng", "not_judged"] = "not_judged"
    reason: str = "unreadable"
    class_name: str | None = None
    is_unknown: bool | None = None
    regions: list[dict[str, Any]] | None = None
    model: str
    time: str
    error: str | None = None
    size: tuple[int, int] | None = field(default=None, repr=False)
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    class_answer: str | None = field(default=None, repr=False)
    class_distances: NDArray[np.float64] | None = field(default=None, repr=False)
    pred_mask: NDArray[np.bool_] | None = field(default=None, repr=False)
    image: NDArray[np.uint8] | None = field(default=None, repr=False)

    def row(self) -> dict[str, Any]:
        """The JSON row of ``predictions.jsonl``."""
        kept_out = ("size", "maps", "class_answer", "class_distances", "pred_mask", "image")
        return {k: v for k, v in self.__dict__.items() if k not in kept_out}


Progress = Callable[[str, int, int], None]
"""Told (what is being done, how many are done, how many in all); called often, returns at once."""


def silent(_label: str, _done: int, _total: int) -> None:
    """Show no progress."""
