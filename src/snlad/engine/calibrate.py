"""Calibration of a trained model: scores of normal pictures in, a new version of thresholds out."""

import getpass
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snlad.calibration.class_answer import find_answer_limits
from snlad.calibration.confusion import count_answers, find_inseparable
from snlad.calibration.record import (
    Calibration,
    find_limits,
    load_calibration,
    save_calibration,
)
from snlad.calibration.repeatability import Shot, find_repeats, highest_by_part
from snlad.data.loading import data_digest, file_digests, load_samples
from snlad.data.samples import Sample
from snlad.engine.pictures import load_pictures, refuse_trained
from snlad.engine.refresh import refresh_card
from snlad.engine.rundir import write_json
from snlad.errors import ImageError, UsageError
from snlad.model_card import find_model
from snlad.predict import Model
from snlad.types import Prediction, Progress, silent

TARGET_FPR = 0.05
_BATCH = 16
_MEASURED = {
    *("source", "data", "scores", "peaks", "pictures", "repeats"),
    *("class_scales", "unknown_above", "unknown_rate", "answers"),
}
"""What a version takes over from the one before where no new pictures are given."""


def calibrate(
    run: Path,
    model: Model,
    samples: Sequence[Sample] = (),
    *,
    target_fpr: float = TARGET_FPR,
    source: str = "",
    progress: Progress = silent,
) -> Calibration:
    """Set the thresholds of a model and keep them as a new version; older ones stay.

    Args:
        run: run or model folder.
        model: loaded from it.
        samples: normal pictures that training did not use, of the model's classes; the scores of
            the last version are used again where there are none.
        target_fpr: share of good pictures that may be called NG, in (0, 1).
        source: where the pictures came from, for the record.
        progress: told how far the work is.

    Returns:
        The new version, also written to ``RUN/calibration.json`` for reading.

    Raises:
        ImageError: a picture cannot be read.
        UsageError: there is neither a picture nor an earlier version, a picture is not normal, of
            a class that the model does not have or trained on, or the target is not in (0, 1).
    """
    folder = find_model(run)
    last = load_calibration(folder, model.identity)
    if samples:
        measured = _measure_untrained(run, model, samples, source, progress)
    elif last is not None:
        measured = last[0].model_dump(include=_MEASURED)
    else:
        raise UsageError(
            f"{run} has no calibration pictures; give some with --calibration DIR: "
            "normal pictures that training did not use"
        )
    calibration = _set_thresholds(model, measured, target_fpr, last)
    save_calibration(folder, calibration)
    write_json(run / "calibration.json", calibration.model_dump(mode="json"))
    model.calibration = calibration
    refresh_card(run, model)
    return calibration


def calibrate_export(
    run: Path,
    exported: Model,
    samples: Sequence[Sample],
    *,
    source: str,
    progress: Progress = silent,
) -> Calibration:
    """Thresholds of a calibrated export that computes otherwise than the model it was made of.

    Args:
        run: run or model folder that it was made of.
        exported: with the thresholds of the trained model, whose target is kept.
        samples: as for ``calibrate``.
        source: where the pictures came from, for the record.
        progress: told how far the work is.

    Raises:
        ImageError, UsageError: as for ``calibrate``.
    """
    theirs = exported.calibration
    assert theirs is not None
    measured = _measure_untrained(run, exported, samples, source, progress)
    found = _set_thresholds(exported, measured, theirs.target_fpr, None)
    return found.model_copy(update={"model": theirs.model, "version": theirs.version})


def require_calibration(samples: Sequence[Sample], classes: Collection[str]) -> None:
    """Let pictures through that a model of these classes can be calibrated on.

    Raises:
        UsageError: one is not normal, or of another class.
    """
    for sample in samples:
        if sample.is_anomalous:
            raise UsageError(f"{sample.path} is no normal picture; calibrate on good ones only")
        if sample.class_name not in classes:
            raise UsageError(
                f"{sample.path} is of class {sample.class_name!r}, which the model does not have: "
                f"{', '.join(sorted(classes))}"
            )


def _measure_untrained(
    run: Path, model: Model, samples: Sequence[Sample], source: str, progress: Progress
) -> dict[str, Any]:
    """What a model says of normal pictures that its training did not see."""
    digests, trained = file_digests(samples), load_pictures(run)
    refuse_trained(samples, digests, trained.train_digests if trained else ())
    measured = {**_measure(model, samples, progress), "source": source}
    return measured | {"data": data_digest(samples, digests)}


def _set_thresholds(
    model: Model,
    measured: Mapping[str, Any],
    target_fpr: float,
    last: tuple[Calibration, str] | None,
) -> Calibration:
    scores, peaks = measured["scores"], measured["peaks"]
    totals = measured["pictures"] or {name: len(values) for name, values in scores.items()}
    inseparable = find_inseparable(measured.get("answers", {}), totals)
    classes, pooled = find_limits(scores, peaks, target_fpr, inseparable)
    return Calibration(
        version=1 if last is None else last[0].version + 1,
        previous=None if last is None else last[1],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        by=_user(),
        target_fpr=target_fpr,
        model=model.identity,
        classes=classes,
        pooled=pooled,
        inseparable=inseparable,
        **measured,
    )


def _measure(model: Model, samples: Sequence[Sample], progress: Progress) -> dict[str, Any]:
    """Scores and peaks by class, ascending, and how far from the classes is too far."""
    require_calibration(samples, model.card.classes)
    shots: dict[str, list[Shot]] = defaultdict(list)
    distances: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for sample, found in zip(samples, _predictions(model, samples, progress), strict=True):
        name = sample.class_name
        assert found.pred_score is not None
        shots[name].append(Shot(sample.part_id, sample.view, found.pred_score, model.peak(found)))
        if found.class_distances is not None:
            distances[name].append(found.class_distances)
    parts = {name: highest_by_part(some) for name, some in shots.items()}
    measured: dict[str, Any] = {
        "scores": {name: scores for name, (scores, _) in parts.items()},
        "peaks": {name: peaks for name, (_, peaks) in parts.items()},
        "pictures": {name: len(some) for name, some in shots.items()},
        "repeats": {name: find_repeats(some) for name, some in shots.items()},
    }
    if distances:
        stacked = {name: np.array(rows) for name, rows in distances.items()}
        names = sorted(model.card.classes)
        limits, rate = find_answer_limits(names, stacked)
        measured |= {"class_scales": dict(limits.scales), "unknown_above": limits.unknown_above}
        measured |= {"unknown_rate": rate, "answers": count_answers(limits, names, stacked)}
    return measured


def _predictions(
    model: Model, samples: Sequence[Sample], progress: Progress
) -> Iterator[Prediction]:
    done = 0
    size, for_tiles = model.card.config.image_size, model.cuts_tiles
    for batch, pictures in load_samples(samples, size, _BATCH, for_tiles=for_tiles):
        for prediction in model.judge(pictures, [sample.class_name for sample in batch]):
            if prediction.error is not None:
                raise ImageError(prediction.error)
            yield prediction
        done += len(pictures)
        progress("calibrating", done, len(samples))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"
