"""What an evaluation found: numbers, notes, and what the thresholds decide; without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snlad.calibration.record import Calibration
from snlad.data.masks import read_truth
from snlad.data.samples import Dataset, Sample
from snlad.metrics.decisions import Decision, DecisionTable, decision_table
from snlad.metrics.evaluator import Evaluator
from snlad.metrics.protocols import Protocol
from snlad.metrics.scores import ScoreTable
from snlad.types import MAP_SIZE


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        table: the seven numbers.
        notes: one sentence for each thing that a reader should know.
        decisions: what the thresholds in force decide, by policy: ``pooled threshold`` for all
            pictures, ``class threshold`` for each by its true class, ``guessed class threshold``
            by the class that the model answers, where a picture of none counts as NG because
            nobody passes it; empty without thresholds.
    """

    table: ScoreTable
    notes: list[str]
    decisions: Mapping[str, DecisionTable] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What ``scores.json`` holds: the table's form, and ``decisions`` where there are some."""
        decisions = {name: table.to_dict() for name, table in self.decisions.items()}
        return self.table.to_dict() | ({"decisions": decisions} if decisions else {})


class LabelledPictures:
    """The test pictures of a data set, brought to an evaluator with the truth about each.

    Args:
        dataset: with test samples.
        rules: the protocol, which says how masks come to map size.
    """

    def __init__(self, dataset: Dataset, rules: Protocol) -> None:
        self._rules = rules
        self._evaluator = Evaluator(rules.name)
        self._masked = {sample.class_name for sample in dataset.test if sample.mask is not None}
        self._emptied = 0

    def has_masks(self, sample: Sample) -> bool:
        """Whether the picture's class has masks, so that its maps count."""
        return sample.class_name in self._masked

    def add(
        self,
        sample: Sample,
        score: float,
        anomaly_map: NDArray[np.float32] | None,
        roi: NDArray[np.bool_] | None = None,
    ) -> None:
        """Read the picture's mask and take in its score and map."""
        mask, was_kept = read_truth(sample, MAP_SIZE, self._rules.mask)
        self._emptied += was_kept
        has_pixels = self.has_masks(sample) and mask is not None
        self._evaluator.add(
            sample.class_name,
            score=score,
            is_anomalous=sample.is_anomalous,
            anomaly_map=anomaly_map if has_pixels else None,
            mask=mask if has_pixels else None,
            roi=roi,
        )

    def table(self) -> ScoreTable:
        """The numbers of all pictures taken in."""
        return self._evaluator.table()

    def notes(self) -> list[str]:
        """What a reader should know of the masks."""
        if not self._emptied:
            return []
        return [f"{self._emptied} masks would be empty at 256 x 256: each keeps one pixel"]


@dataclass(frozen=True)
class Judged:
    """A scored test picture and the class that the model answered, if it can tell."""

    sample: Sample
    score: float
    answer: str | None


def decide(calibration: Calibration, judged: Sequence[Judged]) -> dict[str, DecisionTable]:
    """Decisions on scored test pictures, under each policy."""
    decisions = {
        "pooled threshold": _table(
            judged, [one.score > calibration.pooled.threshold for one in judged]
        ),
        "class threshold": _table(
            judged,
            [one.score > calibration.limits(one.sample.class_name).threshold for one in judged],
        ),
    }
    if calibration.answer_limits is not None:
        guessed = [
            one.answer is None or one.score > calibration.limits(one.answer).threshold
            for one in judged
        ]
        decisions["guessed class threshold"] = _table(judged, guessed)
    return decisions


def _table(judged: Sequence[Judged], is_ng: Sequence[bool]) -> DecisionTable:
    return decision_table(
        [
            Decision(s.class_name, s.defect_type, s.is_anomalous, ng)
            for s, ng in zip((one.sample for one in judged), is_ng, strict=True)
        ]
    )
