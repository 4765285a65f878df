"""The exact evaluator of protocol snlad-v1 and the table that it fills."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import fsum, isfinite
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from snlad.errors import MetricError, UsageError
from snlad.metrics.exact import ClassScores, exact_numbers

PROTOCOL = "snlad-v1"
PROTOCOLS = (PROTOCOL, "snlad-v1-max")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """The seven numbers of a class, a mean or a pool: each in [0, 1], None where undefined."""

    image_auroc: float | None = None
    image_ap: float | None = None
    image_f1_max: float | None = None
    pixel_auroc: float | None = None
    pixel_ap: float | None = None
    pixel_f1_max: float | None = None
    aupro: float | None = None

    @property
    def mad(self) -> float | None:
        """Mean of the seven, None where any of them is."""
        values = [getattr(self, metric) for metric in METRICS]
        return None if None in values else fsum(values) / len(values)


METRICS = tuple(metric.name for metric in fields(ScoreRow))


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Rows by class, sorted by name, and all images pooled under one threshold."""

    protocol: str
    classes: Mapping[str, ScoreRow]
    pooled: ScoreRow

    @property
    def mean(self) -> ScoreRow:
        """Plain mean of each metric over the classes where it is defined."""
        defined = {metric: self._defined(metric) for metric in METRICS}
        return ScoreRow(**{name: fsum(row) / len(row) for name, row in defined.items() if row})

    @property
    def n_classes(self) -> dict[str, int]:
        """How many classes the mean of each metric covers."""
        return {metric: len(self._defined(metric)) for metric in METRICS}

    def _defined(self, metric: str) -> list[float]:
        values = [getattr(row, metric) for row in self.classes.values()]
        return [value for value in values if value is not None]

    def to_dict(self) -> dict[str, Any]:
        """Return what `scores.json` holds: plain dicts, floats and None."""
        return {
            "protocol": self.protocol,
            "n_classes": self.n_classes,
            "classes": {name: asdict(row) for name, row in self.classes.items()},
            "mean": asdict(self.mean),
            "pooled": asdict(self.pooled),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ScoreTable":
        """Read what `to_dict` wrote; mean and n_classes are computed again.

        Raises:
            MetricError: a part is missing or is not a row of the seven metrics.
            UsageError: the protocol is unknown.
        """
        try:
            classes = {name: _read_row(row) for name, row in content["classes"].items()}
            return cls(_known(content["protocol"]), classes, _read_row(content["pooled"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MetricError(
                f"the score table cannot be read ({error!r}): it needs protocol, classes and "
                "pooled, seven numbers a row, so write it again with  snlad evaluate"
            ) from error


class Evaluator:
    """Exact metrics over every image added; holds 4 bytes a pixel, and 8 a defect pixel.

    Args:
        protocol: name of the rules that the added scores follow, one of `PROTOCOLS`; it names the
            numbers and changes none, since pooling a map into a score happens before.

    Raises:
        UsageError: the protocol is unknown.
    """

    def __init__(self, protocol: str = PROTOCOL) -> None:
        self.protocol = _known(protocol)
        self._classes: dict[str, ClassScores] = {}

    def add(
        self,
        class_name: str,
        *,
        score: float,
        is_anomalous: bool,
        anomaly_map: Float[np.ndarray, "H W"] | None,
        mask: Shaped[np.ndarray, "..."] | None,
        roi: Shaped[np.ndarray, "..."] | None = None,
    ) -> None:
        """Take in one image; nothing is scaled, squashed or averaged per image or batch.

        Args:
            class_name: product class.
            score: image score, any finite number.
            is_anomalous: the data set's label; a mask never changes it.
            anomaly_map: raw map, ranked as float32; None leaves the image out of pixel metrics.
            mask: true on defect pixels, bool (H, W). None leaves a defect image out of pixel
                metrics; a normal image counts with an empty mask whatever is given.
            roi: true where pixels count, bool (H, W); everywhere when None.

        Raises:
            MetricError: a score or map is not finite, or a mask or roi is not bool (H, W).
        """
        if not isfinite(score):
            raise MetricError(f"class {class_name!r}: an image score is {score}, {_NOT_FINITE}")
        pixels = None if anomaly_map is None else _finite(class_name, anomaly_map)
        if pixels is not None:
            _check_plane(class_name, "mask", mask, pixels)
            _check_plane(class_name, "roi", roi, pixels)
        kept = self._classes.setdefault(class_name, ClassScores())
        (kept.anomalous if is_anomalous else kept.normal).append(float(score))
        if pixels is not None and (mask is not None or not is_anomalous):
            kept.add_pixels(pixels, mask if is_anomalous else None, roi)

    def table(self) -> ScoreTable:
        """Compute every row; images may be added afterwards and the table asked for again."""
        for kept in self._classes.values():
            kept.settle()
        names = sorted(self._classes)
        rows = {name: ScoreRow(**exact_numbers([self._classes[name]])) for name in names}
        pooled = ScoreRow(**exact_numbers([self._classes[name] for name in names]))
        return ScoreTable(self.protocol, rows, pooled)


_NOT_FINITE = "and only finite numbers can be ranked: look for a diverged model or a broken input"


def _finite(class_name: str, anomaly_map: np.ndarray) -> np.ndarray:
    """Bring a map to float32, which must stay finite."""
    with np.errstate(over="ignore"):  # overflow becomes inf, which is refused below
        pixels = anomaly_map.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise MetricError(f"class {class_name!r}: a map holds NaN or inf, {_NOT_FINITE}")
    return pixels


def _check_plane(class_name: str, name: str, plane: np.ndarray | None, pixels: np.ndarray) -> None:
    """Refuse a mask or roi that is not bool or does not lie on its map."""
    if plane is not None and (plane.dtype != np.bool_ or plane.shape != pixels.shape):
        raise MetricError(
            f"class {class_name!r}: a {name} is {plane.dtype} {plane.shape} on a map of "
            f"{pixels.shape}, it must be bool of the map's shape: use fit_{name} first"
        )


def _known(protocol: str) -> str:
    """Let a known protocol through."""
    if protocol not in PROTOCOLS:
        raise UsageError(f"protocol {protocol!r} is unknown: choose one of {', '.join(PROTOCOLS)}")
    return protocol


def _read_row(row: Mapping[str, Any]) -> ScoreRow:
    """Read a row of exactly the seven metrics, each None or a number in [0, 1]."""
    if set(row) != set(METRICS):
        raise ValueError(f"a row holds {sorted(row)}")
    for metric, value in row.items():
        if value is not None and not 0.0 <= value <= 1.0:
            raise ValueError(f"{metric} is {value}")
    return ScoreRow(**row)
