"""One run from its data to its numbers: train, evaluate, probe; once, or once for each class."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from snlad.config import Config
from snlad.data.samples import Dataset
from snlad.engine.evaluate import evaluate
from snlad.engine.evaluation import Evaluation
from snlad.engine.hardware import choose_device
from snlad.engine.probe import probe
from snlad.engine.rundir import has_checkpoint
from snlad.engine.scored import ScoredPicture, path_in_data, pictures_digest
from snlad.engine.train import OwnParts, train
from snlad.errors import UsageError
from snlad.metrics.evaluator import Evaluator
from snlad.metrics.scores import ScoreTable
from snlad.models.memory import FeatureMemory
from snlad.predict import load
from snlad.study.jobs import Job
from snlad.study.rows import wait_for
from snlad.types import Progress

MakeParts = Callable[[Config], OwnParts]
"""Gives fresh parts of the user's own for one training."""


@dataclass(frozen=True)
class Measured:
    """What one model gave.

    Attributes:
        found: its evaluation.
        label: what it may call itself.
        teacher: SHA-256 of its teacher's weights.
        steps: optimiser steps.
        train_seconds: of training, interrupted sessions included.
        train_features: pictures whose teacher features this session's training computed; those
            that were in memory cost it nothing.
        evaluate_seconds: of evaluation, without probes.
        probes: ``Probes.summary()``, empty where nothing was probed.
    """

    found: Evaluation
    label: str
    teacher: str
    steps: int
    train_seconds: float
    train_features: int
    evaluate_seconds: float
    probes: dict[str, Any]


@dataclass(frozen=True)
class Surroundings:
    """What a run is given beside its choices; none of it changes a number but the device.

    Attributes:
        folder: for its models while they train; what is there is gone on with.
        trained: for the students of its training, which runs with other maps share.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:0`` or ``mps``.
        make: own parts, where the run has some.
        memory: where teacher features are looked up.
        progress: told how far the work is.
    """

    folder: Path
    trained: Path
    device: str
    make: MakeParts | None
    memory: FeatureMemory
    progress: Progress


def measure(job: Job, given: Surroundings) -> dict[str, Any]:
    """Train and evaluate what a job asks for: the part of its row that holds numbers.

    Raises:
        SnladError: what training, evaluation or probes refuse.
    """
    parts = [_measure_one(job, part, f"{i}", given) for i, part in enumerate(job.parts())]
    pictures = [one for part in parts for one in part.found.pictures]
    table = parts[0].found.table if job.run.models == "one" else join_tables(parts, pictures)
    return {
        "label": parts[0].label,
        "teacher": parts[0].teacher[:16],
        "steps": sum(part.steps for part in parts),
        "train_seconds": round(sum(part.train_seconds for part in parts), 1),
        "evaluate_seconds": round(sum(part.evaluate_seconds for part in parts), 1),
        "train_features": sum(part.train_features for part in parts),
        "scores": {**table.to_dict(), "data": pictures_digest(pictures)},
        "probes": parts[0].probes,
        "image_scores": _in_order(job.dataset, pictures),
        "notes": [note for part in parts for note in part.found.notes],
    }


def join_tables(parts: Sequence[Measured], pictures: Sequence[ScoredPicture]) -> ScoreTable:
    """The rows of models of one class each, and the image numbers of all their pictures together.

    Pixel numbers of the pool stay undefined: maps of different models have no common scale.
    """
    images = Evaluator(parts[0].found.table.protocol)
    for one in pictures:
        images.add(
            one.class_name,
            score=one.score,
            is_anomalous=one.is_anomalous,
            anomaly_map=None,
            mask=None,
        )
    rows = {name: row for part in parts for name, row in part.found.table.classes.items()}
    return replace(images.table(), classes=dict(sorted(rows.items())))


def _measure_one(job: Job, data: Dataset, name: str, given: Surroundings) -> Measured:
    config, folder = job.run.config, given.folder / name
    own, known = _make_parts(job, given.make), given.memory.computed
    trained = given.trained / name
    turn = nullcontext() if has_checkpoint(trained) else wait_for(trained.with_suffix(".lock"))
    with turn:  # another process may be at work on this very student
        run = train(
            data,
            folder,
            config,
            device=given.device,
            resume=(folder / "config.json").exists(),
            own=own,
            memory=given.memory,
            trained=trained,
            progress=given.progress,
        )
    computed = given.memory.computed - known
    device = str(choose_device(given.device))
    model = load(run, device=device, student=own.student, maps=own.maps)
    model.remember(given.memory)
    started = monotonic()
    found = evaluate(model, data, progress=given.progress)
    seconds = monotonic() - started
    probes: dict[str, Any] = {}
    if job.run.probes and len(data.class_names) > 1:
        normals = [sample for sample in data.test if not sample.is_anomalous]
        n = job.run.probes
        probes = probe(model, normals, n=n, progress=given.progress).summary()
    return Measured(
        found,
        model.card.label,
        model.card.record["teacher"],
        config.train.total_steps(sum(model.card.classes.values())),
        model.card.record["seconds"],
        computed,
        seconds,
        probes,
    )


def _make_parts(job: Job, make: MakeParts | None) -> OwnParts:
    own = OwnParts() if make is None else make(job.run.config)
    if sorted(own.names) != sorted(job.run.own):
        raise UsageError(
            f"trial {job.run.base!r} was given own {', '.join(own.names) or 'nothing'}, its plan "
            f"says {', '.join(job.run.own) or 'nothing'}; make  own = [...]  say what is given"
        )
    return own


def _in_order(dataset: Dataset, pictures: Sequence[ScoredPicture]) -> list[float | None]:
    """Scores in the order of the test pictures, six significant digits; ``None`` where unread."""
    scores = {one.path: float(f"{one.score:.6g}") for one in pictures}
    return [scores.get(path_in_data(sample, dataset.root)) for sample in dataset.test]
