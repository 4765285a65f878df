"""One run from its data to its numbers: train, evaluate, probe; or those of each class, joined."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from snlad.config import Config, digest
from snlad.data.samples import Dataset
from snlad.engine.evaluate import evaluate
from snlad.engine.hardware import choose_device
from snlad.engine.probe import probe
from snlad.engine.rundir import has_checkpoint
from snlad.engine.scored import ScoredPicture, path_in_data, pictures_digest
from snlad.engine.train import OwnParts, train
from snlad.errors import UsageError
from snlad.metrics.evaluator import Evaluator
from snlad.metrics.scores import ScoreTable
from snlad.models.memory import FeatureMemory
from snlad.predict import Model, load
from snlad.study.jobs import Job
from snlad.study.rows import Row, wait_for
from snlad.types import Progress

MakeParts = Callable[[Config], OwnParts]
"""Gives fresh parts of the user's own for one training."""


@dataclass(frozen=True)
class Surroundings:
    """What a run is given beside its choices; none of it changes a number but the device.

    Attributes:
        folder: for its model while it trains; what is there is gone on with.
        trained: for the student of its training, which runs with other maps share.
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
    """Train and evaluate one model as a job asks for: the part of its row that holds numbers.

    Raises:
        SnladError: what training, evaluation or probes refuse.
    """
    data, config = job.drawn(), job.run.config
    own, known, trained = _make_parts(job, given.make), given.memory.computed, given.trained
    turn = nullcontext() if has_checkpoint(trained) else wait_for(trained.with_suffix(".lock"))
    with turn:  # another process may be at work on this very student
        run = train(
            data,
            given.folder,
            config,
            device=given.device,
            resume=(given.folder / "config.json").exists(),
            own=own,
            memory=given.memory,
            trained=trained,
            progress=given.progress,
        )
    computed = given.memory.computed - known
    device = str(choose_device(given.device))
    model = load(run, device=device, student=own.student, maps=own.maps, memory=given.memory)
    started = monotonic()
    found = evaluate(model, data, progress=given.progress)
    seconds = monotonic() - started  # without probes
    return {
        "label": model.card.label,
        "teacher": model.card.record["teacher"][:16],
        "steps": config.train.total_steps(sum(model.card.classes.values())),
        "train_seconds": round(model.card.record["seconds"], 1),
        "evaluate_seconds": round(seconds, 1),
        "train_features": computed,
        "scores": {**found.table.to_dict(), "data": pictures_digest(found.pictures)},
        "probes": _probe(model, data, job.run.probes, given.progress),
        "image_scores": _in_order(job.dataset, found.pictures),
        "notes": found.notes,
    }


def join(job: Job, rows: Sequence[Row]) -> dict[str, Any]:
    """What a row says of all classes, from the rows of a model for each of them.

    Classes are taken over, and the pool ranks all image scores together; no pixel has a pool, as
    maps of different models have no common scale, and there is nothing to probe.

    Args:
        job: with parts.
        rows: theirs, in the same order.
    """
    tables = [ScoreTable.from_dict(row["scores"]) for row in rows]
    images = Evaluator(tables[0].protocol)
    for part, row in zip(job.parts, rows, strict=True):
        for sample, score in zip(part.dataset.test, row["image_scores"], strict=True):
            if score is not None:
                images.add(
                    sample.class_name,
                    score=score,
                    is_anomalous=sample.is_anomalous,
                    anomaly_map=None,
                    mask=None,
                )
    classes = {name: one for table in tables for name, one in table.classes.items()}
    sums = {
        key: round(sum(row[key] for row in rows), 1)
        for key in ("steps", "train_seconds", "evaluate_seconds", "train_features")
    }
    return {
        **{key: rows[0][key] for key in ("label", "teacher")},
        **sums,
        "scores": {
            **replace(images.table(), classes=dict(sorted(classes.items()))).to_dict(),
            "data": digest([row["scores"]["data"] for row in rows]),
        },
        "probes": {},
        "image_scores": _in_turn(job, rows),
        "notes": [note for row in rows for note in row["notes"]],
        "peak_mib": max(row["peak_mib"] or 0 for row in rows) or None,
    }


def _in_turn(job: Job, rows: Sequence[Row]) -> list[float | None]:
    """Image scores of the parts' rows in the order of all test pictures."""
    by_class = {
        part.dataset.class_names[0]: iter(row["image_scores"])
        for part, row in zip(job.parts, rows, strict=True)
    }
    return [next(by_class[sample.class_name]) for sample in job.dataset.test]


def _probe(model: Model, data: Dataset, n: int, progress: Progress) -> dict[str, Any]:
    """Both probes of a model of several classes; nothing for one class, or where none is asked."""
    if not n or len(data.class_names) < 2:
        return {}
    normals = [sample for sample in data.test if not sample.is_anomalous]
    return probe(model, normals, n=n, progress=progress).summary()


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
