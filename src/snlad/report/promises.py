"""What thresholds promise and what they did: limits, false alarms kept or not, escapes."""

from collections.abc import Mapping, Sequence
from typing import Any

from snlad.metrics.decisions import CLASS_POLICY, POOLED_POLICY, DecisionRow, DecisionTable
from snlad.metrics.scores import Interval
from snlad.report.html import Content, Html, Section, element, fold, name, paragraph, table

_ALL = "all classes"


def percent(share: float | None) -> str:
    """A share in [0, 1] for people; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.1f} %"


def percents(ends: Interval | None) -> str:
    """An interval of shares for people."""
    return "-" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"


def calibration_section(
    calibration: Mapping[str, Any] | None, realised: Mapping[str, DecisionTable]
) -> Section:
    """Thresholds and their promise, and what became of it where there was an evaluation.

    Args:
        calibration: the one in force, as JSON values.
        realised: decisions by policy on the test pictures one by one, as the promise is made for
            pictures and not for parts; empty without an evaluation.
    """
    if calibration is None:
        told = paragraph(
            "The model is not calibrated: it gives scores and heat maps but no OK or NG. ",
            element("code", "snlad calibrate"),
            " sets thresholds from good pictures alone.",
        )
        return Section("calibration", "Calibration", [told])
    parts: list[Content] = [
        paragraph(
            f"Version {calibration['version']} of {calibration['created']} was asked for "
            f"{percent(calibration['target_fpr'])} false alarms at most. With n calibration "
            "pictures no rate below 1 / (n + 1) can be promised, so the promise of a small class "
            "is larger. It holds for good pictures like those of the calibration."
        ),
        _limits_table(calibration),
    ]
    if realised:
        parts += [
            paragraph(
                "Realised: the share of good test pictures that are called NG, with an exact 95 % "
                "interval (Clopper-Pearson). Class thresholds promise it for each class, the "
                "pooled threshold for all classes together; a guessed class adds its own errors."
            ),
            _realised_table(calibration, realised),
        ]
    return Section("calibration", "Calibration", parts)


def decisions_section(decisions: Mapping[str, DecisionTable]) -> Section:
    """Escapes and false alarms under each policy, then by class and defect type."""
    heads = ("defects", "escapes", "recall", "95 %", "normals", "false alarms", "rate", "95 %")
    pooled = [(policy, *_decided(part.pooled)) for policy, part in decisions.items()]
    own = decisions[CLASS_POLICY]
    by_class = [(name(one), *_decided(row)) for one, row in own.classes.items()]
    by_type = [
        (element("span", name(one), ": ", name(kind)), *_decided(row)[:4])
        for one, types in own.defect_types.items()
        for kind, row in types.items()
    ]
    return Section(
        "decisions",
        "Decisions",
        [
            paragraph(
                "An escape is a defect that is called OK, a false alarm a good picture that is "
                "called NG. Views of one part count as one part. Intervals are exact "
                "(Clopper-Pearson, 95 %)."
            ),
            table("All classes, by the threshold that is used", ("policy", *heads), pooled),
            table("By class, class threshold", ("class", *heads), by_class),
            fold(
                "Escapes by defect type",
                table("Class threshold", ("class and defect", *heads[:4]), by_type),
            ),
        ],
    )


def _limits_table(calibration: Mapping[str, Any]) -> Html:
    named: list[tuple[Content, Any]] = [
        (name(one), limits) for one, limits in calibration["classes"].items()
    ]
    rows = [
        (
            label,
            str(limits["n"]),
            f"{limits['threshold']:.4g}",
            f"{limits['pixel_threshold']:.4g}",
            percent(calibration["target_fpr"]),
            percent(limits["attainable_fpr"]),
        )
        for label, limits in (*named, ("pooled", calibration["pooled"]))
    ]
    heads = ("class", "calibration pictures", "threshold", "pixel threshold", "target", "promised")
    return table("Thresholds and the share of false alarms that they promise", heads, rows)


def _realised_table(calibration: Mapping[str, Any], realised: Mapping[str, DecisionTable]) -> Html:
    """Promised against realised rates of false alarms, by class and policy."""
    classes = list(realised[CLASS_POLICY].classes)
    rows: list[Sequence[Content]] = []
    for one in (*classes, None):
        cells = (
            _kept(
                part.pooled if one is None else part.classes[one],
                _promise(calibration, policy, one, classes),
            )
            for policy, part in realised.items()
        )
        rows.append((_ALL if one is None else name(one), *cells))
    return table("Good test pictures called NG, by policy", ("class", *realised), rows)


def _decided(row: DecisionRow) -> list[Content]:
    return [
        *(str(row.defects), str(row.escapes)),
        *(percent(row.recall), percents(row.recall_interval)),
        *(str(row.normals), str(row.false_alarms)),
        *(percent(row.false_alarm_rate), percents(row.false_alarm_interval)),
    ]


def _promise(
    calibration: Mapping[str, Any], policy: str, one: str | None, classes: Sequence[str]
) -> float | None:
    """What was promised for these pictures under this policy, where something was."""
    known = calibration["classes"]
    if policy == POOLED_POLICY and one is None:
        return float(calibration["pooled"]["attainable_fpr"])
    if policy != CLASS_POLICY:
        return None
    asked = classes if one is None else [one]
    if any(each not in known for each in asked):
        return None
    return max((float(known[each]["attainable_fpr"]) for each in asked), default=None)


def _kept(row: DecisionRow, promise: float | None) -> Html:
    """One rate of false alarms beside its promise."""
    if row.false_alarm_interval is None:
        return element("span", "-")
    counted = f"{row.false_alarms} of {row.normals}: {percents(row.false_alarm_interval)}"
    parts: list[Content] = [percent(row.false_alarm_rate), element("small", counted)]
    if promise is not None:
        parts.append(element("small", f"promised {percent(promise)}"))
        if row.false_alarm_interval[0] > promise:
            parts.append(element("strong", "above the promise"))
    return element("span", *parts)
