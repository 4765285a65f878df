"""The verdict on one picture, from its score, its map and what is known of its class."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from snlad.calibration.record import Calibration
from snlad.calibration.regions import find_regions


def give_verdict(
    calibration: Calibration | None,
    score: float,
    overall: Float[np.ndarray, "H W"],
    inspected: Bool[np.ndarray, "H W"],
    *,
    stated: str | None,
    answer: str | None,
    is_unknown: bool | None,
    cause: str | None,
    size: tuple[int, int],
    min_area: float,
) -> dict[str, Any]:
    """The fields of a prediction that follow from the calibration.

    The label compares the score with the threshold and knows nothing else; the verdict is ``ok``
    only where the model also recognises the product and nobody contradicts it. An answer does not
    contradict a stated class that the model cannot tell from it.

    Args:
        calibration: thresholds in force; without them nothing is judged.
        score: finite image score.
        overall: smoothed map.
        inspected: pixels that count.
        stated: class that the user states.
        answer: class that the model answers, ``None`` where it belongs to none or cannot tell.
        is_unknown: the model finds that it belongs to none; ``None`` where it cannot tell.
        cause: ``size``, ``exposure`` or ``sharpness`` that is not as in training, else ``None``.
        size: (H0, W0) of the picture.
        min_area: smallest region, in pixels of the picture.
    """
    class_name = stated if stated is not None else answer
    known = {"class_name": class_name, "class_answer": answer, "is_unknown": is_unknown}
    if calibration is None:
        return {**known, "verdict": "not_judged", "reason": "not_calibrated"}
    limits = calibration.limits(class_name)
    mask = (overall > limits.pixel_threshold) & inspected
    is_ng = score > limits.threshold
    verdict, reason = ("ng" if is_ng else "ok"), "score"
    if is_unknown:
        verdict, reason = "not_judged", "unknown_class"
    elif stated is not None and answer is not None and answer not in calibration.group(stated):
        verdict, reason = "not_judged", "class_mismatch"
    elif cause is not None:
        verdict, reason = "not_judged", cause
    return {
        **known,
        "verdict": verdict,
        "reason": reason,
        "pred_label": is_ng,
        "threshold": limits.threshold,
        "p_value": calibration.p_value(class_name, score),
        "pred_mask": mask,
        "regions": find_regions(overall, mask, size, min_area),
    }
