"""Score tables as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from snlad.metrics.scores import METRICS

HEADS = ("img AUROC", "img AP", "img F1", "px AUROC", "px AP", "px F1", "AUPRO")
"""Of the seven numbers, in the order of ``METRICS``."""


def format_scores(scores: Mapping[str, Any]) -> str:
    """The table of ``snlad evaluate``: a row a class, then mean, classes covered and pooled.

    Args:
        scores: ``Evaluation.to_dict()``.
    """
    rows: list[Sequence[str]] = [("class", *HEADS)]
    rows += [(name, *_cells(row)) for name, row in scores["classes"].items()]
    counts = [str(scores["n_classes"][metric]) for metric in METRICS]
    rows += [
        ("mean over classes", *_cells(scores["mean"])),
        ("classes in the mean", *counts),
        ("pooled", *_cells(scores["pooled"])),
    ]
    parts = [f"protocol {scores['protocol']}, {scores['evaluator']}", align(rows)]
    parts += _intervals(scores["intervals"])
    parts += [_decisions(name, table) for name, table in scores.get("decisions", {}).items()]
    if "probes" in scores:
        parts.append(format_interference(scores["probes"]))
    return "\n".join(parts)


def _intervals(intervals: Mapping[str, Any]) -> list[str]:
    """Where another choice of test images would put the mean and the pooled image numbers."""
    lines = []
    for label, part in (("mean", intervals["mean"]), ("pooled", intervals["pooled"])):
        if part:
            cells = (
                f"{head} {part[metric][0]:.3f}..{part[metric][1]:.3f}"
                for metric, head in zip(METRICS, HEADS, strict=True)
                if metric in part
            )
            lines.append(f"95 % interval over images, {label}: {', '.join(cells)}")
    return lines


def format_interference(probes: Mapping[str, Any]) -> str:
    """One line: whether the model notices where two classes are mixed.

    Args:
        probes: ``Probes.summary()``, empty where the model was not probed.
    """
    if not probes:
        return "interference: not probed; snlad probe RUN DATA"
    names = ("mixup_image_auroc", "cutpaste_image_auroc", "cutpaste_pixel_auroc", "eta_squared")
    mixup, image, pixel, eta = (
        "-" if probes[name] is None else f"{probes[name]:.3f}" for name in names
    )
    mixups, cutpastes = probes["mixups"], probes["cutpastes"]
    n = f"{mixups} each" if mixups == cutpastes else f"{mixups} and {cutpastes}"
    return (
        f"interference: Mixup image AUROC {mixup}, CutPaste image {image} / pixel {pixel}, "
        f"eta squared {eta} (n = {n}, seed {probes['seed']})"
    )


def _decisions(policy: str, table: Mapping[str, Any]) -> str:
    """Escapes and false alarms under one policy, a row a class and defect type."""
    rows: list[Sequence[str]] = [
        (policy, "defects", "escapes", "recall", "95 %", "normals", "false alarms", "rate", "95 %")
    ]
    for name, row in table["classes"].items():
        rows.append((name, *_decision_cells(row)))
        types = table["defect_types"][name]
        rows += [(f"  {kind}", *_decision_cells(part)) for kind, part in types.items()]
    rows.append(("all", *_decision_cells(table["pooled"])))
    return f"\n{align(rows)}"


def _decision_cells(row: Mapping[str, Any]) -> list[str]:
    return [
        str(row["defects"]),
        str(row["escapes"]),
        *_share(row["recall"], row["recall_interval"]),
        str(row["normals"]),
        str(row["false_alarms"]),
        *_share(row["false_alarm_rate"], row["false_alarm_interval"]),
    ]


def _share(value: float | None, interval: Sequence[float] | None) -> list[str]:
    if value is None or interval is None:
        return ["-", "-"]
    return [f"{value:.3f}", f"{interval[0]:.3f}..{interval[1]:.3f}"]


def format_limits(
    classes: Mapping[str, Mapping[str, Any]],
    pooled: Mapping[str, Any],
    inseparable: Sequence[Sequence[str]] = (),
) -> str:
    """The table of ``snlad calibrate``: thresholds and what they promise, a row a class.

    Args:
        classes: ``Limits`` as mappings, by class name.
        pooled: those of all classes taken together.
        inseparable: groups of classes that share their thresholds.
    """
    shared = {name for group in inseparable for name in group}
    rows: list[Sequence[str]] = [("class", "pictures", "threshold", "pixel", "promised FPR")]
    rows += [_limits_cells(name, row, is_shared=name in shared) for name, row in classes.items()]
    rows.append(_limits_cells("pooled", pooled, is_shared=False))
    together = (f"cannot be told apart, thresholds shared: {', '.join(g)}" for g in inseparable)
    return "\n".join((align(rows), *together))


def _limits_cells(name: str, row: Mapping[str, Any], *, is_shared: bool) -> Sequence[str]:
    remarks = ["too few"] * row["is_short"] + ["shared"] * is_shared
    return (
        name,
        str(row["n"]),
        f"{row['threshold']:.4g}",
        f"{row['pixel_threshold']:.4g}",
        f"{row['attainable_fpr']:.3f}" + (f" ({', '.join(remarks)})" if remarks else ""),
    )


def format_repeatability(classes: Mapping[str, Mapping[str, Any]]) -> str:
    """How scores repeat, a row a class.

    Args:
        classes: ``Repeatability`` as mappings, by class name.
    """
    rows: list[Sequence[str]] = [
        ("class", "repeated", "shots", "deviation", "widest", "across the threshold")
    ]
    rows += [
        (
            name,
            str(row["repeats"]),
            str(row["shots"]),
            f"{row['deviation']:.3g}",
            f"{row['widest']:.3g}",
            str(row["flips"]),
        )
        for name, row in classes.items()
    ]
    return align(rows)


def align(rows: Sequence[Sequence[str]]) -> str:
    """Text rows as columns: the first flush left, the others flush right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _cells(row: Mapping[str, float | None]) -> list[str]:
    return ["-" if row[metric] is None else f"{row[metric]:.3f}" for metric in METRICS]
