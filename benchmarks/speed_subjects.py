"""What each subject of ``speed.py`` computes, in the worker's process."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import snlad
import speed_flops
from snlad.calibration.record import load_calibration
from snlad.config import Config, merge_settings, parse_config
from snlad.data.images import to_input
from snlad.data.loading import load_batches, load_inputs
from snlad.data.opening import open_dataset
from snlad.inspection import Network, Output
from snlad.metrics.protocols import Protocol as Rules
from snlad.model_card import find_model
from snlad.model_folder import load_model
from snlad.models.statistics import channel_statistics
from snlad.predict import Model
from snlad.runtime.exported import ExportedNetwork, load_export
from snlad.torch_network import TorchNetwork
from speed_list import (
    BFLOAT16,
    FLOAT32,
    INT8,
    LOADER,
    OURS,
    PEAK,
    PEERS,
    TEACHER,
    TORCH,
    TRAIN,
    TRAINED,
    Subject,
    spread,
)
from speed_models import MADE, RUN, export_name
from speed_worker import PausedSteps, Turns, UnavailableError, serve

Call = Callable[[int], object]
"""Works on a batch of so many pictures."""

_SIDE = 3072
"""Of the matrices whose product is the machine's measured peak."""
_FOR_EVER = 10**7


def run(job: dict[str, Any], turns: Turns) -> None:
    """Build the subject, say that it is ready, and answer turns until there are no more.

    Raises:
        UnavailableError: it cannot be measured here.
    """
    subject = Subject(**{**job["subject"], "batches": tuple(job["subject"]["batches"])})
    config = parse_config(job["settings"])
    if subject.task == TRAIN and subject.name == OURS:
        _train(subject, config, job, turns)
        return
    call, flops = _build(subject, config, job)
    call(1 if subject.task != TRAIN else subject.batches[0])
    started = time.time() - job["spawned"]
    turns.say(ready=True, start_s=started, flops=flops() if callable(flops) else flops)
    serve(call, turns)


def _build(subject: Subject, config: Config, job: dict[str, Any]) -> tuple[Call, Any]:
    """What a subject does, and the operations of a picture, or what counts them."""
    models, paths = Path(job["models"]), [Path(path) for path in job["paths"]]
    size = config.image_size
    if subject.name == PEAK:
        return _matrix_product(subject.precision), 2.0 * _SIDE**3
    if subject.name == LOADER:
        return lambda n: list(load_batches(paths[:n], size, 8, keep_original=False)), None
    if subject.name in PEERS:
        return _peer(subject, size, load_inputs(paths, size))
    flops = json.loads((models / MADE).read_text())["flops"]
    if subject.name == TEACHER:
        return _teacher(models, subject.precision, load_inputs(paths, size)), flops["teacher"]
    if subject.name == OURS:
        return _network(models, subject, load_inputs(paths, size)), flops["whole"]
    model = _whole(models, subject)
    return lambda n: model.predict(paths[:n]), flops["whole"]


def _matrix_product(precision: str) -> Call:
    if precision == INT8:
        a, b = (torch.randint(-100, 100, (_SIDE, _SIDE), dtype=torch.int8) for _ in range(2))
        return lambda _: torch._int_mm(a, b)
    dtype = torch.bfloat16 if precision == BFLOAT16 else torch.float32
    x, y = (torch.rand(_SIDE, _SIDE).to(dtype) for _ in range(2))
    return lambda _: x @ y


def _peer(
    subject: Subject, size: tuple[int, int], pictures: NDArray[np.uint8]
) -> tuple[Call, Callable[[], float]]:
    try:
        import speed_anomalib

        network = speed_anomalib.network(subject.name, subject.architecture, size)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"anomalib is not installed ({error}): requirements/bench.txt"
        ) from None
    if subject.task == TRAIN:
        call = speed_anomalib.training(subject.name, network, pictures)
    else:
        call = speed_anomalib.inference(network, pictures)
    batch = subject.batches[0]
    return call, lambda: speed_flops.count(call, batch)


