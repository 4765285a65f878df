"""Rows brought back to their trials, and what their numbers say: spread, differences, intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snlad.study.jobs import Job
from snlad.study.rows import Row, failed, finished

RESAMPLES = 2000
LEVEL = 0.95

Numbers = NDArray[np.float64]
Place = tuple[Path | None, tuple[str, ...] | None]
"""Data set and classes: image scores of one place are of the same test pictures."""


@dataclass(frozen=True)
class Result:
    """A trial and what has come of it.

    Attributes:
        job: its first run, for what all of them share.
        planned: how many runs the plan has of it.
        rows: the finished ones, in the order of the plan's seeds.
        errors: of the failed ones, by seed.
    """

    job: Job
    planned: int
    rows: tuple[Row, ...]
    errors: dict[int, str]

    @property
    def name(self) -> str:
        """With the grid's values."""
        return self.job.run.trial

    @property
    def place(self) -> Place:
        """Where its pictures come from."""
        return self.job.run.data, self.job.run.classes

    def values(self, part: str, metric: str) -> Numbers:
        """One number a finished run, NaN where undefined; ``part`` is ``mean`` or ``pooled``."""
        return _numbers(row["scores"][part].get(metric) for row in self.rows)

    def of_class(self, name: str, metric: str) -> Numbers:
        """The same of a class; NaN where the trial has no such class."""
        return _numbers(row["scores"]["classes"].get(name, {}).get(metric) for row in self.rows)

    def over(self, names: Iterable[str], metric: str) -> Numbers:
        """The mean over those of some classes in which the metric is defined; NaN without any."""
        found = np.stack([self.of_class(name, metric) for name in names])
        known = ~np.isnan(found)
        with np.errstate(invalid="ignore"):
            means: Numbers = np.where(known, found, 0.0).sum(axis=0) / known.sum(axis=0)
        return means

    def of_row(self, key: str) -> Numbers:
        """Something that stands beside the scores: ``train_seconds``, ``steps``."""
        return _numbers(row.get(key) for row in self.rows)

    def of_probes(self, key: str) -> Numbers:
        """A number of the probes' summary."""
        return _numbers(row["probes"].get(key) for row in self.rows)


@dataclass(frozen=True)
class Difference:
    """A trial minus its baseline.

    Attributes:
        mean: over the classes and seeds that both have.
        interval: 95 %, over classes and seeds; ``None`` for one of each.
        classes: how many.
        seeds: how many.
    """

    mean: float
    interval: tuple[float, float] | None
    classes: int
    seeds: int


def collect(jobs: Sequence[Job], rows: Iterable[Row]) -> list[Result]:
    """The trials of a plan in its order, each with its rows."""
    rows = list(rows)
    done, broken = finished(rows), failed(rows)
    by_trial: dict[str, list[Job]] = {}
    for job in jobs:
        by_trial.setdefault(job.run.trial, []).append(job)
    return [
        Result(
            some[0],
            len(some),
            tuple(done[job.key] for job in some if job.key in done),
            {job.run.config.seed: broken[job.key]["error"] for job in some if job.key in broken},
        )
        for some in by_trial.values()
    ]


def find_baseline(result: Result, results: Sequence[Result], baseline: str | None) -> Result | None:
    """What a trial is held against: the trial of this name, or the one with the same grid values.

    ``None`` where that is the trial itself, has no rows, or is of other data.
    """
    run = result.job.run
    for other in results:
        candidate = other.job.run
        is_named = other.name == baseline
        is_twin = candidate.base == baseline and candidate.variant == run.variant
        if (is_named or is_twin) and other is not result:
            return other if other.rows and candidate.data == run.data else None
    return None


def subtract(
    after: Result, before: Result, metric: str, classes: Iterable[str] | None = None
) -> Difference | None:
    """The difference of two trials in a metric; ``None`` where nothing is defined in both.

    Args:
        after: the trial.
        before: its baseline.
        metric: one of the seven.
        classes: of them; by default all.
    """
    seeds = [
        (i, j)
        for i, a in enumerate(after.rows)
        for j, b in enumerate(before.rows)
        if a["seed"] == b["seed"]
    ]
    ours, theirs = [i for i, _ in seeds], [j for _, j in seeds]
    names = classes or sorted({name for row in after.rows for name in row["scores"]["classes"]})
    pairs = (after.of_class(n, metric)[ours] - before.of_class(n, metric)[theirs] for n in names)
    known = [row for row in pairs if len(row) and not np.isnan(row).any()]
    if not known:
        return None
    differences = np.stack(known)
    return Difference(
        float(differences.mean()), paired_interval(differences), len(known), len(seeds)
    )


def paired_interval(
    differences: Numbers, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile interval at 95 % of the mean of differences (classes, seeds).

    Classes are drawn with replacement, and so are seeds, the same ones for all classes: a seed is
    one training of them all. A single class or seed always comes again; ``None`` for one of each.

    Args:
        differences: one row a class, one column a seed, all finite.
        resamples: how many.
        seed: of the draws.
    """
    n_classes, n_seeds = differences.shape
    if differences.size == 1:
        return None
    random = np.random.default_rng(seed)
    classes = random.integers(0, n_classes, (resamples, n_classes))
    seeds = random.integers(0, n_seeds, (resamples, n_seeds))
    means = differences[classes[:, :, None], seeds[:, None, :]].mean(axis=(1, 2))
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _numbers(values: Iterable[float | None]) -> Numbers:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
