"""Brings the subjects of ``speed.py`` to life: their environment, their models, their processes."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import speed_commands
from speed_list import (
    DEFAULT,
    INFERRED,
    NATIVE,
    START,
    SWITCHES,
    TRAIN,
    TRAINED,
    Subject,
    reason_without,
    spread,
)
from speed_models import MADE
from speed_rounds import Measured, Worker


@dataclass(frozen=True)
class Session:
    """What all groups of a run share.

    Attributes:
        data: the data set.
        config: settings of the default recipe, or ``None``.
        rows: where finished rows go.
        models: folder of the timed models, one folder an architecture.
        seconds: of the rounds of a group.
        least: rounds of a group.
        quick: whether the rows are no measurements.
    """

    data: Path
    config: Path | None
    rows: Path
    models: Path
    seconds: float
    least: int
    quick: bool


def environment(column: str) -> dict[str, str]:
    """Of every process that is measured: all cores, or ``OMP_NUM_THREADS`` of them."""
    threads = os.environ.get("OMP_NUM_THREADS") or str(len(os.sched_getaffinity(0)))
    return {**os.environ, "OMP_NUM_THREADS": threads, **SWITCHES[column]}


def start_subject(
    subject: Subject, session: Session, column: str, machine: Mapping[str, Any]
) -> Measured:
    """A subject that waits for its turns, or one that says why it has none."""
    models = session.models / subject.architecture
    if reason := reason_without(subject, column, machine["fast_bfloat16"]):
        return Absent(reason)
    if subject.task == START:
        return _start_command(subject, models, session, environment(column))
    return _start_worker(subject, models, session, environment(column))


class Absent:
    """A subject that is not measured, with the reason; ``failed`` if it might be another time."""

    def __init__(self, reason: str, *, failed: bool = False) -> None:
        self.about: dict[str, Any] = {"reason": reason, "failed": failed}

    def turn(self, batch: int, seconds: float) -> dict[str, Any]:
        """Never asked for."""
        raise NotImplementedError(batch, seconds)

    def close(self) -> None:
        """Nothing is left of it."""


def _start_worker(
    subject: Subject, models: Path, session: Session, variables: Mapping[str, str]
) -> Measured:
    """A subject in a process of its own."""
    from snlad.data.opening import open_dataset

    dataset = open_dataset(session.data)
    trains = subject.task == TRAIN
    shown = dataset.test or dataset.train_normal
    pictures = spread(dataset.train_normal, TRAINED) if trains else spread(shown, INFERRED)
    job = {
        "subject": asdict(subject),
        "settings": settings_of(subject.architecture, session.config),
        "models": str(models),
        "data": str(session.data),
        "paths": [str(one.path) for one in pictures],
    }
    models.mkdir(parents=True, exist_ok=True)
    name = f"{subject.task} {subject.name} {subject.runtime} {subject.precision}.log"
    return Worker(job, variables, models / name)


def _start_command(
    subject: Subject, models: Path, session: Session, variables: Mapping[str, str]
) -> Measured:
    """A command that is run anew at each turn."""
    from snlad.data.opening import open_dataset

    if not (models / MADE).exists():
        return Absent("its model could not be made", failed=True)
    picture = str(open_dataset(session.data).samples[0].path)
    reasons = json.loads((models / MADE).read_text(encoding="utf-8"))["exports"]
    words = speed_commands.words(subject, models, picture)
    reason = next((why for name, why in reasons.items() if str(models / name) in words and why), "")
    return Absent(reason) if reason else speed_commands.Command(words, variables)


def settings_of(architecture: str, config: Path | None) -> dict[str, Any]:
    """The default recipe, or plain reverse distillation of a ResNet with random weights."""
    from snlad.config import make_config, read_config

    if architecture == DEFAULT:
        return read_config(config).model_dump(mode="json")
    teacher = {"name": architecture, "weights": "random"}
    return make_config("rd", teacher=teacher).model_dump(mode="json")


def make_models(architecture: str, session: Session) -> None:
    """Train and export what is timed, unless it is there; where that fails, rows will say so."""
    out = session.models / architecture
    if (out / MADE).exists():
        return
    settings = settings_of(architecture, session.config)
    job = {"settings": settings, "data": str(session.data), "out": str(out)}
    script = Path(__file__).with_name("speed_models.py")
    print(f"making models in {out} ...", flush=True)
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(job)], env=environment(NATIVE), check=False
    )
    if done.returncode:
        print(f"making them failed with exit code {done.returncode}", file=sys.stderr)
