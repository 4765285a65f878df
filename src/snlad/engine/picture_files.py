"""What a prediction looks like: the heat map over its picture, and float maps, in files."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from PIL import Image

from snlad.data.masks import resize_nearest
from snlad.predict import Model
from snlad.report.flushed import named_errors
from snlad.report.overlay import overlay, write_tiff
from snlad.types import Prediction

_UNSAFE = re.compile(r"[^\w.-]+")


class PictureFiles:
    """Writes the files of one picture after the other, all of a picture's or none.

    Args:
        model: gives the colour scale and the inspection masks.
        out: folder of the results.
        map_names: maps to write as they are.
    """

    def __init__(self, model: Model, out: Path, map_names: Sequence[str] = ()) -> None:
        self._model = model
        self._overlays = out / "overlays"
        self._maps = {name: out / "maps" / name for name in map_names}
        for folder in (self._overlays, *self._maps.values()):
            folder.mkdir(parents=True, exist_ok=True)

    def add(self, number: int, prediction: Prediction) -> None:
        """Write the files of row ``number``; a picture with an error has none.

        Raises:
            MemoryError: the picture is too large to draw.
            OSError: a file cannot be written; it is named.
        """
        if prediction.error is not None:
            return
        begun: list[Path] = []
        try:
            for path, write in self._files(number, prediction):
                begun.append(path)
                with named_errors(path):
                    write(path)
        except (MemoryError, OSError):
            for path in begun:
                with suppress(OSError):
                    path.unlink()
            raise

    def _files(
        self, number: int, prediction: Prediction
    ) -> Iterator[tuple[Path, Callable[[Path], None]]]:
        stem = _file_stem(number, prediction)
        yield (
            self._overlays / f"{stem}.png",
            lambda path: draw_overlay(self._model, prediction).save(path),
        )
        for name, folder in self._maps.items():
            yield folder / f"{stem}.tiff", partial(write_tiff, anomaly_map=prediction.maps[name])


def draw_overlay(model: Model, prediction: Prediction) -> Image.Image:
    """The heat map over the picture at its original size, on the model's one colour scale."""
    assert prediction.image is not None
    roi = model.rois.get(prediction.class_name or "")
    if roi is not None:
        roi = resize_nearest(roi, prediction.image.shape[:2])
    low, high = model.card.color_scale
    return Image.fromarray(
        overlay(prediction.image, prediction.maps["overall"], low, high, roi=roi)
    )


def _file_stem(number: int, prediction: Prediction) -> str:
    """The row's number and a part of the picture's name that every file system accepts."""
    stem = Path(prediction.path or "array").stem.encode("ascii", "replace").decode()
    return f"{number:06d}_{_UNSAFE.sub('_', stem)[:80]}"
