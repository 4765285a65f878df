"""A run with its evaluation, read back for comparison and checked to be of one piece."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from snlad.engine.scored import ScoredPicture, load_scored
from snlad.errors import ArtifactError, MetricError
from snlad.metrics.decisions import CLASS_POLICY
from snlad.metrics.scores import ScoreTable

_AGAIN = "write it again with  snlad evaluate RUN DATA"


@dataclass(frozen=True)
class EvaluatedRun:
    """A run and its evaluation, checked.

    Attributes:
        run: the folder, as given.
        table: the seven numbers.
        thresholds: of each class; ``None`` without a calibration.
        pictures: sorted by class and path.
    """

    run: str
    table: ScoreTable
    thresholds: Mapping[str, float] | None
    pictures: Sequence[ScoredPicture]

    def is_ng(self) -> list[bool]:
        """The verdict on each picture by the threshold of its class."""
        assert self.thresholds is not None
        return [one.score > self.thresholds[one.class_name] for one in self.pictures]

    def to_dict(self) -> dict[str, Any]:
        """Where the numbers come from, and the numbers."""
        rows = self.table.to_dict()
        return {
            "run": self.run,
            **{name: rows[name] for name in ("evaluator", "classes", "mean", "pooled")},
            "thresholds": None if self.thresholds is None else dict(self.thresholds),
        }


def load_evaluated(run: Path) -> EvaluatedRun:
    """The stored evaluation of a run.

    Raises:
        UsageError: the run was not evaluated.
        ArtifactError: the evaluation is damaged.
    """
    return read_evaluated(str(run), *load_scored(run))


def read_evaluated(
    run: str, scores: Mapping[str, Any], pictures: Iterable[ScoredPicture]
) -> EvaluatedRun:
    """An evaluation from ``Evaluation.to_dict()`` and its pictures.

    Raises:
        ArtifactError: numbers, thresholds and pictures do not fit each other.
    """
    pictures = sorted(pictures, key=lambda one: (one.class_name, one.path))
    try:
        table = ScoreTable.from_dict(scores)
        thresholds = _read_thresholds(scores)
        fits = set(table.classes) == {one.class_name for one in pictures} and all(
            one.is_ng.get(CLASS_POLICY)
            == (None if thresholds is None else one.score > thresholds[one.class_name])
            for one in pictures
        )
    except MetricError as error:
        raise ArtifactError(f"{run}: {error}") from None
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArtifactError(f"the evaluation of {run} is damaged ({error}); {_AGAIN}") from None
    if not fits:
        raise ArtifactError(
            f"{run}: classes or verdicts of its pictures are not those of its scores; {_AGAIN}"
        )
    return EvaluatedRun(run, table, thresholds, pictures)


def _read_thresholds(scores: Mapping[str, Any]) -> dict[str, float] | None:
    if "thresholds" not in scores:
        return None
    found = {name: float(value) for name, value in scores["thresholds"].items()}
    if not all(map(isfinite, found.values())):
        raise ValueError("a threshold is not finite")
    return found
