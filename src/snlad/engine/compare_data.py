"""Two models compared on one data set: both evaluated anew, and the flipped pictures drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from snlad.data.loading import load_batches
from snlad.data.masks import read_mask
from snlad.data.samples import Dataset, Sample
from snlad.engine.compare import (
    Comparison,
    Flip,
    compare,
    require_one_protocol,
    require_thresholds,
)
from snlad.engine.evaluate import evaluate, own_protocol
from snlad.engine.evaluated_run import read_evaluated
from snlad.engine.picture_files import draw_overlay
from snlad.engine.scored import path_in_data
from snlad.errors import ImageError
from snlad.predict import Model
from snlad.report.overlay import Picture, contact_sheet
from snlad.types import Prediction, Progress, silent

CELL_PX = 220


class ModelPair:
    """Models A and B on the test pictures of one data set; their runs are not touched.

    Args:
        runs: the folders of A and B, as given.
        models: loaded from them.
        dataset: with labelled test pictures.
        needs_flips: refuse models without thresholds.

    Raises:
        UsageError: the models follow different protocols, or flips are needed and one of them
            has no thresholds.
    """

    def __init__(
        self,
        runs: tuple[str, str],
        models: tuple[Model, Model],
        dataset: Dataset,
        *,
        needs_flips: bool = False,
    ) -> None:
        protocols = [own_protocol(model) for model in models]
        require_one_protocol(runs[0], protocols[0], runs[1], protocols[1])
        if needs_flips:
            require_thresholds(
                {
                    run: model.calibration is not None
                    for run, model in zip(runs, models, strict=True)
                }
            )
        self._runs, self._models, self._dataset = runs, models, dataset

    def compare(self, progress: Progress = silent) -> tuple[Comparison, list[str]]:
        """Evaluate both.

        Returns:
            The comparison, and the notes of the data set and both evaluations, each said once.

        Raises:
            DataError: the data set has no test picture, or a mask cannot be read.
            MetricError: a score or map is not finite.
        """
        sides, notes = [], [*self._dataset.notes]
        for name, run, model in zip("AB", self._runs, self._models, strict=True):
            found = evaluate(model, self._dataset, progress=_named(progress, name))
            sides.append(read_evaluated(run, found.to_dict(), found.pictures))
            notes += found.notes
        return compare(*sides), list(dict.fromkeys(notes))

    def draw(self, flips: Sequence[Flip], progress: Progress = silent) -> Iterator[Picture]:
        """For each flip its picture, its mask where there is one, and the maps of A and B.

        Each map has the one colour scale of its model, and above it verdict, score and threshold.

        Raises:
            ImageError: a picture or mask cannot be read any more.
        """
        root, tested = self._dataset.root, self._dataset.test
        by_name = {(one.class_name, path_in_data(one, root)): one for one in tested}
        samples = [by_name[flip.class_name, flip.path] for flip in flips]
        first, second = (_judged(model, samples) for model in self._models)
        for done, (flip, sample, a, b) in enumerate(
            zip(flips, samples, first, second, strict=True), start=1
        ):
            yield self._strip(flip, sample, (a, b))
            progress("drawing flips", done, len(flips))

    def _strip(self, flip: Flip, sample: Sample, predictions: Sequence[Prediction]) -> Picture:
        assert predictions[0].image is not None
        image = _shrink(predictions[0].image)
        cells, captions = [image], ["picture"]
        if sample.mask is not None:
            cells.append(read_mask(sample.mask).astype(np.uint8) * 255)
            captions.append("mask")
        limits = ((flip.score_a, flip.threshold_a), (flip.score_b, flip.threshold_b))
        for name, model, prediction, (score, threshold) in zip(
            "AB", self._models, predictions, limits, strict=True
        ):
            cells.append(np.asarray(draw_overlay(model, replace(prediction, image=image))))
            verdict, sign = ("NG", ">") if score > threshold else ("OK", "<=")
            captions.append(f"{name}: {verdict}, {score:.4g} {sign} {threshold:.4g}")
        return contact_sheet([cells], captions, cell_px=CELL_PX)


def _named(progress: Progress, name: str) -> Progress:
    return lambda label, done, total: progress(f"{label} {name}", done, total)


def _judged(model: Model, samples: Sequence[Sample]) -> Iterator[Prediction]:
    """One prediction at a time: the decoded pictures are kept and may be large."""
    paths, size = (one.path for one in samples), model.card.config.image_size
    pictures = load_batches(paths, size, 1, for_tiles=model.cuts_tiles)
    for sample, batch in zip(samples, pictures, strict=True):
        (prediction,) = model.judge(batch, [sample.class_name])
        if prediction.error is not None:
            raise ImageError(prediction.error)
        yield prediction


def _shrink(image: Picture) -> Picture:
    """At most a cell's size, so that no map is drawn larger than it is shown."""
    picture = Image.fromarray(image)
    picture.thumbnail((CELL_PX, CELL_PX))
    return np.asarray(picture)
