"""Training: one loop, read from top to bottom."""

import logging
import math
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from snlad.build import LossFunction, build_detector, build_loss
from snlad.config import Config, TrainConfig, digest
from snlad.data.loading import data_digest
from snlad.data.samples import Dataset, Sample
from snlad.engine.checkpoint import load_checkpoint, save_checkpoint
from snlad.engine.finish import finish_training
from snlad.engine.hardware import Hardware, choose_device, choose_hardware, describe_device
from snlad.engine.rundir import RunFolder
from snlad.engine.training_data import TrainingData
from snlad.errors import DataError, TrainingError
from snlad.models.cram import Cram, initialise_centers
from snlad.models.detector import Detector, MapFunction
from snlad.models.weights import load_pretrained, weights_digest
from snlad.types import Progress, silent

logger = logging.getLogger(__name__)

_CENTER_BATCHES = 8


@dataclass(frozen=True)
class OwnParts:
    """Parts of the user's own, plain objects, in place of ours.

    Attributes:
        student: module ``(images, teacher_pyramid) -> pyramid``.
        loss: function ``(teacher, student) -> {name: weighted term}``.
        maps: functions ``(teacher, student, (H, W)) -> (B, 1, H, W)`` by name.
    """

    student: nn.Module | None = None
    loss: LossFunction | None = None
    maps: Mapping[str, MapFunction] | None = None

    @property
    def names(self) -> list[str]:
        """Which parts are the user's own."""
        return [name for name in ("student", "loss", "maps") if getattr(self, name) is not None]


@dataclass
class _Training:
    """What the loop works on."""

    config: Config
    run: RunFolder
    hardware: Hardware
    detector: Detector
    data: TrainingData
    loss: LossFunction
    optimizer: torch.optim.Optimizer
    identity: dict[str, Any]
    progress: Progress
    step: int = 0
    stop: list[int] = field(default_factory=list)


def train(
    dataset: Dataset,
    out: Path | str,
    config: Config,
    *,
    device: str = "auto",
    resume: bool = False,
    rois: Mapping[str, NDArray[np.bool_]] | None = None,
    own: OwnParts | None = None,
    progress: Progress = silent,
) -> Path:
    """Train one model on the normal training pictures of all classes together.

    Args:
        dataset: only its normal training pictures are opened.
        out: run folder.
        config: every choice; see ``snlad.config``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:0`` or ``mps``.
        resume: go on from the run's last checkpoint to the numbers of an undisturbed run.
        rois: inspection masks, bool (H0, W0), by class name; stored with the model.
        own: student, loss or maps of the user's own.
        progress: told how far the work is.

    Returns:
        The run folder.

    Raises:
        DataError: no normal training picture, or one that cannot be read.
        UsageError: the run folder or the device cannot be used.
        WeightsError: the teacher's weights are not there.
        TrainingError: a loss is not finite, or training was interrupted.
    """
    own, started = own or OwnParts(), time.monotonic()
    samples = _require_normals(dataset, rois or {})
    target = choose_device(device)
    run = RunFolder(Path(out))
    run.start(config, describe_device(target), resume=resume)
    if resume and run.model.exists():
        logger.info("%s is already finished; nothing was done", run.path)
        return run.path
    with torch.random.fork_rng(), _stop_signals() as stop:
        training = _prepare(samples, run, config, target, own, progress)
        training.stop = stop
        _begin(training)
        _run_steps(training)
        finish_training(
            training.detector,
            training.data,
            samples,
            run,
            config,
            rois=rois or {},
            record={**training.identity, "seconds": round(time.monotonic() - started, 1)},
            own=own.names,
            progress=progress,
        )
    shutil.rmtree(run.checkpoint)
    return run.path


