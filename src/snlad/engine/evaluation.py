"""What an evaluation found: numbers, notes, and what the thresholds decide; without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snlad.calibration.record import Calibration
from snlad.data.masks import read_truth
from snlad.data.samples import Dataset, Sample
from snlad.engine.scored import ScoredPicture, pictures_digest, save_scored
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
            nobody passes it; empty without thresholds. Views of one part count once.
        pictures: the scored pictures one by one; empty for maps of another method.
        probes: ``Probes.summary()`` of the model, empty where it was not probed; ``None`` where
            there is no model that could be.
    """

    table: ScoreTable
    notes: list[str]
    decisions: Mapping[str, DecisionTable] = field(default_factory=dict)
    pictures: Sequence[ScoredPicture] = ()
    probes: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """What ``scores.json`` holds: the table, digest of the pictures, decisions and probes."""
        found = self.table.to_dict()
        if self.pictures:
            found["data"] = pictures_digest(self.pictures)
        if self.decisions:
            found["decisions"] = {name: part.to_dict() for name, part in self.decisions.items()}
        if self.probes is not None:
            found["probes"] = dict(self.probes)
        return found

    def save(self, run: Path) -> None:
        """Keep it with the run, for its card, for comparison and report; the last one counts."""
        save_scored(run, self.to_dict(), self.pictures)


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


def decide(
    calibration: Calibration, pictures: Sequence[ScoredPicture]
) -> tuple[dict[str, DecisionTable], list[ScoredPicture]]:
    """What the thresholds make of scored test pictures, under each policy.

    Returns:
        The decisions, and the pictures with theirs filled in.
    """
    policies = _policies(calibration, pictures)
    tables = {name: decision_table(_by_part(pictures, ng)) for name, ng in policies.items()}
    decided = [
        one.model_copy(update={"is_ng": {name: ng[i] for name, ng in policies.items()}})
        for i, one in enumerate(pictures)
    ]
    return tables, decided


def _policies(calibration: Calibration, pictures: Sequence[ScoredPicture]) -> dict[str, list[bool]]:
    """Which pictures are NG under each policy."""
    policies = {
        "pooled threshold": [one.score > calibration.pooled.threshold for one in pictures],
        "class threshold": [
            one.score > calibration.limits(one.class_name).threshold for one in pictures
        ],
    }
    if calibration.answer_limits is not None:
        policies["guessed class threshold"] = [
            one.answer is None or one.score > calibration.limits(one.answer).threshold
            for one in pictures
        ]
    return policies


def _by_part(pictures: Sequence[ScoredPicture], is_ng: Sequence[bool]) -> list[Decision]:
    """One decision a part: NG where any of its views is, a defect where any view shows one.

    A picture without a part is a part of its own.
    """
    parts: dict[tuple[str, str | int], list[int]] = {}
    for index, one in enumerate(pictures):
        parts.setdefault((one.class_name, one.part_id or index), []).append(index)
    return [
        Decision(
            class_name,
            next((pictures[i].defect_type for i in views if pictures[i].is_anomalous), "good"),
            any(pictures[i].is_anomalous for i in views),
            any(is_ng[i] for i in views),
        )
        for (class_name, _), views in parts.items()
    ]
