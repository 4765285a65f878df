"""What an evaluation found: numbers, notes, and what the thresholds decide; without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snlad.calibration.record import Calibration
from snlad.data.images import restore_size
from snlad.data.masks import read_truth
from snlad.data.roi import Rois, fit_roi
from snlad.data.samples import Dataset, Sample
from snlad.engine.scored import ScoredPicture, pictures_digest, save_scored
from snlad.metrics.decisions import (
    CLASS_POLICY,
    POOLED_POLICY,
    Decision,
    DecisionTable,
    decision_table,
)
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
        thresholds: that of each class behind the policy ``class threshold``; empty without.
        pictures: the scored pictures one by one; empty for maps of another method.
        probes: ``Probes.summary()`` of the model, empty where it was not probed; ``None`` where
            there is no model that could be.
    """

    table: ScoreTable
    notes: list[str]
    decisions: Mapping[str, DecisionTable] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    pictures: Sequence[ScoredPicture] = ()
    probes: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """What ``scores.json`` holds: the table, digest of the pictures, decisions and probes."""
        found = self.table.to_dict()
        if self.pictures:
            found["data"] = pictures_digest(self.pictures)
        if self.decisions:
            found["decisions"] = {name: part.to_dict() for name, part in self.decisions.items()}
            found["thresholds"] = dict(self.thresholds)
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
        rules: the protocol, which says at which size pixels count and how masks come to it.
        rois: inspection masks (H0, W0) by class name.
    """

    def __init__(self, dataset: Dataset, rules: Protocol, rois: Rois | None = None) -> None:
        self._rules, self._rois = rules, rois or {}
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
        size: tuple[int, int],
    ) -> None:
        """Read the picture's mask and take in its score and map.

        Args:
            sample: the picture.
            score: its image score.
            anomaly_map: of any size, brought to the protocol's; ``None`` counts no pixel.
            size: (H0, W0) of the picture.
        """
        if self._rules.resolution == "map":
            size = MAP_SIZE
        mask, was_kept = read_truth(sample, size, self._rules.mask)
        self._emptied += was_kept
        if not self.has_masks(sample) or mask is None:
            anomaly_map = mask = None
        roi = self._rois.get(sample.class_name)
        self._evaluator.add(
            sample.class_name,
            score=score,
            is_anomalous=sample.is_anomalous,
            anomaly_map=None if anomaly_map is None else restore_size(anomaly_map, size),
            mask=mask,
            roi=None if roi is None else fit_roi(roi, size),
        )

    def table(self) -> ScoreTable:
        """The numbers of all pictures taken in."""
        return self._evaluator.table()

    def notes(self) -> list[str]:
        """What a reader should know of the masks."""
        if not self._emptied:
            return []
        size = "256 x 256" if self._rules.resolution == "map" else "the size of their pictures"
        return [f"{self._emptied} masks would be empty at {size}: each keeps one pixel"]


def decide(
    calibration: Calibration, pictures: Sequence[ScoredPicture]
) -> tuple[dict[str, DecisionTable], list[ScoredPicture]]:
    """What the thresholds make of scored test pictures, under each policy.

    Returns:
        The decisions, and the pictures with theirs filled in.
    """
    policies = _policies(calibration, pictures)
    tables = {name: decision_table(by_part(pictures, ng)) for name, ng in policies.items()}
    decided = [
        one.model_copy(update={"is_ng": {name: ng[i] for name, ng in policies.items()}})
        for i, one in enumerate(pictures)
    ]
    return tables, decided


def _policies(calibration: Calibration, pictures: Sequence[ScoredPicture]) -> dict[str, list[bool]]:
    """Which pictures are NG under each policy."""
    policies = {
        POOLED_POLICY: [one.score > calibration.pooled.threshold for one in pictures],
        CLASS_POLICY: [
            one.score > calibration.limits(one.class_name).threshold for one in pictures
        ],
    }
    if calibration.answer_limits is not None:
        policies["guessed class threshold"] = [
            one.answer is None or one.score > calibration.limits(one.answer).threshold
            for one in pictures
        ]
    return policies


def by_part(pictures: Sequence[ScoredPicture], is_ng: Sequence[bool]) -> list[Decision]:
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
