"""Training: one loop, read from top to bottom."""

import logging
import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn

from snlad.config import Config
from snlad.data.roi import Rois
from snlad.data.samples import Dataset
from snlad.engine.calibrate import require_calibration
from snlad.engine.checkpoint import save_checkpoint
from snlad.engine.finish import finish_training
from snlad.engine.hardware import choose_device, choose_hardware, describe_hardware
from snlad.engine.held_out import use_held_out
from snlad.engine.interrupt import stop_signals
from snlad.engine.pictures import choose_pictures
from snlad.engine.preparation import OwnParts, Training, begin, prepare, require_normals
from snlad.engine.rundir import RunFolder, has_checkpoint
from snlad.engine.schedule import batch_indices, learning_rate
from snlad.errors import TrainingError
from snlad.models.cram import Cram
from snlad.models.memory import FeatureMemory
from snlad.types import Progress, silent

__all__ = ["OwnParts", "train"]

logger = logging.getLogger(__name__)


def train(
    dataset: Dataset,
    out: Path | str,
    config: Config,
    *,
    device: str = "auto",
    resume: bool = False,
    rois: Rois | None = None,
    own: OwnParts | None = None,
    calibration: Dataset | None = None,
    excluded: Collection[str] = (),
    memory: FeatureMemory | None = None,
    trained: Path | None = None,
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
        calibration: normal pictures of its own to calibrate on; without them a seeded share of
            the training pictures is set aside for it (``config.calibration``).
        excluded: SHA-256 of files to use for nothing, see ``read_excluded``.
        memory: where the teacher's features are looked up, so that several trainings on the same
            pictures compute them once.
        trained: folder that keeps the state after the last step. A training that finds there what
            another left that differs in nothing but its maps and what follows takes no step; what
            does not fit is replaced.
        progress: told how far the work is.

    Returns:
        The run folder.

    Raises:
        DataError: no normal training or calibration picture, or one that cannot be read.
        UsageError: the run folder or the device cannot be used, or a calibration picture is of a
            class that is not trained, or trained on.
        ConfigError: the run that is resumed has another configuration.
        ArtifactError: the checkpoint is damaged or belongs to other data, weights or parts.
        WeightsError: the teacher's weights are not there.
        TrainingError: a loss is not finite, or training was interrupted.
    """
    own, rois, started = own or OwnParts(), rois or {}, time.monotonic()
    samples = require_normals(dataset, rois)
    given = None if calibration is None else require_normals(calibration, {})
    require_calibration(given or (), {s.class_name for s in samples})
    hardware = choose_hardware(choose_device(device), config.train)
    run = RunFolder(Path(out))
    if dataset.layout not in ("manifest", "ader"):  # these name their pictures one by one
        run.require_outside(dataset.root)
    run.start(config, describe_hardware(hardware), resume=resume)
    if run.is_finished:
        logger.info("%s is already finished; nothing was done", run.path)
        return run.path
    with torch.random.fork_rng(), stop_signals() as stop:
        watched = _watch(progress, stop)
        with run.forgotten_on_error(unless=resume):
            pictures = choose_pictures(
                samples, given, config.calibration, config.seed, watched, excluded
            )
            training = prepare(
                pictures,
                run,
                config,
                hardware,
                own,
                rois,
                progress=watched,
                stop=stop,
                memory=memory,
            )
            pictures.save(run.path)
        with _one_value_refused():
            begin(training, trained)
            begun = training.step
            _run_steps(training, started)
        if not has_checkpoint(run.checkpoint):
            _save(training, run.checkpoint, started)
        if trained is not None and (begun < training.step or not has_checkpoint(trained)):
            _save(training, trained, started)
        finish_training(training, pictures.train, rois, own.names, started)
        source = (dataset if calibration is None else calibration).root
        use_held_out(training, pictures.calibration, str(source), own)
    run.discard_checkpoint()
    return run.path


def _watch(progress: Progress, stop: Sequence[int]) -> Progress:
    """Progress that ends the work before and after the steps when a signal asks for it."""

    def watch(label: str, done: int, total: int) -> None:
        progress(label, done, total)
        if stop and label != "training":
            raise TrainingError(
                f"stopped by a signal while {label}; the same command with --resume goes on",
                interrupted=True,
            )

    return watch


@contextmanager
def _one_value_refused() -> Iterator[None]:
    """Say what to change where a batch is too small to be normalised."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise TrainingError(
            "a batch leaves one value a channel to normalise; "
            "raise train.batch_size or image_size, or give more pictures"
        ) from None


def _run_steps(training: Training, started: float) -> None:
    config, settings = training.config, training.config.train
    student, optimizer = training.detector.student, training.optimizer
    reproduce = torch.compile(student) if settings.compile else student
    n_images = len(training.data)
    total = settings.total_steps(n_images)
    while training.step < total:
        step, step_started = training.step, time.monotonic()
        student.train()
        torch.manual_seed(config.seed * 2**31 + step)  # dropout repeats after a resume
        lr = learning_rate(step, total, settings)
        for group in optimizer.param_groups:
            group["lr"] = lr

        images, teacher = training.data.batch(
            batch_indices(step, n_images, settings.batch_size, config.seed)
        )
        with training.hardware.autocast():
            reproduced = reproduce(images, teacher)
        terms = training.loss(teacher, reproduced)
        loss = torch.stack(list(terms.values())).sum()

        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        norm = nn.utils.clip_grad_norm_(student.parameters(), settings.clip_norm)
        _require_finite(step, {**terms, "gradient norm": norm})
        optimizer.step()
        training.step += 1

        last = training.step == total
        if last or training.step % settings.log_every == 0:
            speed = len(images) / (time.monotonic() - step_started)
            training.run.append_log(_log_row(training, terms, lr, norm, speed))
        training.progress("training", training.step, total)
        if last or training.step % settings.checkpoint_every == 0 or training.stop:
            _save(training, training.run.checkpoint, started)
        if training.stop:
            raise TrainingError(
                f"stopped by a signal after step {training.step} of {total}; "
                "the same command with --resume goes on from there",
                interrupted=True,
            )


def _log_row(
    training: Training, terms: Mapping[str, Tensor], lr: float, norm: Tensor, speed: float
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


def _save(training: Training, folder: Path, started: float) -> None:
    seconds = training.seconds_before + time.monotonic() - started
    save_checkpoint(
        folder,
        {"step": training.step, "seconds": seconds},
        training.detector.student,
        training.optimizer,
        training.state_identity,
    )


def _require_finite(step: int, terms: Mapping[str, Tensor]) -> None:
    values = {name: float(term.detach()) for name, term in terms.items()}
    if not all(math.isfinite(value) for value in values.values()):
        listed = ", ".join(f"{name} {value:g}" for name, value in values.items())
        raise TrainingError(
            f"training is not finite at step {step + 1} ({listed}); "
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
