"""Two evaluations of the same pictures side by side: paired differences and flipped verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snlad.engine.evaluated_run import EvaluatedRun
from snlad.engine.evaluation import by_part
from snlad.engine.scored import pictures_digest
from snlad.errors import UsageError
from snlad.metrics.bootstrap import ImageScores, paired_intervals
from snlad.metrics.flips import KINDS, FlipKind, FlipTable, flip_kind, flip_table
from snlad.metrics.scores import METRICS, ByRow, Interval, ScoreRow, ScoreTable

Differences = Mapping[str, float | None]


@dataclass(frozen=True)
class Flip:
    """A picture whose verdict differs; path, class and defect type as in ``ScoredPicture``."""

    class_name: str
    path: str
    defect_type: str
    kind: FlipKind
    score_a: float
    threshold_a: float
    score_b: float
    threshold_b: float


@dataclass(frozen=True)
class Comparison:
    """What changed from A to B.

    Attributes:
        protocol: the rules of all numbers.
        data: digest of the pictures, labels and masks.
        a: the evaluation before; metrics that B lacks are left out of its rows, and so for B.
        b: the evaluation after.
        differences: B minus A, ``None`` where either is undefined.
        intervals: 95 % paired bootstrap intervals of the image metrics' differences.
        flips: by class, then kind, then path; ``None`` where a side has no thresholds.
        flip_counts: of parts, where pictures are views of one; ``None`` likewise.
    """

    protocol: str
    data: str
    a: EvaluatedRun
    b: EvaluatedRun
    differences: ByRow[float | None]
    intervals: ByRow[Interval]
    flips: Sequence[Flip] | None
    flip_counts: FlipTable | None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, floats and None, for JSON and the report."""
        return {
            "protocol": self.protocol,
            "data": self.data,
            "pictures": len(self.a.pictures),
            "n_classes": self.a.table.n_classes,
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "differences": asdict(self.differences),
            "intervals": asdict(self.intervals),
            "flips": None if self.flips is None else [asdict(flip) for flip in self.flips],
            "flip_counts": None if self.flip_counts is None else self.flip_counts.to_dict(),
        }


def require_thresholds(has_thresholds: Mapping[str, bool]) -> None:
    """Refuse a limit of flips where a run, by its name, cannot tell them.

    Raises:
        UsageError: it has no thresholds.
    """
    for run, has in has_thresholds.items():
        if not has:
            raise UsageError(
                f"--max-flips counts verdicts and {run} has no thresholds; set some with  snlad "
                "calibrate RUN --calibration GOOD  and evaluate it again"
            )


def compare(a: EvaluatedRun, b: EvaluatedRun) -> Comparison:
    """Subtract A from B and list the pictures whose verdict flips.

    Raises:
        UsageError: the two follow different protocols or are not of the same data.
    """
    require_one_protocol(a.run, a.table.protocol, b.run, b.table.protocol)
    data, other = pictures_digest(a.pictures), pictures_digest(b.pictures)
    if data != other:
        raise UsageError(
            f"{a.run} and {b.run} were evaluated on different data ({data[:12]} and {other[:12]}):"
            " pictures, labels or masks differ; evaluate both on the same with  snlad evaluate RUN"
            " DATA, or give  --data DATA"
        )
    a, b = _where_both(a, b), _where_both(b, a)
    is_judged = a.thresholds is not None and b.thresholds is not None
    return Comparison(
        a.table.protocol,
        data,
        a,
        b,
        _subtract(a.table, b.table),
        paired_intervals(_image_scores(a), _image_scores(b)),
        _flips(a, b) if is_judged else None,
        _count_flips(a, b) if is_judged else None,
    )


def require_one_protocol(run_a: str, protocol_a: str, run_b: str, protocol_b: str) -> None:
    """Refuse numbers of different rules.

    Raises:
        UsageError: the protocols differ.
    """
    if protocol_a != protocol_b:
        raise UsageError(
            f"{run_a} follows protocol {protocol_a} and {run_b} follows {protocol_b}, whose "
            "numbers cannot be subtracted; compare runs with the same maps.score"
        )


def _where_both(side: EvaluatedRun, other: EvaluatedRun) -> EvaluatedRun:
    """The side without what the other lacks, so that both means are over the same classes."""
    table, others = side.table, other.table
    rows = {name: _shared(row, others.classes[name]) for name, row in table.classes.items()}
    kept = ScoreTable(table.protocol, rows, _shared(table.pooled, others.pooled), table.evaluator)
    return EvaluatedRun(side.run, kept, side.thresholds, side.pictures)


def _shared(row: ScoreRow, other: ScoreRow) -> ScoreRow:
    known = {m: getattr(row, m) for m in METRICS if getattr(other, m) is not None}
    return ScoreRow(**known)


def _subtract(a: ScoreTable, b: ScoreTable) -> ByRow[float | None]:
    return ByRow(
        {name: _minus(b.classes[name], row) for name, row in a.classes.items()},
        _minus(b.mean, a.mean),
        _minus(b.pooled, a.pooled),
    )


def _minus(row: ScoreRow, other: ScoreRow) -> Differences:
    pairs = {metric: (getattr(row, metric), getattr(other, metric)) for metric in METRICS}
    return {metric: None if x is None else x - y for metric, (x, y) in pairs.items()}


def _image_scores(run: EvaluatedRun) -> dict[str, ImageScores]:
    scores: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in run.table.classes
    }
    for one in run.pictures:
        scores[one.class_name][one.is_anomalous].append(one.score)
    return {name: ImageScores(np.array(off), np.array(on)) for name, (off, on) in scores.items()}


def _flips(a: EvaluatedRun, b: EvaluatedRun) -> list[Flip]:
    assert a.thresholds is not None
    assert b.thresholds is not None
    verdicts = zip(a.pictures, b.pictures, a.is_ng(), b.is_ng(), strict=True)
    flips = [
        Flip(
            one.class_name,
            one.path,
            one.defect_type,
            flip_kind(one.is_anomalous, after),
            one.score,
            a.thresholds[one.class_name],
            other.score,
            b.thresholds[one.class_name],
        )
        for one, other, before, after in verdicts
        if before != after
    ]
    return sorted(flips, key=lambda flip: (flip.class_name, KINDS.index(flip.kind), flip.path))


def _count_flips(a: EvaluatedRun, b: EvaluatedRun) -> FlipTable:
    """By part; the parts are those of A, since B's pictures are the same."""
    return flip_table(by_part(a.pictures, a.is_ng()), by_part(a.pictures, b.is_ng()))
