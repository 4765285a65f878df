"""What an evaluation found: numbers, notes, and what the thresholds decide; without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snlad.calibration.record import Calibration
from snlad.data.samples import Sample
from snlad.metrics.decisions import Decision, DecisionTable, decision_table
from snlad.metrics.scores import ScoreTable


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
