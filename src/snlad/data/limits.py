"""What a picture must be like to be judged: size, exposure and sharpness as in training.

A camera out of focus, a lamp that is off or another resolution make pictures that a model cannot
judge, whatever score it gives. The limits are wide on purpose: from the training pictures of a
class once more their whole range to each side, and at least 25 grey levels in brightness, a factor
of 2 in sharpness and size, and a tenth in shape. A defect of the product should stay inside them.
"""

from collections.abc import Mapping, Sequence
from math import log2
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict

from snlad.data.statistics import mean_step

Cause = Literal["size", "exposure", "sharpness"]

_CAUSES: dict[str, Cause] = {
    "height": "size",
    "width": "size",
    "aspect": "size",
    "brightness": "exposure",
    "sharpness": "sharpness",
}
"""Which limit gives which reason, in the order in which they are looked at."""

_LEAST_LEVELS = 25.0
_LEAST_FACTORS = {"height": 2.0, "width": 2.0, "aspect": 1.1, "sharpness": 2.0}
_FAINTEST = 2.0**-10
"""Sharpness of a plain picture, which has no step between neighbours and no logarithm."""


class Measures(NamedTuple):
    """What is measured of a picture.

    Attributes:
        height: in pixels, before it is stretched.
        width: likewise.
        brightness: mean grey level of the stretched picture, [0, 255].
        sharpness: mean absolute step between neighbours in it, above 0 and up to 255.
    """

    height: int
    width: int
    brightness: float
    sharpness: float

    @property
    def aspect(self) -> float:
        """Height by width."""
        return self.height / self.width


class PictureLimits(BaseModel):
    """Lowest and highest value that a picture of a class may have, in the units of `Measures`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    height: tuple[float, float]
    width: tuple[float, float]
    aspect: tuple[float, float]
    brightness: tuple[float, float]
    sharpness: tuple[float, float]


def measure_picture(fitted: NDArray[np.uint8], size: tuple[int, int]) -> Measures:
    """Measure a picture as the network sees it.

    Args:
        fitted: (H, W, 3), stretched to the network's input, blank where it is not inspected.
        size: (H0, W0) of the picture in its file.
    """
    grey = np.asarray(Image.fromarray(fitted).convert("L"))
    return Measures(*size, float(grey.mean()), max(mean_step(grey), _FAINTEST))


def learn_limits(measures: Sequence[Measures]) -> PictureLimits:
    """Limits of a class from its training pictures, at least one."""
    levels = [one.brightness for one in measures]
    reach = max(max(levels) - min(levels), _LEAST_LEVELS)
    limits = {"brightness": (min(levels) - reach, max(levels) + reach)}
    for name, least in _LEAST_FACTORS.items():
        values = [float(getattr(one, name)) for one in measures]
        low, high = min(values), max(values)
        factor = 2.0 ** max(log2(high) - log2(low), log2(least))
        limits[name] = (low / factor, high * factor)
    return PictureLimits(**limits)


def find_cause(
    limits: Mapping[str, PictureLimits], class_name: str | None, measures: Measures
) -> Cause | None:
    """Why a picture cannot be judged; ``None`` where it is as in training.

    Args:
        limits: by class name.
        class_name: of the picture; one of no class here may be as in any of them.
        measures: of the picture.
    """
    own = limits.get(class_name or "")
    causes = [_cause(one, measures) for one in (limits.values() if own is None else [own])]
    return causes[0] if causes and all(causes) else None


def _cause(limits: PictureLimits, measures: Measures) -> Cause | None:
    for name, cause in _CAUSES.items():
        low, high = getattr(limits, name)
        if not low <= getattr(measures, name) <= high:
            return cause
    return None