def learning_rate(step: int, total: int, settings: TrainConfig) -> float:
    """Linear warm-up from 0, then a cosine to 0, at optimiser step ``step`` of ``total``."""
    warmup = round(settings.warmup_share * total)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def batch_indices(step: int, n_images: int, batch_size: int, seed: int) -> list[int]:
    """The pictures of a step: a seeded shuffle of all classes together each epoch, last part dropped.

    A function of its arguments alone, so that a resumed run sees the same batches.
    """
    size = min(batch_size, n_images)
    epoch, position = divmod(step, n_images // size)
    order = np.random.default_rng([seed, epoch]).permutation(n_images)
    return [int(i) for i in order[position * size : (position + 1) * size]]


def _require_normals(dataset: Dataset, rois: Mapping[str, Any]) -> tuple[Sample, ...]:
    samples = dataset.train_normal
    if not samples:
        raise DataError(
            f"{dataset.root} has no normal training picture; put good pictures into CLASS/train/good"
        )
    unknown = sorted(set(rois) - {sample.class_name for sample in samples})
    if unknown:
        raise DataError(f"--roi names class {unknown[0]!r}, which {dataset.root} does not train")
    return samples


def _prepare(
    samples: Sequence[Sample],
    run: RunFolder,
    config: Config,
    device: torch.device,
    own: OwnParts,
    progress: Progress,
) -> _Training:
    torch.manual_seed(config.seed)
    hardware = choose_hardware(device, config.train)
    detector = build_detector(config, own.student, own.maps)
    load_pretrained(detector.teacher, config.teacher.weights)
    hardware.place(detector)
    data = TrainingData(
        [sample.path for sample in samples],
        config.image_size,
        detector.teacher,
        hardware,
        int(config.train.cache_gib * 2**30),
        progress,
    )
    optimizer = torch.optim.Adam(detector.student.parameters(), betas=config.train.betas)
    identity = {
        "config": digest(config.model_dump(mode="json")),
        "data": data_digest(samples),
        "teacher": weights_digest(detector.teacher),
    }
    loss = own.loss or build_loss(config)
    return _Training(config, run, hardware, detector, data, loss, optimizer, identity, progress)


def _begin(training: _Training) -> None:
    """Start from the last checkpoint, or from k-means centers on a few batches."""
    student, run = training.detector.student, training.run
    if (run.checkpoint / "checkpoint.json").exists():
        training.step = load_checkpoint(
            run.checkpoint, student, training.optimizer, training.identity
        )
        run.rewind_log(training.step)
        logger.info("resumed after step %d", training.step)
    elif training.config.cram.initialisation == "k-means":
        initialise_centers(student, lambda: _show_batches(training), seed=training.config.seed)


@torch.no_grad()
def _show_batches(training: _Training) -> None:
    size, seed = training.config.train.batch_size, training.config.seed
    training.detector.student.train()
    for step in range(_CENTER_BATCHES):
        images, teacher = training.data.batch(batch_indices(step, len(training.data), size, seed))
        training.detector.student(images, teacher)


def _run_steps(training: _Training) -> None:
    config, settings = training.config, training.config.train
    student, optimizer = training.detector.student, training.optimizer
    total = settings.total_steps(len(training.data))
    while training.step < total:
        step, started = training.step, time.monotonic()
        student.train()
        torch.manual_seed(hash((config.seed, step)) % 2**63)  # dropout repeats after a resume
        lr = learning_rate(step, total, settings)
        for group in optimizer.param_groups:
            group["lr"] = lr

        indices = batch_indices(step, len(training.data), settings.batch_size, config.seed)
        images, teacher = training.data.batch(indices)
        with training.hardware.autocast():
            reproduced = student(images, teacher)
        terms = training.loss(teacher, reproduced)
        loss = torch.stack(list(terms.values())).sum()
        _require_finite(step, terms)

        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(student.parameters(), settings.clip_norm)
        optimizer.step()
        training.step = step + 1

        if training.step % settings.log_every == 0 or training.step == total:
            speed = len(indices) / (time.monotonic() - started)
            row = {"step": training.step, "lr": lr, "loss": float(loss), "grad_norm": float(norm)}
            row |= {f"loss_{name}": float(term) for name, term in terms.items()}
            training.run.append_log({**row, **_center_use(student), "images_per_s": round(speed, 1)})
        training.progress("training", training.step, total)
        if training.step % settings.checkpoint_every == 0 or training.step == total or training.stop:
            _save(training)
        if training.stop:
            raise TrainingError(
                f"stopped by a signal after step {training.step} of {total}; "
                "the same command with --resume goes on from there",
                interrupted=True,
            )


def _save(training: _Training) -> None:
    save_checkpoint(
        training.run.checkpoint,
        training.step,
        training.detector.student,
        training.optimizer,
        training.identity,
    )


def _require_finite(step: int, terms: Mapping[str, Tensor]) -> None:
    values = {name: float(term) for name, term in terms.items()}
    if not all(math.isfinite(value) for value in values.values()):
        listed = ", ".join(f"{name} {value:g}" for name, value in values.items())
        raise TrainingError(
            f"loss is not finite at step {step + 1} ({listed}); "
            "lower train.learning_rate, or train.precision = 'float32'"
        )


def _center_use(student: nn.Module) -> dict[str, float]:
    """Mean over CRAM modules of assignment entropy and share of used centers, in [0, 1]."""
    crams = [module for module in student.modules() if isinstance(module, Cram)]
    if not crams:
        return {}
    return {
        "cram_entropy": sum(float(cram.entropy) for cram in crams) / len(crams),
        "cram_used_share": sum(float(cram.used_share) for cram in crams) / len(crams),
    }


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, so that training ends between two steps with its state saved."""
    received: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    try:
        before: dict[int, Callable[..., Any] | int | None] = {
            number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)
        }
    except ValueError:  # not the main thread: signals go elsewhere
        before = {}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
