"""The part of a report that an evaluation fills: its numbers, histograms and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snlad.metrics.decisions import DecisionTable
from snlad.metrics.scores import METRICS, Interval, ScoreRow, ScoreTable
from snlad.report.figures import draw_scores
from snlad.report.gallery import Entry, entries_table, explain_colours
from snlad.report.html import Content, Html, Section, element, fold, image, name, paragraph, table
from snlad.report.tables import HEADS

_ALL = "all classes"


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What an evaluation found, and the pictures chosen from it.

    Attributes:
        table: the seven numbers.
        scores: image scores of ``normal`` and ``defect`` test pictures and of ``calibration``
            pictures, by class and then by that group.
        decisions: what the thresholds in force decide, by policy, where the views of a part are
            one; empty without thresholds.
        realised: the same where every picture counts.
        misses: the defects that score lowest against their threshold, the lowest first.
        alarms: the normal pictures that score highest against theirs, the highest first.
        picks: one defect a class, drawn with the seed.
        gains: the defects whose rank rises most over the baseline's.
        losses: those whose rank falls most.
        heads: headings of the views of these pictures; empty where none are shown.
        uncalibrated: those of them whose model has no threshold.
        baseline: label and numbers of the model that it is compared with.
        seed: of the drawn pictures.
    """

    table: ScoreTable
    scores: Mapping[str, Mapping[str, Sequence[float]]]
    decisions: Mapping[str, DecisionTable] = field(default_factory=dict)
    realised: Mapping[str, DecisionTable] = field(default_factory=dict)
    misses: Sequence[Entry] = ()
    alarms: Sequence[Entry] = ()
    picks: Sequence[Entry] = ()
    gains: Sequence[Entry] = ()
    losses: Sequence[Entry] = ()
    heads: Sequence[str] = ()
    uncalibrated: Sequence[str] = ()
    baseline: tuple[str, ScoreTable] | None = None
    seed: int = 0


def scores_section(found: Findings) -> Section:
    """The seven numbers, a row a class, with intervals where there are some."""
    rows = [
        (name(one), *_counts(found.scores.get(one, {})), *_numbers(row, beside))
        for one, row in found.table.classes.items()
        for beside in [found.table.intervals.classes.get(one, {})]
    ]
    total = {
        group: [x for scores in found.scores.values() for x in scores.get(group, ())]
        for group in ("normal", "defect")
    }
    covered = (str(found.table.n_classes[metric]) for metric in METRICS)
    rows += [
        ("mean over classes", "", "", *_numbers(found.table.mean, found.table.intervals.mean)),
        ("classes in the mean", "", "", *covered),
        ("pooled", *_counts(total), *_numbers(found.table.pooled, found.table.intervals.pooled)),
    ]
    caption = (
        f"Protocol {found.table.protocol}, {found.table.evaluator}. Small: 95 % bootstrap "
        "intervals over pictures, of the image numbers."
    )
    return Section(
        "scores",
        "Scores by class",
        [
            paragraph(
                "Each number is between 0 and 1, and 1 is perfect. Pooled means all classes under "
                "one threshold, as on a line with one alarm."
            ),
            table(caption, ("class", "normals", "defects", *HEADS), rows),
        ],
    )


def baseline_section(label: str, other: ScoreTable, own: ScoreTable, method: str) -> Section:
    """The seven numbers of both models side by side.

    Args:
        label: of the baseline.
        other: its numbers.
        own: those of the model that the report is about.
        method: its label.
    """
    rows = [
        (
            head,
            *_pair(getattr(other.mean, metric), getattr(own.mean, metric)),
            *_pair(getattr(other.pooled, metric), getattr(own.pooled, metric)),
        )
        for metric, head in zip(METRICS, HEADS, strict=True)
    ]
    heads = ["number"] + [
        f"{part}{what}" for part in ("mean, ", "pooled, ") for what in (label, method, "difference")
    ]
    by_class = [
        (
            name(one),
            *(_pair(getattr(other.classes[one], m), getattr(row, m))[2] for m in METRICS),
        )
        for one, row in own.classes.items()
    ]
    caption = f"{method} less {label}; above 0 is better."
    return Section(
        "baseline",
        "Against the baseline",
        [
            paragraph("Both models were evaluated on the same files, labels and masks."),
            table("The seven numbers of both models", heads, rows),
            fold("Differences by class", table(caption, ("class", *HEADS), by_class)),
        ],
    )


