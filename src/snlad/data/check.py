"""The data check: what would spoil a result, and what a reader of the result should know."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal

from snlad.data.duplicates import exact_duplicates, near_duplicates
from snlad.data.examination import MASK_ERRORS, Examined, examine
from snlad.data.samples import Dataset, Sample
from snlad.data.smallest import SmallestDefect, find_smallest
from snlad.data.statistics import LIMIT, STATISTICS, Separation, separations
from snlad.types import Progress, silent

_SHOWN = 10

Look = tuple[Sample, Examined]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or doubtful.

    Attributes:
        severity: "error" spoils a result; "warning" is worth a look.
        kind: A short name, the same for all findings alike.
        message: One sentence.
    """

    severity: Literal["error", "warning"]
    kind: str
    message: str


@dataclass(frozen=True)
class ClassSummary:
    """Counts of one class: pictures by part, masks, and readable ones by mode and size."""

    class_name: str
    train_normal: int
    train_defect: int
    test_normal: int
    test_defect: dict[str, int]
    masks: int
    modes: dict[str, int]
    sizes: dict[str, int]


@dataclass(frozen=True)
class CheckReport:
    """All that the data check found, in a deterministic order."""

    layout: str
    classes: tuple[ClassSummary, ...]
    findings: tuple[Finding, ...]
    separations: tuple[Separation, ...]
    notes: tuple[str, ...]
    smallest: tuple[SmallestDefect, ...] = ()

    @property
    def has_errors(self) -> bool:
        """Whether something would spoil a result."""
        return any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values, complete."""
        return {"has_errors": self.has_errors, **asdict(self)}

    def render(self) -> str:
        """Return the report as text; of each kind of finding the first ten are shown."""
        return "\n".join(_render(self))


def check_dataset(
    dataset: Dataset, progress: Progress = silent, min_defect_px: int | None = None
) -> CheckReport:
    """Read every picture and mask once, in threads; memory grows by about 1 KB a picture.

    Args:
        dataset: any.
        progress: told how far the work is.
        min_defect_px: the smallest defect that matters, in pixels of the pictures, if it is known.
    """
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = []
        for done, result in enumerate(pool.map(examine, dataset.samples), start=1):
            results.append(result)
            progress("checking", done, len(dataset.samples))
    pairs = list(zip(dataset.samples, results, strict=True))
    readable = [(s, r) for s, r in pairs if not isinstance(r, str)]
    measures = [None if isinstance(r, str) else r.measures for r in results]
    apart = separations(dataset.samples, measures)
    classes = tuple(_summary(name, dataset.samples, readable) for name in dataset.class_names)
    findings = (
        *(Finding("error", "layout", fault) for fault in dataset.faults),
        *(Finding("error", "corrupt", r) for r in results if isinstance(r, str)),
        *_mask_findings(readable),
        *_duplicate_findings(readable),
        *_group_findings(dataset.samples),
        *_mixture_findings(classes),
        *_separation_findings(apart),
    )
    smallest = () if min_defect_px is None else _smallest(readable, min_defect_px)
    return CheckReport(dataset.layout, classes, findings, apart, dataset.notes, smallest)


def _smallest(readable: Sequence[Look], defect_px: int) -> tuple[SmallestDefect, ...]:
    """What becomes of a small defect, class by class."""
    sizes: dict[str, list[tuple[int, int]]] = {}
    for sample, look in readable:
        sizes.setdefault(sample.class_name, []).append(look.size)
    return tuple(find_smallest(name, some, defect_px) for name, some in sorted(sizes.items()))


def _summary(name: str, samples: Sequence[Sample], readable: Sequence[Look]) -> ClassSummary:
    own = [s for s in samples if s.class_name == name]
    looks = [look for sample, look in readable if sample.class_name == name]
    parts = Counter((s.split, s.is_anomalous) for s in own)
    defects = Counter(s.defect_type for s in own if s.split == "test" and s.is_anomalous)
    return ClassSummary(
        class_name=name,
        train_normal=parts["train", False],
        train_defect=parts["train", True],
        test_normal=parts["test", False],
        test_defect=dict(defects),
        masks=sum(s.mask is not None for s in own),
        modes=dict(Counter(look.mode for look in looks).most_common()),
        sizes=dict(Counter(f"{h}x{w}" for h, w in (look.size for look in looks)).most_common()),
    )


def _mask_findings(readable: Sequence[Look]) -> Iterator[Finding]:
    for _, look in readable:
        for kind, message in look.mask_problems:
            yield Finding("error" if kind in MASK_ERRORS else "warning", kind, message)


def _duplicate_findings(readable: Sequence[Look]) -> Iterator[Finding]:
    ordered = sorted(readable, key=lambda pair: pair[0].split != "train")  # stable: train first
    samples = [sample for sample, _ in ordered]
    prints = [look.print for _, look in ordered]
    for group in exact_duplicates(prints):
        yield _exact_finding([samples[index] for index in group])
    for earlier, later in near_duplicates(prints):
        one, other = samples[earlier], samples[later]
        where = "train and test" if one.split != other.split else one.split
        yield Finding(
            "warning",
            f"near duplicate in {where}",
            f"{_name(one)} looks the same as {_name(other)}",
        )


def _exact_finding(copies: Sequence[Sample]) -> Finding:
    names = " = ".join(map(_name, copies))
    if len({s.is_anomalous for s in copies}) > 1:
        return Finding("error", "same picture as normal and defect", names)
    if len({s.split for s in copies}) > 1:
        return Finding("error", "same picture in train and test", names)
    if len({s.class_name for s in copies}) > 1:
        return Finding("warning", "same picture in two classes", names)
    return Finding("warning", f"same picture twice in {copies[0].split}", names)


def _group_findings(samples: Sequence[Sample]) -> Iterator[Finding]:
    splits = {(s.group, s.split) for s in samples if s.group is not None}
    for group in sorted(group for group, split in splits if split == "train" and group):
        if (group, "test") in splits:
            message = f"the group {group!r} has pictures in train and in test"
            yield Finding("error", "group in train and test", message)


def _mixture_findings(classes: Sequence[ClassSummary]) -> Iterator[Finding]:
    for one in classes:
        for what, counts in (("modes", one.modes), ("sizes", one.sizes)):
            if len(counts) > 1:
                shown = ", ".join(f"{key} ({n})" for key, n in list(counts.items())[:4])
                message = f"{one.class_name!r} has {len(counts)} {what}: {shown}"
                yield Finding("warning", f"mixed {what}", message)


def _separation_findings(apart: Sequence[Separation]) -> Iterator[Finding]:
    for one in apart:
        for name, area in one.auroc.items():
            if area > LIMIT:
                yield Finding(
                    "warning",
                    f"trivial cue in {one.comparison}",
                    f"{one.class_name!r}: {name} alone separates {one.counts[0]} from "
                    f"{one.counts[1]} pictures with AUROC {area:.3f}; such a set proves nothing",
                )


def _name(sample: Sample) -> str:
    return repr(str(sample.path))


def _shown(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _render(report: CheckReport) -> Iterator[str]:
    yield f"{len(report.classes)} classes, layout {report.layout}"
    yield f"{'class':<20} {'train':>6} {'test normal':>12} {'test defect':>12} {'masks':>6}"
    for one in report.classes:
        yield (
            f"{_shown(one.class_name):<20} {one.train_normal:>6} {one.test_normal:>12} "
            f"{sum(one.test_defect.values()):>12} {one.masks:>6}"
        )
        if one.test_defect:
            yield "    " + ", ".join(f"{_shown(kind)} {n}" for kind, n in one.test_defect.items())
    yield from _render_separations(report.separations)
    yield from (one.sentence() for one in report.smallest)
    yield from (f"note: {note}" for note in report.notes)
    yield from _render_findings(report.findings)
    errors = sum(finding.severity == "error" for finding in report.findings)
    yield f"{errors} errors, {len(report.findings) - errors} warnings"


def _render_separations(apart: Sequence[Separation]) -> Iterator[str]:
    for comparison in dict.fromkeys(one.comparison for one in apart):
        yield f"{comparison}, AUROC of one trivial statistic alone (0.5 is chance)"
        yield f"{'class':<20} " + " ".join(f"{name:>11}" for name in STATISTICS)
        for one in apart:
            if one.comparison == comparison:
                areas = " ".join(f"{one.auroc[name]:>11.3f}" for name in STATISTICS)
                yield f"{_shown(one.class_name):<20} {areas}"


def _render_findings(findings: Sequence[Finding]) -> Iterator[str]:
    for severity, kind in dict.fromkeys((f.severity, f.kind) for f in findings):
        alike = [f.message for f in findings if (f.severity, f.kind) == (severity, kind)]
        yield f"{severity}: {kind} ({len(alike)})"
        yield from (f"    {message}" for message in alike[:_SHOWN])
        if len(alike) > _SHOWN:
            yield f"    and {len(alike) - _SHOWN} more"