def _teacher(models: Path, precision: str, pictures: NDArray[np.uint8]) -> Call:
    """The floor: the frozen teacher on images that lie ready in its layout."""
    teacher = TorchNetwork(load_model(models / RUN), "cpu").detector.teacher
    images = torch.from_numpy(to_input(pictures))

    @torch.inference_mode()
    def call(batch: int) -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == BFLOAT16):
            return teacher(images[:batch].contiguous(memory_format=torch.channels_last))

    return call


def _network(models: Path, subject: Subject, pictures: NDArray[np.uint8]) -> Call:
    """Pixels to scores, maps and class distances, as an inspection asks for them."""
    if subject.runtime != TORCH:
        exported, _ = load_export(_exported(models, subject))
        network: Network = ExportedNetwork(exported.session(), exported.card)
    else:
        kind = TorchNetwork if subject.precision == FLOAT32 else Bfloat16Network
        network = kind(load_model(models / RUN), "cpu")
    return lambda n: network.run(pictures[:n])


def _whole(models: Path, subject: Subject) -> Model:
    """A loaded model, which predicts files: it decodes, resizes, computes, smooths and judges."""
    if subject.runtime != TORCH:
        return snlad.load(_exported(models, subject))
    if subject.precision == FLOAT32:
        return snlad.load(models / RUN)
    loaded = load_model(models / RUN)
    found = load_calibration(find_model(models / RUN), loaded.identity)
    return Model(
        Bfloat16Network(loaded, "cpu"),
        loaded.card,
        loaded.identity,
        loaded.rois,
        calibration=found[0] if found else None,
    )


def _exported(models: Path, subject: Subject) -> Path:
    name = export_name(subject.runtime, subject.precision)
    if reason := json.loads((models / MADE).read_text())["exports"][name]:
        raise UnavailableError(reason)
    return models / name


class Bfloat16Network(TorchNetwork):
    """The networks in bfloat16, maps and scores in float32; snlad itself has no such switch yet."""

    @torch.inference_mode()
    def run(self, pictures: NDArray[np.uint8]) -> Output:
        """Inspect pictures of the input size."""
        images = torch.from_numpy(to_input(pictures)).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            teacher, student = self.detector.features(images)
        teacher, student = ([x.float() for x in levels] for levels in (teacher, student))
        raw = self.detector.raw_maps(teacher, student)
        raw["overall"] = self.detector.overall(raw)
        assert self._class_answer is not None
        return Output(
            self.detector.image_score(raw["overall"]).numpy(),
            {name: map_.numpy()[:, 0] for name, map_ in raw.items()},
            self._class_answer.distances(channel_statistics(teacher).numpy()),
        )

    def under(self, rules: Rules) -> "Bfloat16Network":
        """Not used here."""
        raise NotImplementedError(rules.name)


def _train(subject: Subject, config: Config, job: dict[str, Any], turns: Turns) -> None:
    """Train for ever with snlad's own loop, which stands still between turns.

    Features are kept in memory as they would be with all pictures of the data: a part of the
    pictures has the same part of the budget.
    """
    from snlad.engine.train import train

    dataset = open_dataset(Path(job["data"]))
    samples = tuple(spread(dataset.train_normal, TRAINED))
    share = len(samples) / len(dataset.train_normal)
    changes = {
        "train": {
            "steps": _FOR_EVER,
            "checkpoint_every": _FOR_EVER,
            "batch_size": subject.batches[0],
            "precision": subject.precision,
            "cache_gib": config.train.cache_gib * share,
        },
        "calibration": {"share": 0.0},
        "probes": {"count": 0},
    }
    config = parse_config(merge_settings(config.model_dump(mode="json"), changes))
    flops = speed_flops.of_training(config)

    def ready(steps: PausedSteps) -> None:
        cached = "teacher features" in steps.rates
        turns.say(
            ready=True,
            flops=flops["student"] + (0.0 if cached else flops["teacher"]),
            note=f"teacher features {'kept in memory' if cached else 'computed at every step'}",
            before=steps.rates,
        )

    with TemporaryDirectory() as folder:
        progress = PausedSteps(turns, ready)
        train(replace(dataset, samples=samples), Path(folder) / "run", config, progress=progress)
