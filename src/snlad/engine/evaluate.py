"""Evaluation: the seven numbers of a trained model on labelled test pictures."""

from collections.abc import Iterator
from pathlib import Path

from snlad.data.loading import load_samples
from snlad.data.samples import Dataset, Sample
from snlad.engine.evaluation import Evaluation, LabelledPictures, decide
from snlad.engine.scored import ScoredPicture, scored_picture
from snlad.errors import DataError, MetricError
from snlad.metrics.protocols import find_protocol
from snlad.predict import Model
from snlad.types import MAP_SIZE, Prediction, Progress, silent

_BATCH = 16


def evaluate(
    model: Model,
    dataset: Dataset,
    *,
    protocol: str | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Score every test picture of a labelled data set.

    Args:
        model: a loaded model; its inspection masks limit what counts.
        dataset: with test samples.
        protocol: the rules, by name; ours, with the model's own image score, when None.
        progress: told how far the work is.

    Returns:
        The table, what the model's thresholds decide, and notes: pictures that could not be read
        and are left out, masks that the resize would have emptied.

    Raises:
        DataError: the data set has no test picture, or a mask cannot be read.
        MetricError: a score or map is not finite: the model is damaged.
        UsageError: the protocol is unknown.
    """
    if not dataset.test:
        raise DataError(
            f"{dataset.root} has no test picture; "
            "put pictures into CLASS/test/good and CLASS/test/DEFECT"
        )
    own = own_protocol(model)
    rules = find_protocol(protocol or own)
    tested, model = LabelledPictures(dataset, rules, model.rois), model.under(rules)
    notes: list[str] = []
    pictures: list[ScoredPicture] = []
    for done, (sample, prediction) in enumerate(_judged(model, dataset.test), start=1):
        if prediction.error is None:
            row = _row(sample, dataset.root, prediction)
            pictures.append(row)
            size = prediction.size or MAP_SIZE
            tested.add(sample, row.score, prediction.maps["overall"], size)
        else:
            notes.append(f"left out: {prediction.error}")
        progress("evaluating", done, len(dataset.test))
    calibration = model.calibration if rules.name == own else None
    table, notes = tested.table(), notes + tested.notes()
    if calibration is None:
        return Evaluation(table, notes, pictures=pictures)
    decisions, pictures = decide(calibration, pictures)
    thresholds = {name: calibration.limits(name).threshold for name in table.classes}
    return Evaluation(table, notes, decisions, thresholds, pictures)


def own_protocol(model: Model) -> str:
    """The name of our rules with the model's own image score."""
    return "snlad-v1" if model.card.config.maps.score == "top" else "snlad-v1-max"


def _judged(model: Model, samples: tuple[Sample, ...]) -> Iterator[tuple[Sample, Prediction]]:
    size, for_tiles = model.card.config.image_size, model.cuts_tiles
    for batch, pictures in load_samples(samples, size, _BATCH, for_tiles=for_tiles):
        predictions = model.judge(pictures, [sample.class_name for sample in batch])
        for sample, picture, prediction in zip(batch, pictures, predictions, strict=True):
            if prediction.error is not None and picture.error is None:
                raise MetricError(prediction.error)
            yield sample, prediction


def _row(sample: Sample, root: Path, prediction: Prediction) -> ScoredPicture:
    assert prediction.pred_score is not None
    assert prediction.sha256 is not None
    return scored_picture(
        sample, root, prediction.pred_score, prediction.sha256, prediction.class_answer
    )
