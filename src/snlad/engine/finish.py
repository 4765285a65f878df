"""After the last step: scale the maps on normal pictures, save the model, draw the curves."""

from collections import defaultdict
from collections.abc import Sequence
from time import monotonic

import numpy as np
import torch
from torch import Tensor

from snlad.calibration.class_answer import ClassAnswer, choose_pictures, fit_class_answer
from snlad.calibration.record import discard_calibrations
from snlad.data.limits import Measures, PictureLimits, learn_limits, measure_picture
from snlad.data.loading import load_samples
from snlad.data.roi import FittedRois, Rois
from snlad.data.samples import Sample
from snlad.engine.centers import fit_centers
from snlad.engine.preparation import Training
from snlad.engine.views import valid_pixels
from snlad.errors import ImageError
from snlad.model_card import ModelCard
from snlad.model_folder import save_model
from snlad.models.central import CentralMaps
from snlad.models.statistics import channel_statistics
from snlad.models.weights import weights_license
from snlad.report.curves import draw_curves

_SCALE_PICTURES = 256
_BATCH = 16

_NormalMaps = list[tuple[dict[str, Tensor], Tensor | None]]
"""Raw maps by name and valid pixels (B, 1, 256, 256) or ``None``, a batch an entry."""


def finish_training(
    training: Training, samples: Sequence[Sample], rois: Rois, own: list[str], started: float
) -> None:
    """Fit the maps' scale on normal training pictures and save the finished model.

    Args:
        training: with its student trained.
        samples: normal training samples, which the training's views name by their index.
        rois: inspection masks by class name.
        own: which parts are the user's own.
        started: ``time.monotonic()`` at the start of this session.
    """
    detector, config = training.detector.eval(), training.config
    if isinstance(detector.maps, CentralMaps):
        fit_centers(training, detector.maps, [sample.class_name for sample in samples])
    maps = _normal_maps(training)
    detector.fit_scale(maps)
    counts = dict.fromkeys(sorted({sample.class_name for sample in samples}), 0)
    for sample in samples:
        counts[sample.class_name] += 1
    seconds = training.seconds_before + monotonic() - started
    card = ModelCard(
        config=config,
        classes=counts,
        color_scale=_color_scale(training, maps),
        record={**training.identity, "seconds": round(seconds, 1)},
        own=own,
        limits=_learn_limits(training, samples, rois),
        license=weights_license(config.teacher.name, config.teacher.weights),
    )
    draw_curves(training.run.read_log(), training.run.curves_file)
    discard_calibrations(training.run.model)  # of a run that was killed while it ended
    answer = _fit_classes(training, samples)
    save_model(training.run.model, detector, card, rois, answer)


def _learn_limits(
    training: Training, samples: Sequence[Sample], rois: Rois
) -> dict[str, PictureLimits]:
    """What pictures of each class are like, as the network sees them."""
    size, masks = training.config.image_size, FittedRois(rois, training.config.image_size)
    measures: dict[str, list[Measures]] = defaultdict(list)
    done = 0
    for batch, pictures in load_samples(samples, size, _BATCH):
        for sample, picture in zip(batch, pictures, strict=True):
            if picture.fitted is None or picture.size is None:
                raise ImageError(str(picture.error))
            seen = masks.blank([picture.fitted], [sample.class_name]) or [picture.fitted]
            measures[sample.class_name].append(measure_picture(seen[0], picture.size))
        done += len(batch)
        training.progress("measuring pictures", done, len(samples))
    return {name: learn_limits(some) for name, some in sorted(measures.items())}


def _fit_classes(training: Training, samples: Sequence[Sample]) -> ClassAnswer:
    """Learn to tell the classes apart, from a few hundred pictures of each."""
    chosen = choose_pictures([sample.class_name for sample in samples])
    first = {view.sample: at for at, view in reversed([*enumerate(training.views)])}
    parts = []
    for start in range(0, len(chosen), _BATCH):
        some = [first[sample] for sample in chosen[start : start + _BATCH]]
        teacher = training.data.whole_features(some)
        parts.append(channel_statistics(teacher).cpu().numpy())
        training.progress("learning the classes", start + len(parts[-1]), len(chosen))
    return fit_class_answer(np.concatenate(parts), [samples[i].class_name for i in chosen])


def _normal_maps(training: Training) -> _NormalMaps:
    """Raw maps in float32, as at inference, of normal views evenly spread over all classes."""
    last = len(training.views) - 1
    chosen = np.unique(np.linspace(0, last, _SCALE_PICTURES).round()).astype(int)
    maps: _NormalMaps = []
    for start in range(0, len(chosen), _BATCH):
        part = [int(i) for i in chosen[start : start + _BATCH]]
        with torch.no_grad():
            raw = training.detector.raw_maps(
                *training.detector.features(training.data.images(part))
            )
        valid = valid_pixels([training.views[i] for i in part])
        maps.append((raw, None if valid is None else torch.from_numpy(valid)))
        training.progress("scaling maps", start + len(part), len(chosen))
    return maps


def _color_scale(training: Training, maps: _NormalMaps) -> tuple[float, float]:
    """One colour scale for all pictures: from the normal mean to 1.5 times the normal range."""
    total, count, highest = 0.0, 0, -np.inf
    for raw, valid in maps:
        overall = training.detector.overall(raw).cpu().double()
        inside = overall if valid is None else overall[valid]
        total, count = total + float(inside.sum()), count + inside.numel()
        highest = max(highest, float(inside.max()))
    low = total / count
    return low, low + 1.5 * (highest - low) + 1e-12
