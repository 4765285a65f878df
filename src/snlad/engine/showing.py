"""Scored test pictures shown again: found below a data set, checked, inspected and drawn."""

from collections.abc import Mapping
from dataclasses import replace

from snlad.data.images import read_file, resize_image
from snlad.data.loading import Picture, load_picture
from snlad.data.masks import read_mask
from snlad.data.samples import Dataset, Sample
from snlad.engine.picks import Key, key_of
from snlad.engine.scored import ScoredPicture, path_in_data
from snlad.errors import DataError
from snlad.predict import Model
from snlad.report.gallery import show_map, show_picture, show_truth, shrink, threshold_scale
from snlad.report.html import Html
from snlad.report.overlay import Map
from snlad.types import MAP_SIZE

PICTURE, TRUTH = "picture", "ground truth"


class Showing:
    """Looks up scored pictures in a data set and shows what models make of them.

    Args:
        dataset: where they were scored, or a copy of it.
        models: by the heading of their maps, in order.
    """

    def __init__(self, dataset: Dataset, models: Mapping[str, Model]) -> None:
        self._models = models
        self._samples: dict[Key, Sample] = {
            (sample.class_name, path_in_data(sample, dataset.root)): sample
            for sample in dataset.test
        }

    @property
    def heads(self) -> list[str]:
        """Headings of the views, in order."""
        return [PICTURE, TRUTH, *self._models]

    @property
    def uncalibrated(self) -> list[str]:
        """Headings of the maps whose model has no threshold."""
        return [head for head, model in self._models.items() if model.calibration is None]

    def views(self, scored: ScoredPicture) -> dict[str, Html]:
        """What is shown of a picture, by heading; no ground truth where it has no mask.

        Raises:
            DataError: the picture or its mask is not in the data set, is another file than the
                one that was scored, or cannot be read or inspected.
        """
        sample = self._samples.get(key_of(scored))
        if sample is None:
            raise DataError(f"{scored.path} is not among the test pictures of the data set")
        picture = load_picture(sample.path, MAP_SIZE)
        if picture.error is not None:
            raise DataError(picture.error)
        _require_same(scored.path, picture.sha256, scored.sha256)
        assert picture.original is not None
        small = shrink(picture.original)
        what = f"of {scored.path}, class {scored.class_name}, {scored.defect_type}"
        views = {PICTURE: show_picture(small, f"picture {what}")}
        if sample.mask is not None:
            data, sha256 = read_file(sample.mask)
            _require_same(f"the mask of {scored.path}", sha256, scored.mask_sha256)
            mask = read_mask(data, str(sample.mask))
            views[TRUTH] = show_truth(mask, small.shape[:2], f"ground truth {what}")
        for head, model in self._models.items():
            scale = _color_scale(model, scored.class_name)
            found = _inspect(model, picture, scored.class_name)
            roi = model.rois.get(scored.class_name)
            views[head] = show_map(small, found, scale, roi, f"{head} {what}")
        return views


def _color_scale(model: Model, class_name: str) -> tuple[float, float]:
    limits = None if model.calibration is None else model.calibration.limits(class_name)
    threshold = None if limits is None else limits.pixel_threshold
    return threshold_scale(model.card.color_scale, threshold)


def _inspect(model: Model, picture: Picture, class_name: str) -> Map:
    """The model's map (256, 256) of a loaded picture, as in its evaluation."""
    assert picture.original is not None
    fitted = resize_image(picture.original, model.card.config.image_size)
    prediction = model.judge([replace(picture, fitted=fitted)], [class_name])[0]
    if prediction.error is not None:
        raise DataError(prediction.error)
    return prediction.maps["overall"]


def _require_same(what: str, found: str | None, scored: str | None) -> None:
    if found != scored:
        raise DataError(f"{what} was changed after it was scored; evaluate again to see it")
