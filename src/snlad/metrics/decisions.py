"""What the stored thresholds decide on labelled pictures: escapes and false alarms, counted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from snlad.metrics.scores import Interval

LEVEL = 0.95

CLASS_POLICY, POOLED_POLICY = "class threshold", "pooled threshold"
"""Each picture by the threshold of its true class, or all by one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One labelled picture that was judged.

    Attributes:
        class_name: of the data set.
        defect_type: of the data set, ``good`` for a normal picture.
        is_anomalous: the data set's label.
        is_ng: the verdict.
    """

    class_name: str
    defect_type: str
    is_anomalous: bool
    is_ng: bool


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """Counts of some pictures, and rates with Clopper-Pearson intervals at 95 %.

    Attributes:
        defects: defect pictures.
        escapes: those that were called OK.
        normals: normal pictures.
        false_alarms: those that were called NG.
        recall: share of defects that were called NG; ``None`` without one.
        recall_interval: [low, high] of it.
        false_alarm_rate: share of normals that were called NG; ``None`` without one.
        false_alarm_interval: [low, high] of it.
    """

    defects: int
    escapes: int
    normals: int
    false_alarms: int
    recall: float | None
    recall_interval: Interval | None
    false_alarm_rate: float | None
    false_alarm_interval: Interval | None


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """Rows by class, by class and defect type, and of all pictures."""

    classes: Mapping[str, DecisionRow]
    defect_types: Mapping[str, Mapping[str, DecisionRow]]
    pooled: DecisionRow

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts for ``scores.json``."""
        return asdict(self)


def decision_table(decisions: Sequence[Decision]) -> DecisionTable:
    """Count decisions by class, defect type and pooled.

    A row of a defect type has its defects alone; normals belong to no type.
    """
    names = sorted({one.class_name for one in decisions})
    by_class = {name: [one for one in decisions if one.class_name == name] for name in names}
    return DecisionTable(
        {name: count(part) for name, part in by_class.items()},
        {
            name: {
                kind: count(one for one in part if one.defect_type == kind and one.is_anomalous)
                for kind in sorted({one.defect_type for one in part if one.is_anomalous})
            }
            for name, part in by_class.items()
        },
        count(decisions),
    )


def count(decisions: Iterable[Decision]) -> DecisionRow:
    """Counts and rates of these decisions."""
    pairs = [(one.is_anomalous, one.is_ng) for one in decisions]
    found, escaped = pairs.count((True, True)), pairs.count((True, False))
    alarms, passed = pairs.count((False, True)), pairs.count((False, False))
    defects, normals = found + escaped, alarms + passed
    return DecisionRow(
        defects=defects,
        escapes=escaped,
        normals=normals,
        false_alarms=alarms,
        recall=found / defects if defects else None,
        recall_interval=clopper_pearson(found, defects) if defects else None,
        false_alarm_rate=alarms / normals if normals else None,
        false_alarm_interval=clopper_pearson(alarms, normals) if normals else None,
    )


def clopper_pearson(hits: int, n: int, level: float = LEVEL) -> Interval:
    """Exact two-sided interval of a share, from hits among n > 0.

    Source: Clopper and Pearson, Biometrika 26 (1934).
    """
    from scipy.stats import beta  # half a second, which only decisions need to pay

    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high
