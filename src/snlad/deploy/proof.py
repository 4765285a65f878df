"""Proof that an exported model says what the trained one says, picture by picture."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from snlad.calibration.record import Calibration
from snlad.data.loading import Picture
from snlad.deploy.tolerance import Tolerance
from snlad.errors import ArtifactError, UsageError
from snlad.predict import Model
from snlad.types import Prediction, Progress

_BATCH = 16

NEAREST = 20
"""Pictures nearest to each threshold that are looked at apart."""


@dataclass(frozen=True)
class Proof:
    """How far an exported model's answers are from the trained model's.

    Attributes:
        pictures: that both inspected.
        scale: standard deviation of the calibration scores around the mean of their class.
        score_difference: largest one, in units of ``scale``.
        map_difference: largest one of a pixel, in the same units.
        flipped: pictures of which label, class, verdict or reason differs.
        near: pictures among those nearest to a threshold.
        near_flipped: flipped ones among them.
    """

    pictures: int
    scale: float
    score_difference: float
    map_difference: float
    flipped: int
    near: int
    near_flipped: int

    def require(self, allowed: Tolerance) -> None:
        """Let an export through that says what the trained model says.

        Raises:
            ArtifactError: it does not.
        """
        for what, value in (("score", self.score_difference), ("map", self.map_difference)):
            if not value <= allowed.difference:
                raise ArtifactError(
                    f"the exported model's {what} differs by {value:.2g} standard deviations of "
                    f"the calibration scores, {allowed.difference:g} are allowed; nothing was "
                    "written: try another --format or --precision"
                )
        if self.flipped > allowed.flipped * self.pictures:
            raise ArtifactError(
                f"the exported model decides {self.flipped} of {self.pictures} pictures otherwise, "
                f"a share of {allowed.flipped:g} is allowed; nothing was written: try another "
                "--format or --precision"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def prove(
    trained: Model,
    exported: Model,
    pictures: Iterable[tuple[Picture, str | None]],
    total: int,
    progress: Progress,
) -> Proof:
    """Let both models inspect pictures and compare their answers.

    Args:
        trained: calibrated.
        exported: with thresholds of its own.
        pictures: loaded, each with the class that is stated for it, if any.
        total: how many there are, for the progress.
        progress: told how far the work is.
    """
    assert trained.calibration is not None
    scale = within_class_deviation(trained.calibration)
    rows: list[_Row] = []
    apart: list[float] = []
    source, size = iter(pictures), 1 if trained.cuts_tiles else _BATCH  # a picture may be huge
    while batch := list(islice(source, size)):
        given, names = zip(*batch, strict=True)
        answers = zip(trained.judge(given, names), exported.judge(given, names), strict=True)
        for one, other in answers:
            rows.append(_compare(one, other))
            apart.append(float(np.abs(one.maps["overall"] - other.maps["overall"]).max()))
        progress("comparing", len(rows), total)
    near = _nearest(rows)
    return Proof(
        pictures=len(rows),
        scale=scale,
        score_difference=float(np.max([row.apart for row in rows])) / scale,  # NaN stays NaN
        map_difference=float(np.max(apart)) / scale,
        flipped=sum(row.is_flipped for row in rows),
        near=len(near),
        near_flipped=sum(row.is_flipped for row in near),
    )


def within_class_deviation(calibration: Calibration) -> float:
    """Standard deviation of the calibration scores around the mean of their class.

    Raises:
        UsageError: no class has two different scores.
    """
    groups = [np.array(scores) for scores in calibration.scores.values()]
    squares = sum(float(np.square(one - one.mean()).sum()) for one in groups)
    if not squares:
        raise UsageError(
            "the calibration has one score a class, so there is no scale for differences; "
            "calibrate on two or more pictures of a class"
        )
    return float(np.sqrt(squares / sum(map(len, groups))))


@dataclass(frozen=True)
class _Row:
    threshold: float
    from_threshold: float
    apart: float
    is_flipped: bool


def _compare(trained: Prediction, exported: Prediction) -> _Row:
    for one in (trained, exported):
        if one.error is not None:
            raise ArtifactError(f"{one.path or 'a picture'} could not be compared: {one.error}")
    assert trained.pred_score is not None
    assert exported.pred_score is not None
    assert trained.threshold is not None
    return _Row(
        trained.threshold,
        abs(trained.pred_score - trained.threshold),
        abs(trained.pred_score - exported.pred_score),
        _decision(trained) != _decision(exported),
    )


def _decision(answer: Prediction) -> tuple[Any, ...]:
    return answer.pred_label, answer.verdict, answer.reason, answer.class_name, answer.class_answer


def _nearest(rows: Sequence[_Row]) -> list[_Row]:
    """The pictures nearest to each threshold, at most twenty of each."""
    found: list[_Row] = []
    for threshold in {row.threshold for row in rows}:
        judged = [row for row in rows if row.threshold == threshold]
        found += sorted(judged, key=lambda row: row.from_threshold)[:NEAREST]
    return found
