"""What each subject of ``speed.py`` computes, in the worker's process.

Exports are measured as they are used, in a process without torch; what needs torch is in
``speed_torch.py``.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import snlad
from snlad.config import Config, parse_config
from snlad.data.inputs import load_inputs
from snlad.data.loading import load_batches
from snlad.runtime.exported import ExportedNetwork, load_export
from speed_list import LOADER, OURS, PEAK, PEERS, TEACHER, TORCH, TRAIN, Subject
from speed_models import MADE, export_name
from speed_worker import Turns, UnavailableError, serve

Call = Callable[[int], object]
"""Works on a batch of so many pictures."""


def run(job: dict[str, Any], turns: Turns) -> None:
    """Build the subject, say that it is ready, and answer turns until there are no more.

    Raises:
        UnavailableError: it cannot be measured here.
    """
    subject = Subject(**{**job["subject"], "batches": tuple(job["subject"]["batches"])})
    config = parse_config(job["settings"])
    if subject.task == TRAIN and subject.name == OURS:
        import speed_torch

        speed_torch.train_for_ever(subject, config, job, turns)
    call, flops = _build(subject, config, job)
    call(subject.batches[0])
    started = time.time() - job["spawned"]
    turns.say(ready=True, start_s=started, flops=flops() if callable(flops) else flops)
    serve(call, turns)


def _build(subject: Subject, config: Config, job: dict[str, Any]) -> tuple[Call, Any]:
    """What a subject does, and the operations of a picture, or what counts them."""
    models, paths = Path(job["models"]), [Path(path) for path in job["paths"]]
    size = config.image_size
    if subject.name == LOADER:
        return lambda n: list(load_batches(paths[:n], size, 8, keep_original=False)), None
    if subject.runtime == TORCH:
        import speed_torch

        if subject.name == PEAK:
            return speed_torch.matrix_product(subject.precision)
        if subject.name in PEERS:
            return speed_torch.peer(subject, size, load_inputs(paths, size))
        return speed_torch.build(subject, models, paths, size), _flops(subject, models)
    folder = _exported(subject, models)
    if subject.name == OURS:
        exported, _ = load_export(folder)
        network, pictures = (
            ExportedNetwork(exported.session(), exported.card),
            load_inputs(paths, size),
        )
        return lambda n: network.run(pictures[:n]), _flops(subject, models)
    model = snlad.load(folder)
    return lambda n: model.predict(paths[:n]), _flops(subject, models)


def _exported(subject: Subject, models: Path) -> Path:
    name = export_name(subject.runtime, subject.precision)
    if reason := json.loads((models / MADE).read_text())["exports"][name]:
        raise UnavailableError(reason)
    return models / name


def _flops(subject: Subject, models: Path) -> float:
    """Operations of a picture, as they were counted when the models were made."""
    counted = json.loads((models / MADE).read_text())["flops"]
    return float(counted["teacher" if subject.name == TEACHER else "whole"])
