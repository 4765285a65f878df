"""Training: one loop, read from top to bottom."""

import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from snlad.build import LossFunction, build_detector, build_loss
from snlad.config import Config, digest
from snlad.data.loading import data_digest
from snlad.data.samples import Dataset, Sample
from snlad.engine.checkpoint import load_checkpoint, save_checkpoint
from snlad.engine.finish import finish_training
from snlad.engine.hardware import Hardware, choose_device, choose_hardware, describe_device
from snlad.engine.interrupt import stop_signals
from snlad.engine.rundir import RunFolder
from snlad.engine.schedule import batch_indices, learning_rate
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
    with torch.random.fork_rng(), stop_signals() as stop:
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


def _require_normals(dataset: Dataset, rois: Mapping[str, Any]) -> tuple[Sample, ...]:
    samples = dataset.train_normal
    if not samples:
        raise DataError(
            f"{dataset.root} has no normal training picture; "
            "put good pictures into CLASS/train/good"
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
        logger.info("resumed after step %d", training.step)
    run.rewind_log(training.step)
    if training.step == 0 and training.config.cram.initialisation == "k-means":
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
    n_images = len(training.data)
    total = settings.total_steps(n_images)
    while training.step < total:
        step, started = training.step, time.monotonic()
        student.train()
        torch.manual_seed(config.seed * 2**31 + step)  # dropout repeats after a resume
        lr = learning_rate(step, total, settings)
        for group in optimizer.param_groups:
            group["lr"] = lr

        images, teacher = training.data.batch(
            batch_indices(step, n_images, settings.batch_size, config.seed)
        )
        with training.hardware.autocast():
            reproduced = student(images, teacher)
        terms = training.loss(teacher, reproduced)
        loss = torch.stack(list(terms.values())).sum()
        _require_finite(step, terms)

        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        norm = nn.utils.clip_grad_norm_(student.parameters(), settings.clip_norm)
        optimizer.step()
        training.step += 1

        last = training.step == total
        if last or training.step % settings.log_every == 0:
            speed = len(images) / (time.monotonic() - started)
            training.run.append_log(_log_row(training, terms, lr, norm, speed))
        training.progress("training", training.step, total)
        if last or training.step % settings.checkpoint_every == 0 or training.stop:
            _save(training)
        if training.stop:
            raise TrainingError(
                f"stopped by a signal after step {training.step} of {total}; "
                "the same command with --resume goes on from there",
                interrupted=True,
            )


def _log_row(
    training: _Training, terms: Mapping[str, Tensor], lr: float, norm: Tensor, speed: float
) -> dict[str, float]:
    values = {f"loss_{name}": float(term.detach()) for name, term in terms.items()}
    return {
        "step": training.step,
        "lr": lr,
        "loss": sum(values.values()),
        **values,
        "grad_norm": float(norm),
        **_center_use(training.detector.student),
        "images_per_s": round(speed, 1),
    }


def _save(training: _Training) -> None:
    save_checkpoint(
        training.run.checkpoint,
        training.step,
        training.detector.student,
        training.optimizer,
        training.identity,
    )


def _require_finite(step: int, terms: Mapping[str, Tensor]) -> None:
    values = {name: float(term.detach()) for name, term in terms.items()}
    if not all(math.isfinite(value) for value in values.values()):
        listed = ", ".join(f"{name} {value:g}" for name, value in values.items())
        raise TrainingError(
            f"loss is not finite at step {step + 1} ({listed}); "
            "lower train.learning_rate, or train.precision = 'float32'"
        )


def _center_use(student: nn.Module) -> dict[str, float]:
    """Mean over CRAM modules of assignment entropy and share of used centers, in [0, 1]."""
    crams = [module for module in student.modules() if isinstance(module, Cram)]
    entropies = [float(cram.entropy) for cram in crams if cram.entropy is not None]
    shares = [float(cram.used_share) for cram in crams if cram.used_share is not None]
    if not entropies:
        return {}
    return {"cram_entropy": fmean(entropies), "cram_used_share": fmean(shares)}
