"""After the last step: scale the maps on normal pictures, save the model, draw the curves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snlad.config import Config
from snlad.data.roi import fit_roi
from snlad.data.samples import Sample
from snlad.engine.rundir import RunFolder
from snlad.engine.training_data import TrainingData
from snlad.model_folder import ModelCard, save_model
from snlad.models.detector import MAP_SIZE, Detector
from snlad.models.weights import weights_license
from snlad.pyramid import Pyramid
from snlad.report.curves import draw_curves
from snlad.types import Progress

_SCALE_PICTURES = 512
_BATCH = 16

Rois = Mapping[str, NDArray[np.bool_]]


def finish_training(
    detector: Detector,
    data: TrainingData,
    samples: Sequence[Sample],
    run: RunFolder,
    config: Config,
    *,
    rois: Rois,
    record: Mapping[str, Any],
    own: Sequence[str],
    progress: Progress,
) -> None:
    """Fit the maps' scale on normal training pictures and save the finished model.

    Args:
        detector: with its student trained.
        data: the training pictures, index for index those of ``samples``.
        samples: normal training samples.
        run: the run folder.
        config: the run's configuration.
        rois: inspection masks by class name.
        record: digests and seconds of this training.
        own: which parts are the user's own.
        progress: told how far the work is.
    """
    detector.eval()
    chosen = _evenly(len(samples), _SCALE_PICTURES)
    valid = _valid_pixels([samples[i] for i in chosen], rois)
    progress("scaling maps", 0, 2)
    detector.fit_scale(_pyramids(detector, data, chosen, valid))
    progress("scaling maps", 1, 2)
    color_scale = _color_scale(detector, _pyramids(detector, data, chosen, valid))
    progress("scaling maps", 2, 2)
    counts = dict.fromkeys(sorted({sample.class_name for sample in samples}), 0)
    for sample in samples:
        counts[sample.class_name] += 1
    card = ModelCard(
        config=config,
        classes=counts,
        color_scale=color_scale,
        record=dict(record),
        own=list(own),
        license=weights_license(config.teacher.name, config.teacher.weights),
    )
    save_model(run.model, detector, card, rois)
    draw_curves(run.read_log(), run.curves_file)


def _evenly(n: int, most: int) -> list[int]:
    """At most ``most`` of ``n`` indices, evenly spread, so that every class has its share."""
    return [int(i) for i in np.unique(np.linspace(0, n - 1, min(n, most)).round())]


def _valid_pixels(samples: Sequence[Sample], rois: Rois) -> list[NDArray[np.bool_]] | None:
    if not rois:
        return None
    everywhere = np.ones(MAP_SIZE, dtype=bool)
    fitted = {name: fit_roi(roi, MAP_SIZE) for name, roi in rois.items()}
    return [fitted.get(sample.class_name, everywhere) for sample in samples]


@torch.no_grad()
def _pyramids(
    detector: Detector,
    data: TrainingData,
    chosen: Sequence[int],
    valid: Sequence[NDArray[np.bool_]] | None,
) -> Iterator[tuple[Pyramid, Pyramid, Tensor | None]]:
    for start in range(0, len(chosen), _BATCH):
        images, teacher = data.batch(chosen[start : start + _BATCH])
        pixels = None
        if valid is not None:
            stacked = torch.from_numpy(np.stack(valid[start : start + _BATCH])).unsqueeze(1)
            pixels = stacked.to(images.device)
        yield teacher, detector.student(images, teacher), pixels


@torch.no_grad()
def _color_scale(
    detector: Detector, batches: Iterator[tuple[Pyramid, Pyramid, Tensor | None]]
) -> tuple[float, float]:
    """One colour scale for all pictures: from the normal mean to 1.5 times the normal range."""
    total, count, highest = 0.0, 0, -np.inf
    for teacher, student, valid in batches:
        overall = detector.overall(detector.raw_maps(teacher, student))
        inside = overall if valid is None else overall[valid]
        total, count = total + float(inside.double().sum()), count + inside.numel()
        highest = max(highest, float(inside.max()))
    low = total / count
    return low, low + 1.5 * (highest - low) + 1e-12
