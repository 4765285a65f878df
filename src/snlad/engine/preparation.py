"""Before the first step: samples, networks, caches, and the state of a run that is resumed."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from snlad.build import LossFunction, build_detector, build_loss
from snlad.config import Config, digest
from snlad.data.roi import FittedRois, Rois, fit_roi
from snlad.data.samples import Dataset, Sample
from snlad.engine.checkpoint import load_checkpoint
from snlad.engine.hardware import Hardware
from snlad.engine.pictures import UsedPictures
from snlad.engine.rundir import RunFolder, has_checkpoint
from snlad.engine.schedule import batch_indices
from snlad.engine.training_data import TrainingData
from snlad.engine.views import View, choose_views
from snlad.errors import ArtifactError, DataError
from snlad.models.cram import initialise_centers
from snlad.models.detector import Detector, MapFunction
from snlad.models.memory import FeatureMemory, remember
from snlad.models.weights import load_pretrained, weights_digest
from snlad.types import MAP_SIZE, Progress

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
class Training:
    """What the loop works on; ``data`` has the pictures or tiles that ``views`` names, in order."""

    config: Config
    run: RunFolder
    hardware: Hardware
    detector: Detector
    data: TrainingData
    views: Sequence[View]
    loss: LossFunction
    optimizer: torch.optim.Optimizer
    identity: dict[str, str]
    progress: Progress
    stop: Sequence[int]
    step: int = 0
    seconds_before: float = 0.0

    @property
    def state_identity(self) -> dict[str, str]:
        """What the student's state depends on: its maps and what follows them may differ."""
        own = [name for name in self.identity["own parts"].split(", ") if name != "maps"]
        return {
            **self.identity,
            "config": self.config.student_digest,
            "own parts": ", ".join(own),
        }


def require_normals(dataset: Dataset, rois: Rois) -> tuple[Sample, ...]:
    """The normal training samples.

    Raises:
        DataError: there is none, or an inspection mask names a class that is not trained or is
            too small.
    """
    samples = dataset.train_normal
    if not samples:
        raise DataError(
            f"{dataset.root} has no normal training picture; "
            "put good pictures into CLASS/train/good"
        )
    for roi in rois.values():
        fit_roi(roi, MAP_SIZE)  # a mask that vanishes is refused now, not after training
    unknown = sorted(set(rois) - {sample.class_name for sample in samples})
    if unknown:
        raise DataError(f"--roi names class {unknown[0]!r}, which {dataset.root} does not train")
    return samples


def prepare(
    pictures: UsedPictures,
    run: RunFolder,
    config: Config,
    hardware: Hardware,
    own: OwnParts,
    rois: Rois,
    *,
    progress: Progress,
    stop: Sequence[int],
    memory: FeatureMemory | None = None,
) -> Training:
    """Build the networks from the seed, fill the teacher and the caches.

    Raises:
        ImageError: a picture cannot be read.
        WeightsError: the teacher's weights are not there or do not fit.
    """
    torch.manual_seed(config.seed)
    detector = build_detector(config, own.student, own.maps)
    load_pretrained(detector.teacher, config.teacher.weights)
    remember(detector.teacher, memory)
    hardware.place(detector)
    masks, tiling = FittedRois(rois, config.image_size), config.tiling
    views = choose_views(pictures.train, masks, tiling)
    data = TrainingData(
        [pictures.train[view.sample].path for view in views],
        config.image_size,
        detector.teacher,
        hardware,
        int(config.train.cache_gib * 2**30),
        progress,
        [view.seen for view in views],
        None if tiling is None else [view.box for view in views if view.box is not None],
    )
    optimizer = torch.optim.Adam(detector.student.parameters(), betas=config.train.betas)
    identity = {
        "config": digest(config.model_dump(mode="json")),
        "data": pictures.digest,
        "teacher": weights_digest(detector.teacher),
        "roi": digest({name: [roi.shape, roi.tobytes().hex()] for name, roi in rois.items()}),
        "own parts": ", ".join(own.names),
        "number format": str(hardware.dtype).removeprefix("torch."),
    }
    loss = own.loss or build_loss(config)
    return Training(
        config, run, hardware, detector, data, views, loss, optimizer, identity, progress, stop
    )


def begin(training: Training, trained: Path | None = None) -> None:
    """Start from the last checkpoint, a trained student, or k-means centers on a few batches.

    Args:
        training: before its first step.
        trained: where the state of a training that differs in nothing but maps may be kept.
    """
    student, run = training.detector.student, training.run
    if has_checkpoint(run.checkpoint):
        _restore(training, run.checkpoint)
    elif trained is not None and has_checkpoint(trained):
        try:
            _restore(training, trained)
        except ArtifactError as error:
            logger.warning("the student is trained anew: %s", error)
    run.rewind_log(training.step)
    if training.step == 0 and training.config.cram.initialisation == "k-means":
        initialise_centers(student, lambda: _show_batches(training), seed=training.config.seed)


def _restore(training: Training, folder: Path) -> None:
    student, identity = training.detector.student, training.state_identity
    done = load_checkpoint(folder, student, training.optimizer, identity)
    training.step, training.seconds_before = int(done["step"]), done["seconds"]
    logger.info("resumed after step %d", training.step)


@torch.no_grad()
def _show_batches(training: Training) -> None:
    size, seed = training.config.train.batch_size, training.config.seed
    training.detector.student.train()
    for step in range(_CENTER_BATCHES):
        images, teacher = training.data.batch(batch_indices(step, len(training.data), size, seed))
        training.detector.student(images, teacher)
