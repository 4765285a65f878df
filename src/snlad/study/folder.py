"""What a study's rows say, on disk; written again whenever it is asked for.

DIR/study.md     the tables, and the plots below them
DIR/study.tex    the tables as plain tabular environments
DIR/study.csv    one line a run and number, at full precision
DIR/bars.png     quality of each trial with the spread of its seeds
DIR/classes.png  image AUROC by class and trial
DIR/seconds.png  quality against seconds of training
DIR/steps.png    quality against optimiser steps
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snlad.artifacts import write_atomically
from snlad.metrics.scores import METRICS
from snlad.report.cells import csv_text
from snlad.report.formats import Table, latex_page, markdown_page
from snlad.study.breakdown import Breakdown
from snlad.study.plan import Study
from snlad.study.plots import draw_plots
from snlad.study.results import Place, Result
from snlad.study.tables import facts, study_tables

_COSTS = ("steps", "train_seconds", "train_features", "evaluate_seconds", "peak_mib")


def write_study(folder: Path, study: Study, results: Sequence[Result]) -> list[Table]:
    """Write all files over those of an earlier call, and return the tables.

    Args:
        folder: made when missing.
        study: the plan.
        results: its trials; without a finished row there is no plot.

    Raises:
        ImageError: a mask of the data set cannot be read.
        OSError: a file cannot be written.
    """
    breakdowns = {
        one.place: Breakdown(one.job.dataset.test, study.traits) for one in results if one.rows
    }
    tables, head = study_tables(study, results, breakdowns), facts(study, results)
    plots = draw_plots(results)
    shown = "".join(f"\n![{name}]({name})\n" for name in plots)
    texts = {
        "study.md": markdown_page(study.title, head, tables) + shown,
        "study.tex": latex_page([study.title, *head], tables),
        "study.csv": csv_text(_lines(results, breakdowns)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_atomically(folder / name, text.encode(errors="backslashreplace"))
    for name, picture in plots.items():
        write_atomically(folder / name, picture)
    return tables


def _lines(
    results: Sequence[Result], breakdowns: Mapping[Place, Breakdown]
) -> Iterator[Sequence[Any]]:
    """Every number of every finished run; what is undefined stays empty."""
    yield "trial", "method", "seed", "row", "name", "metric", "value"
    for result in results:
        for row in result.rows:
            head = (result.name, row["method"], row["seed"])
            for line in _numbers(row, breakdowns[result.place]):
                yield *head, *line


def _numbers(row: Mapping[str, Any], breakdown: Breakdown) -> Iterator[tuple[Any, ...]]:
    scores = row["scores"]
    parts = {("class", name): part for name, part in scores["classes"].items()}
    parts |= {("mean", ""): scores["mean"], ("pooled", ""): scores["pooled"]}
    for key, part in parts.items():
        yield from ((*key, metric, part[metric]) for metric in METRICS)
    for group in breakdown.groups:
        value = breakdown.auroc(row["image_scores"], group)
        yield group.kind, group.name, "image_auroc", None if value != value else value
    yield from (("probes", "", name, value) for name, value in row["probes"].items())
    yield from (("cost", "", name, row.get(name)) for name in _COSTS)
