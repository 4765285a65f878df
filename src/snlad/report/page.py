"""The report of a run as one HTML page: what is in it, and in which order it is told."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from snlad.metrics.decisions import CLASS_POLICY
from snlad.metrics.scores import Interval
from snlad.report.curves import draw_curves
from snlad.report.findings import (
    Findings,
    baseline_section,
    histogram_section,
    pictures_section,
    scores_section,
)
from snlad.report.html import Content, Html, Section, element, fold, image, name, page, paragraph
from snlad.report.html import table as html_table
from snlad.report.promises import calibration_section, decisions_section, percent


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a report tells; all of it is plain values.

    Attributes:
        title: of the page, the run's name.
        method: short name of the method, ``rd-snl`` for example.
        facts: of the model, by label, in order.
        trained: normal training pictures by class.
        notes: one sentence for each thing that a reader should know before the numbers.
        calibration: the one in force, as JSON values; ``None`` without.
        findings: of an evaluation; ``None`` without one.
        probes: numbers of the interference probes, by label, and their matrix as PNG.
        log: rows of the training's log, as ``draw_curves`` takes them.
        config: every choice of the run.
        versions: of software and machine.
    """

    title: str
    method: str
    facts: Mapping[str, str]
    trained: Mapping[str, int]
    notes: Sequence[str] = ()
    calibration: Mapping[str, Any] | None = None
    findings: Findings | None = None
    probes: tuple[Mapping[str, float], bytes | None] = field(default_factory=lambda: ({}, None))
    log: Sequence[Mapping[str, Any]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)


def write_page(report: Report) -> str:
    """The page, the same for the same report."""
    lead = [paragraph(*_intertwine(report.facts)), *_notes(report.notes)]
    return page(report.title, lead, [*_measured(report), *_trained(report)])


def _measured(report: Report) -> Iterator[Section]:
    """What an evaluation, a calibration and probes found, the most important first."""
    found = report.findings
    if found is None:
        told = paragraph(
            "The run is not evaluated, so this report tells of its training only. ",
            element("code", "snlad evaluate RUN DATA"),
            " measures it on labelled test pictures and adds the rest.",
        )
        yield Section("summary", "Summary", [told])
        yield calibration_section(report.calibration, {})
        yield _probes(report)
        return
    yield Section("summary", "Summary", [_tiles(found)])
    yield scores_section(found)
    if found.baseline is not None:
        yield baseline_section(*found.baseline, found.table, report.method)
    if found.decisions:
        yield decisions_section(found.decisions)
    yield calibration_section(report.calibration, found.realised)
    yield histogram_section(found, report.calibration)
    yield _probes(report)
    yield pictures_section(found)


def _trained(report: Report) -> list[Section]:
    """How the model came to be."""
    curves: Content = paragraph("The run has no log of its training that can be read.")
    if report.log:
        buffer = BytesIO()
        draw_curves(report.log, buffer)
        curves = paragraph(image(buffer.getvalue(), "Loss and learning rate against the step"))
    counts = [(name(one), str(count)) for one, count in report.trained.items()]
    pictures = html_table("Normal training pictures", ("class", "pictures"), counts)
    config = [(key, json.dumps(value)) for key, value in _flatten(report.config)]
    versions = [(name(key), str(value)) for key, value in report.versions.items()]
    found: Content = paragraph("The run does not say.")
    if versions:
        found = html_table("At training", ("what", "version"), versions, "words")
    return [
        Section("training", "Training", [curves, fold("Training pictures by class", pictures)]),
        Section(
            "configuration",
            "Configuration",
            [fold("Every choice", html_table("Settings", ("key", "value"), config, "words"))],
        ),
        Section("versions", "Versions", [found]),
    ]


def _tiles(found: Findings) -> Html:
    """The few numbers to read first."""
    mean, ends = found.table.mean, found.table.intervals.mean
    groups = list(found.scores.values())
    normals, defects = (sum(len(one.get(g, ())) for one in groups) for g in ("normal", "defect"))
    tiles = [
        _tile("image AUROC, mean over classes", mean.image_auroc, ends.get("image_auroc")),
        _tile("pixel AUROC, mean over classes", mean.pixel_auroc, None),
        _tile("AUPRO, mean over classes", mean.aupro, None),
    ]
    if found.decisions:
        pooled = found.decisions[CLASS_POLICY].pooled
        escapes = f"{pooled.escapes} of {pooled.defects}"
        tiles.append(
            _pair(
                "defects that escape, class thresholds", escapes, f"recall {percent(pooled.recall)}"
            )
        )
        alarms = f"{pooled.false_alarms} of {pooled.normals}"
        tiles.append(
            _pair("false alarms, class thresholds", alarms, percent(pooled.false_alarm_rate))
        )
    counted = f"{normals} good, {defects} defect"
    tiles.append(_pair(f"test pictures of {len(groups)} classes", str(normals + defects), counted))
    return element("dl", *tiles)


def _tile(label: str, value: float | None, ends: Interval | None) -> Html:
    small = "" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"
    return _pair(label, "-" if value is None else f"{value:.3f}", small)


def _pair(label: str, value: str, small: str) -> Html:
    beside = [element("small", small)] if small else []
    return element("div", element("dt", label), element("dd", value, *beside))


def _notes(notes: Sequence[str]) -> list[Html]:
    if not notes:
        return []
    items = (element("li", one) for one in notes)
    listed = element("ul", *items)
    return [element("div", element("strong", "Worth knowing"), listed, class_="notes")]


def _probes(report: Report) -> Section:
    """How much defects that are mixed into pictures disturb their surroundings."""
    numbers, matrix = report.probes
    if not numbers and matrix is None:
        told = paragraph("The run was not probed for interference between classes.")
        return Section("probes", "Interference probes", [told])
    parts: list[Content] = []
    if numbers:
        rows = [(label, f"{value:.3f}") for label, value in numbers.items()]
        parts.append(html_table("Numbers of the probes", ("probe", "value"), rows))
    if matrix is not None:
        parts.append(paragraph(image(matrix, "Matrix of the interference probes by class")))
    return Section("probes", "Interference probes", parts)


def _intertwine(facts: Mapping[str, str]) -> Iterator[Content]:
    """Facts in one line, with their labels."""
    for index, (label, value) in enumerate(facts.items()):
        yield f"{' · ' if index else ''}{label} "
        yield name(value)


def _flatten(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted keys."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
