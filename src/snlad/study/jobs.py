"""Runs brought to their data: which pictures each works on, and the key of its row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np

from snlad.config import digest
from snlad.data.images import read_file
from snlad.data.opening import open_dataset
from snlad.data.samples import Dataset, Sample
from snlad.errors import DataError, UsageError
from snlad.study.planned import Run


@dataclass(frozen=True)
class Job:
    """A run and its data.

    Attributes:
        run: what is asked.
        dataset: all pictures of the run's classes.
        data: sixteen hex digits that name their files, labels and masks.
        parts: a job for each class, where each has a model of its own; empty for one model.
    """

    run: Run
    dataset: Dataset
    data: str
    parts: tuple["Job", ...] = ()

    @property
    def key(self) -> str:
        """Names the run's row: equal keys ask for equal numbers."""
        return digest([self.run.recipe, self.data])[:16]

    @property
    def training(self) -> str:
        """Names the run's training: equal names train equal students, whatever their maps."""
        return digest([self.run.training, self.data])[:16]

    @property
    def title(self) -> str:
        """Trial and seed, for people."""
        return f"{self.run.trial}, seed {self.run.config.seed}"

    def drawn(self) -> Dataset:
        """What the run's model trains and is tested on."""
        return draw_pictures(self.dataset, self.run.pictures, self.run.config.seed)


def open_jobs(runs: Sequence[Run]) -> list[Job]:
    """Open every data set once and name its pictures.

    Raises:
        DataError: a data set cannot be opened or lacks a class.
        ImageError: a picture or mask cannot be read.
        UsageError: a run has no data set.
    """
    opened: dict[Path, Dataset] = {}
    named: dict[Path, dict[Sample, list[object]]] = {}
    chosen: dict[tuple[Path, tuple[str, ...] | None], tuple[Dataset, str]] = {}
    jobs = []
    for run in runs:
        if run.data is None:
            raise UsageError("the study names no data; write  data = DIR  into it or give --data")
        if run.data not in opened:
            opened[run.data] = open_dataset(run.data)
            named[run.data] = {one: _named(one) for one in _used(opened[run.data])}
        if (run.data, run.classes) not in chosen:
            dataset = choose_classes(opened[run.data], run.classes)
            chosen[run.data, run.classes] = dataset, _digest(dataset, named[run.data])
        dataset, name = chosen[run.data, run.classes]
        parts = () if run.models == "one" else _parts(run, dataset, named[run.data])
        jobs.append(Job(run, dataset, name, parts))
    return jobs


def _parts(run: Run, dataset: Dataset, named: Mapping[Sample, list[object]]) -> tuple[Job, ...]:
    """What a study that asks for one model of each class would ask for."""
    parts = []
    for name in dataset.class_names:
        alone = choose_classes(dataset, (name,))
        one = replace(run, trial=f"{run.trial}: {name}", classes=(name,), models="one")
        parts.append(Job(one, alone, _digest(alone, named)))
    return tuple(parts)


def choose_classes(dataset: Dataset, names: Sequence[str] | None) -> Dataset:
    """The pictures of some classes in their order; of all for ``None``.

    Raises:
        DataError: the data set has no such class.
    """
    if names is None:
        return dataset
    for name in names:
        if name not in dataset.class_names:
            listed = ", ".join(dataset.class_names)
            raise DataError(f"class {name!r} is not in {dataset.root}; it has {listed}")
    kept = tuple(sample for sample in dataset.samples if sample.class_name in names)
    return replace(dataset, samples=kept)


def draw_pictures(dataset: Dataset, count: int | None, seed: int) -> Dataset:
    """At most so many normal training pictures of each class; all others stay.

    A larger count of the same seed draws the same pictures and more.
    """
    if count is None:
        return dataset
    by_class: dict[str, list[Sample]] = {}
    for sample in dataset.train_normal:
        by_class.setdefault(sample.class_name, []).append(sample)
    drawn: set[Sample] = set()
    for name, samples in by_class.items():
        random = np.random.default_rng([seed, crc32(name.encode(errors="replace"))])
        drawn.update(samples[i] for i in random.permutation(len(samples))[:count])
    left_out = set(dataset.train_normal) - drawn
    kept = tuple(sample for sample in dataset.samples if sample not in left_out)
    return replace(dataset, samples=kept)


def _used(dataset: Dataset) -> tuple[Sample, ...]:
    return (*dataset.train_normal, *dataset.test)


def _named(sample: Sample) -> list[object]:
    """What a result depends on: the files' contents and the label, not where they lie."""
    mask = None if sample.mask is None else read_file(sample.mask)[1]
    label = [sample.class_name, sample.split, sample.is_anomalous, sample.defect_type]
    return [*label, sample.path.name, read_file(sample.path)[1], mask]


def _digest(dataset: Dataset, named: Mapping[Sample, list[object]]) -> str:
    return digest([named[sample] for sample in _used(dataset)])[:16]
