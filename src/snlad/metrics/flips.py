"""Verdicts that two models disagree on, counted, and whether chance alone would explain them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from snlad.metrics.decisions import Decision

FlipKind = Literal["escape mended", "new escape", "false alarm mended", "new false alarm"]
KINDS: tuple[FlipKind, ...] = (
    "escape mended",
    "new escape",
    "false alarm mended",
    "new false alarm",
)


@dataclass(frozen=True, slots=True)
class FlipRow:
    """Counts of flipped verdicts, for defects and normals apart.

    Attributes:
        defects: defect pictures, flipped or not.
        escapes_mended: those that were OK before and are NG after.
        new_escapes: those that were NG before and are OK after.
        defects_p: McNemar's p-value of these two; ``None`` without a defect.
        normals: normal pictures, flipped or not.
        false_alarms_mended: those that were NG before and are OK after.
        new_false_alarms: those that were OK before and are NG after.
        normals_p: McNemar's p-value of these two; ``None`` without a normal picture.
    """

    defects: int
    escapes_mended: int
    new_escapes: int
    defects_p: float | None
    normals: int
    false_alarms_mended: int
    new_false_alarms: int
    normals_p: float | None


@dataclass(frozen=True, slots=True)
class FlipTable:
    """Rows by class and of all pictures."""

    classes: Mapping[str, FlipRow]
    pooled: FlipRow

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts for JSON."""
        return asdict(self)


def flip_kind(is_anomalous: bool, is_ng: bool) -> FlipKind:
    """What a flip did, by the picture's label and its verdict after it."""
    if is_anomalous:
        return "escape mended" if is_ng else "new escape"
    return "new false alarm" if is_ng else "false alarm mended"


def flip_table(before: Sequence[Decision], after: Sequence[Decision]) -> FlipTable:
    """Count the flips between two decisions on each of the same pictures, in the same order."""
    pairs = list(zip(before, after, strict=True))
    names = sorted({one.class_name for one in before})
    return FlipTable(
        {name: _count([p for p in pairs if p[0].class_name == name]) for name in names},
        _count(pairs),
    )


def _count(pairs: Sequence[tuple[Decision, Decision]]) -> FlipRow:
    labels = [one.is_anomalous for one, _ in pairs]
    kinds = [
        flip_kind(one.is_anomalous, other.is_ng) for one, other in pairs if one.is_ng != other.is_ng
    ]
    defects, normals = labels.count(True), labels.count(False)
    mended, escaped, silenced, alarmed = (kinds.count(kind) for kind in KINDS)
    return FlipRow(
        defects=defects,
        escapes_mended=mended,
        new_escapes=escaped,
        defects_p=mcnemar(mended, escaped) if defects else None,
        normals=normals,
        false_alarms_mended=silenced,
        new_false_alarms=alarmed,
        normals_p=mcnemar(silenced, alarmed) if normals else None,
    )


def mcnemar(one_way: int, other_way: int) -> float:
    """Chance of flips at least as one-sided as these if both directions are equally likely.

    Two-sided and exact; 1 without a flip.

    Source: McNemar, Psychometrika 12 (1947), as a binomial test of the discordant pairs.
    """
    from scipy.stats import binomtest  # half a second, which only a comparison needs to pay

    flips = one_way + other_way
    return float(binomtest(one_way, flips).pvalue) if flips else 1.0
