"""Rows and tables of the seven numbers, in Python and as JSON."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from math import fsum
from typing import Any, Generic, Literal, TypeVar

from snlad.errors import MetricError
from snlad.metrics.protocols import find_protocol

T = TypeVar("T")


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
class ByRow(Generic[T]):
    """Something that stands beside a metric in some rows: an interval, a bound."""

    classes: Mapping[str, Mapping[str, T]] = field(default_factory=dict)
    mean: Mapping[str, T] = field(default_factory=dict)
    pooled: Mapping[str, T] = field(default_factory=dict)


Interval = tuple[float, float]
EvaluatorName = Literal["exact", "streaming"]


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Rows by class, sorted by name, and all images pooled under one threshold.

    Attributes:
        protocol: the rules that the numbers follow.
        classes: a row a class.
        pooled: the row of all images together.
        evaluator: ``streaming`` where the pixel metrics carry an error.
        intervals: 95 % bootstrap intervals of the image metrics.
        bounds: largest possible error of each streamed number, above and below.
    """

    protocol: str
    classes: Mapping[str, ScoreRow]
    pooled: ScoreRow
    evaluator: EvaluatorName = "exact"
    intervals: ByRow[Interval] = field(default_factory=ByRow)
    bounds: ByRow[float] = field(default_factory=ByRow)

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
            "evaluator": self.evaluator,
            "n_classes": self.n_classes,
            "classes": {name: asdict(row) for name, row in self.classes.items()},
            "mean": asdict(self.mean),
            "pooled": asdict(self.pooled),
            "intervals": asdict(self.intervals),
            "bounds": asdict(self.bounds),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ScoreTable":
        """Read what `to_dict` wrote; mean and n_classes are computed again.

        Raises:
            MetricError: a part is missing or is not a row of the seven metrics.
            UsageError: the protocol is unknown.
        """
        try:
            return cls(
                find_protocol(content["protocol"]).name,
                {name: _read_row(row) for name, row in content["classes"].items()},
                _read_row(content["pooled"]),
                content["evaluator"],
                _read_beside(content["intervals"], lambda ends: (float(ends[0]), float(ends[1]))),
                _read_beside(content["bounds"], float),
            )
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise MetricError(
                f"the score table cannot be read ({error!r}): it needs protocol, classes and "
                "pooled, seven numbers a row, so write it again with  snlad evaluate"
            ) from error


def _read_row(row: Mapping[str, Any]) -> ScoreRow:
    """Read a row of exactly the seven metrics, each None or a number in [0, 1]."""
    if set(row) != set(METRICS):
        raise ValueError(f"a row holds {sorted(row)}")
    for metric, value in row.items():
        if value is not None and not 0.0 <= value <= 1.0:
            raise ValueError(f"{metric} is {value}")
    return ScoreRow(**row)


def _read_beside(rows: Mapping[str, Any], read: Callable[[Any], T]) -> ByRow[T]:
    """Read what stands beside the metrics of some rows."""
    return ByRow(
        {name: {m: read(v) for m, v in row.items()} for name, row in rows["classes"].items()},
        {m: read(v) for m, v in rows["mean"].items()},
        {m: read(v) for m, v in rows["pooled"].items()},
    )
