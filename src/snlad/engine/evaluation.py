"""What an evaluation found: numbers, notes, and what the thresholds decide; without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snlad.calibration.record import Calibration, Limits
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
            pictures, ``class threshold`` for each by its true class; empty without thresholds.
    """

    table: ScoreTable
    notes: list[str]
    decisions: Mapping[str, DecisionTable] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What ``scores.json`` holds: the table's form, and ``decisions`` where there are some."""
        decisions = {name: table.to_dict() for name, table in self.decisions.items()}
        return self.table.to_dict() | ({"decisions": decisions} if decisions else {})


def decide(
    calibration: Calibration, judged: Sequence[tuple[Sample, float]]
) -> dict[str, DecisionTable]:
    """Decisions on scored test pictures, under one threshold for all and under each class's own."""

    def table(limits: Sequence[Limits]) -> DecisionTable:
        return decision_table(
            [
                Decision(
                    sample.class_name,
                    sample.defect_type,
                    sample.is_anomalous,
                    score > limit.threshold,
                )
                for (sample, score), limit in zip(judged, limits, strict=True)
            ]
        )

    return {
        "pooled threshold": table([calibration.pooled] * len(judged)),
        "class threshold": table([calibration.limits(sample.class_name) for sample, _ in judged]),
    }
