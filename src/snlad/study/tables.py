"""The tables of a study: by trial, against a baseline, by class, by kind of defect and of class."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from snlad.metrics.scores import METRICS
from snlad.report.formats import Table
from snlad.report.tables import HEADS
from snlad.study.breakdown import Breakdown, Group
from snlad.study.plan import Study
from snlad.study.results import Numbers, Place, Result, find_baseline, subtract

BY_CLASS = ("image_auroc", "pixel_auroc", "aupro")
_PROBES = {
    "mixup_image_auroc": "Mixup img",
    "cutpaste_image_auroc": "CutPaste img",
    "cutpaste_pixel_auroc": "CutPaste px",
    "eta_squared": "eta squared",
}
_NOTES = {
    "defect type": "",
    "defect area": "Quarters of all defects with a mask, by its share of the picture. ",
    "trait": "Words of the study for its classes. ",
}
_SPREAD = "Mean over seeds and their sample standard deviation."


def facts(study: Study, results: Sequence[Result]) -> list[str]:
    """What stands above the tables: how much is done, with which code, on which machine."""
    rows = [row for result in results for row in result.rows]
    planned = sum(result.planned for result in results)
    broken = sum(len(result.errors) for result in results)
    lines = [f"{len(rows)} of {planned} runs are finished, {broken} failed."]
    for head, found in (
        ("Protocol", {row["scores"].get("protocol") for row in rows}),
        ("Commit", {row.get("commit") for row in rows}),
        ("Hardware", {_hardware(row.get("hardware") or {}) for row in rows}),
    ):
        listed = ", ".join(sorted(str(one) for one in found if one))
        lines += [f"{head}: {listed}."] * bool(listed)
    if study.baseline is not None:
        lines.append(f"Baseline: {study.baseline}.")
    return lines


def study_tables(
    study: Study, results: Sequence[Result], breakdowns: Mapping[Place, Breakdown]
) -> list[Table]:
    """Every table that the finished rows fill.

    Args:
        study: the plan.
        results: its trials.
        breakdowns: the defects of each place that has a finished row.
    """
    shown = [result for result in results if result.rows]
    tables = [
        _summary("Mean over classes", shown, lambda one, metric: one.values("mean", metric)),
        *_by_group(study, shown),
        _summary(
            "Pooled over all pictures", shown, lambda one, metric: one.values("pooled", metric)
        ),
        _differences("Differences to the baseline", study, shown),
        _probes(shown),
        *(_by_class(metric, shown) for metric in BY_CLASS),
        *_by_kind(shown, breakdowns),
        _counts(results),
        _failures(results),
    ]
    return [table for table in tables if table.rows]


def spread(values: Numbers, digits: int = 3) -> str:
    """Mean and sample standard deviation; a dash where any value is undefined or none is there."""
    if not len(values) or np.isnan(values).any():
        return "-"
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {values.std(ddof=1):.{digits}f}"


def _summary(
    title: str,
    results: Sequence[Result],
    values: Callable[[Result, str], Numbers],
    n_classes: int = 0,
) -> Table:
    rows = []
    for result in results:
        found = [values(result, metric) for metric in METRICS]
        rows.append(
            [
                result.name,
                str(len(result.rows)),
                str(n_classes or len(result.job.dataset.class_names)),
                *map(spread, [*found, np.mean(found, axis=0)]),
                *(spread(result.of_row(key), 0) for key in ("steps", "train_seconds")),
            ]
        )
    note = f"{_SPREAD} Training leaves out teacher features that were in memory before."
    heads = ("trial", "seeds", "classes", *HEADS, "mean of 7", "steps", "training, s")
    return Table(title, note, heads, rows)


def _by_group(study: Study, results: Sequence[Result]) -> Iterator[Table]:
    """Means and differences over some classes alone, of trials that have all of them."""
    for name, classes in study.groups.items():
        some = [one for one in results if {*classes} <= {*one.job.dataset.class_names}]
        title = f"{name} ({len(classes)} classes)"
        means = partial(_over, classes)
        yield _summary(f"Mean over {title}", some, means, len(classes))
        yield _differences(f"Differences to the baseline, {title}", study, some, classes)


def _over(classes: Sequence[str], result: Result, metric: str) -> Numbers:
    return result.over(classes, metric)


def _differences(
    title: str, study: Study, results: Sequence[Result], classes: Sequence[str] | None = None
) -> Table:
    rows = []
    for result in results:
        baseline = find_baseline(result, results, study.baseline)
        if baseline is not None:
            found = [subtract(result, baseline, metric, classes) for metric in METRICS]
            known = next((one for one in found if one is not None), None)
            counts = ["-", "-"] if known is None else [str(known.seeds), str(known.classes)]
            cells = [
                "-" if one is None else f"{one.mean:+z.3f}{_ends(one.interval)}" for one in found
            ]
            rows.append([result.name, baseline.name, *counts, *cells])
    note = (
        "Trial minus baseline over the classes and seeds that both have; in brackets the paired "
        "95 % interval over classes and seeds."
    )
    heads = ("trial", "baseline", "seeds", "classes", *HEADS)
    return Table(title, note, heads, rows, names=2)


def _ends(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:+z.3f}..{interval[1]:+z.3f})"


def _probes(results: Sequence[Result]) -> Table:
    rows = [
        [result.name, *(spread(result.of_probes(key)) for key in _PROBES)]
        for result in results
        if any(row["probes"] for row in result.rows)
    ]
    note = f"Cross-class interference on the normal test pictures, docs/probes.md. {_SPREAD}"
    return Table("Probes", note, ("trial", *_PROBES.values()), rows)


def _by_class(metric: str, results: Sequence[Result]) -> Table:
    names = sorted({name for result in results for name in result.job.dataset.class_names})
    rows = [[name, *(spread(one.of_class(name, metric)) for one in results)] for name in names]
    head = dict(zip(METRICS, HEADS, strict=True))[metric]
    return Table(f"By class, {head}", _SPREAD, ("class", *(one.name for one in results)), rows)


def _by_kind(results: Sequence[Result], breakdowns: Mapping[Place, Breakdown]) -> Iterator[Table]:
    """One table a kind of group, for each set of test pictures."""
    for place, breakdown in breakdowns.items():
        some = [result for result in results if result.place == place]
        dataset = some[0].job.dataset
        where = f", {dataset.root.name}, {len(dataset.class_names)} classes"
        for kind in dict.fromkeys(group.kind for group in breakdown.groups):
            chosen = [group for group in breakdown.groups if group.kind == kind]
            yield Table(
                f"By {kind}, img AUROC{where * (len(breakdowns) > 1)}",
                "Of these defects against all normal pictures of their class, mean over classes. "
                f"{_NOTES[kind]}{_SPREAD}",
                (kind, "classes", "defects", *(result.name for result in some)),
                [_group_row(breakdown, group, some) for group in chosen],
            )


def _group_row(breakdown: Breakdown, group: Group, results: Sequence[Result]) -> list[str]:
    counts = [str(len(breakdown.classes(group))), str(int(group.members.sum()))]
    values = (
        np.array([breakdown.auroc(row["image_scores"], group) for row in one.rows])
        for one in results
    )
    return [group.name, *counts, *map(spread, values)]


def _counts(results: Sequence[Result]) -> Table:
    """How often each method was tried: more trials of one method are more chances for it."""
    found: dict[str, Counter[str]] = {}
    for result in results:
        found.setdefault(result.job.run.config.method, Counter()).update(
            trials=1, planned=result.planned, finished=len(result.rows), failed=len(result.errors)
        )
    columns = ("trials", "planned", "finished", "failed")
    rows = [[name, *(str(count[column]) for column in columns)] for name, count in found.items()]
    note = "More trials of one method are more chances for it."
    heads = ("method", "trials", "runs planned", "finished", "failed")
    return Table("Trials by method", note, heads, rows)


def _failures(results: Sequence[Result]) -> Table:
    rows = [
        [result.name, str(seed), error]
        for result in results
        for seed, error in result.errors.items()
    ]
    note = "The same command tries them again."
    return Table("Failed runs", note, ("trial", "seed", "error"), rows, names=3)


def _hardware(found: Mapping[str, object]) -> str:
    names = ("device", "cpu_capability", "precision", "threads")
    shown = " ".join(f"{found[name]}" for name in names if name in found)
    return shown + " threads" * ("threads" in found)
