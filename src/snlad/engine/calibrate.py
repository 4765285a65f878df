"""Calibration of a trained model: scores of normal pictures in, a new version of thresholds out."""

import getpass
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from snlad.calibration.record import (
    Calibration,
    find_limits,
    load_calibration,
    save_calibration,
)
from snlad.data.loading import data_digest, load_batches
from snlad.data.samples import Sample
from snlad.engine.refresh import refresh_card
from snlad.engine.rundir import write_json
from snlad.errors import ImageError, UsageError
from snlad.model_folder import find_model
from snlad.predict import Model
from snlad.types import Progress, silent

TARGET_FPR = 0.05
_BATCH = 16


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
        UsageError: there is neither a picture nor an earlier version, a picture is not normal or
            of a class that the model does not have, or the target is not in (0, 1).
    """
    folder = find_model(run)
    last = load_calibration(folder, model.identity)
    if samples:
        scores, peaks = _measure(model, samples, progress)
        data = data_digest(samples)
    elif last is not None:
        before = last[0]
        scores, peaks, data, source = before.scores, before.peaks, before.data, before.source
    else:
        raise UsageError(
            f"{run} has no calibration pictures; give some with --calibration DIR: "
            "normal pictures that training did not use"
        )
    classes, pooled = find_limits(scores, peaks, target_fpr)
    calibration = Calibration(
        version=1 if last is None else last[0].version + 1,
        previous=None if last is None else last[1],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        by=_user(),
        target_fpr=target_fpr,
        source=source,
        data=data,
        model=model.identity,
        classes=classes,
        pooled=pooled,
        scores=scores,
        peaks=peaks,
    )
    save_calibration(folder, calibration)
    write_json(run / "calibration.json", calibration.model_dump(mode="json"))
    model.calibration = calibration
    refresh_card(run, model)
    return calibration


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


def warnings(calibration: Calibration) -> list[str]:
    """One sentence for each class that has too few pictures for the target."""
    short = {name: limits for name, limits in calibration.classes.items() if limits.is_short}
    return [
        f"class {name}: {limits.n} calibration pictures cannot promise {calibration.target_fpr:g}, "
        f"only {limits.attainable_fpr:.3f}; {round(1 / calibration.target_fpr) - 1} would do"
        for name, limits in short.items()
    ]


def _measure(
    model: Model, samples: Sequence[Sample], progress: Progress
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Scores and peaks by class, ascending."""
    require_calibration(samples, model.card.classes)
    scores: dict[str, list[float]] = {sample.class_name: [] for sample in samples}
    peaks: dict[str, list[float]] = {sample.class_name: [] for sample in samples}
    done = 0
    size = model.card.config.image_size
    paths = (sample.path for sample in samples)
    for pictures in load_batches(paths, size, _BATCH, keep_original=False):
        names = [sample.class_name for sample in samples[done : done + len(pictures)]]
        for prediction in model.judge(pictures, names):
            if prediction.error is not None or prediction.pred_score is None:
                raise ImageError(str(prediction.error))
            name = str(prediction.class_name)
            scores[name].append(prediction.pred_score)
            peaks[name].append(model.peak(prediction))
        done += len(pictures)
        progress("calibrating", done, len(samples))
    return (
        {name: sorted(values) for name, values in scores.items()},
        {name: sorted(values) for name, values in peaks.items()},
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"