def histogram_section(found: Findings, calibration: Mapping[str, Any] | None) -> Section:
    """How the scores of normal and defect pictures spread around the threshold."""
    every: dict[str, list[float]] = {"normal": [], "defect": [], "calibration": []}
    figures = []
    for one, groups in found.scores.items():
        for group, scores in groups.items():
            every[group] += scores
        figures.append(_histogram(name(one), one, groups, _threshold(calibration, one)))
    if len(figures) > 1:
        figures.insert(0, _histogram(_ALL, _ALL, every, _threshold(calibration, None)))
    told = "The dashed line is the threshold: of the class, or the pooled one for all classes."
    return Section(
        "histograms",
        "Score histograms",
        [
            paragraph(
                "Each group is drawn as shares of its own pictures. ",
                told if calibration else "The model is not calibrated: there is no threshold.",
            ),
            element("div", *figures, class_="figures"),
        ],
    )


def pictures_section(found: Findings) -> Section:
    """The worst misses, the worst false alarms and the qualitative comparison."""
    parts: list[Content] = [
        paragraph(
            "“Normals below” is the share of the class's good test pictures that score lower, "
            "ties as halves; its mean over the defects of a class is the class's image AUROC."
        )
    ]
    if found.heads:
        parts += explain_colours(found.uncalibrated)
    groups = [
        ("Worst misses", "The defects that score lowest against the threshold", found.misses),
        ("Worst false alarms", "The normal pictures that score highest", found.alarms),
        ("Picked by seed", f"One defect a class, drawn with seed {found.seed}", found.picks),
    ]
    if found.baseline is not None:
        groups += [
            ("Largest gains", "The defects whose rank rises most", found.gains),
            ("Largest losses", "The defects whose rank falls most", found.losses),
        ]
    for title, caption, entries in groups:
        parts.append(element("h3", title))
        parts.append(
            entries_table(caption, entries, found.heads) if entries else paragraph("There is none.")
        )
    return Section("pictures", "Pictures", parts)


def _counts(groups: Mapping[str, Sequence[float]]) -> tuple[str, str]:
    return str(len(groups.get("normal", ()))), str(len(groups.get("defect", ())))


def _numbers(row: ScoreRow, intervals: Mapping[str, Interval]) -> list[Content]:
    cells: list[Content] = []
    for metric in METRICS:
        value, ends = getattr(row, metric), intervals.get(metric)
        shown = "-" if value is None else f"{value:.3f}"
        small = [] if ends is None else [element("small", f"{ends[0]:.3f} to {ends[1]:.3f}")]
        cells.append(element("span", shown, *small))
    return cells


def _pair(before: float | None, after: float | None) -> list[Content]:
    shown = ["-" if value is None else f"{value:.3f}" for value in (before, after)]
    if before is None or after is None:
        return [*shown, "-"]
    return [*shown, f"{after - before:+.3f}"]


def _threshold(calibration: Mapping[str, Any] | None, one: str | None) -> float | None:
    if calibration is None:
        return None
    limits = calibration["classes"].get(one, calibration["pooled"])
    return float(limits["threshold"])


def _histogram(
    caption: Content, label: str, groups: Mapping[str, Sequence[float]], threshold: float | None
) -> Html:
    told = [
        f"{len(scores)} {group} from {min(scores):.4g} to {max(scores):.4g}"
        for group, scores in groups.items()
        if scores
    ]
    told += [] if threshold is None else [f"threshold {threshold:.4g}"]
    alt = f"Histogram of image scores, {label}: {', '.join(told)}"
    picture = image(draw_scores(groups, threshold), alt)
    return element("figure", element("figcaption", caption), picture)
