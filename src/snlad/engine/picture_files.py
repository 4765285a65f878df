"""What a prediction looks like: the heat map over its picture, and float maps, in files."""

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image

from snlad.data.images import restore_size
from snlad.data.map_names import MapNames
from snlad.data.masks import resize_nearest
from snlad.predict import Model
from snlad.report.flushed import named_errors
from snlad.report.overlay import overlay, write_tiff
from snlad.types import Prediction

_UNSAFE = re.compile(r"[^\w.-]+")


MIRRORED = "anomaly_maps"

_NAME_FAULTS = frozenset(
    (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ)
)
"""How a file system refuses a name, whatever is written."""


class PictureFiles:
    """Writes the files of one picture after the other, all of a picture's or none.

    Args:
        model: gives the colour scale and the inspection masks.
        out: folder of the results.
        map_names: maps to write as they are.
        mirrored: names for overall maps at the pictures' own size, or ``None`` for no such maps.
    """

    def __init__(
        self,
        model: Model,
        out: Path,
        map_names: Sequence[str] = (),
        mirrored: MapNames | None = None,
    ) -> None:
        self._model = model
        self._overlays = out / "overlays"
        self._maps = {name: out / "maps" / name for name in map_names}
        self._mirror, self._mirrored = out / MIRRORED, mirrored
        for folder in (self._overlays, *self._maps.values()):
            folder.mkdir(parents=True, exist_ok=True)

    def add(self, number: int, prediction: Prediction) -> Prediction:
        """Write the files of row ``number``; a picture with an error has none.

        Returns:
            The prediction, with an error in the place of its answer where the picture is too
            large to draw or its map can have no name.

        Raises:
            OSError: a file cannot be written; it is named.
        """
        if prediction.error is not None:
            return prediction
        begun: list[Path] = []
        try:
            for path, write in self._files(number, prediction):
                begun.append(path)
                with named_errors(path):
                    write(path)
        except BaseException as error:
            for path in begun:
                with suppress(OSError):
                    path.unlink()
            reason = self._fault_of_picture(error, begun[-1])
            if reason is None:
                raise
            return _without_answer(prediction, reason)
        return prediction

    def _files(
        self, number: int, prediction: Prediction
    ) -> Iterator[tuple[Path, Callable[[Path], None]]]:
        stem = _file_stem(number, prediction)
        yield self._overlays / f"{stem}.png", partial(write_overlay, self._model, prediction)
        for name, folder in self._maps.items():
            yield folder / f"{stem}.tiff", partial(write_tiff, anomaly_map=prediction.maps[name])
        if self._mirrored is not None and prediction.path is not None:
            path = self._mirror / self._mirrored.name(prediction.path)
            yield path, partial(_write_restored, prediction)

    def _fault_of_picture(self, error: BaseException, path: Path) -> str | None:
        """What is wrong with this picture alone; ``None`` where the job cannot go on."""
        if isinstance(error, MemoryError):
            return "no memory to draw its heat map; shrink the picture"
        is_mirrored = self._mirror in path.parents
        if is_mirrored and isinstance(error, OSError) and error.errno in _NAME_FAULTS:
            return f"its map can have no such name ({error.strerror}); rename the picture"
        return None


def write_overlay(model: Model, prediction: Prediction, path: Path) -> None:
    """Write the heat map over the picture as PNG."""
    # Pillow's own level takes three times as long for a twentieth less.
    draw_overlay(model, prediction).save(path, compress_level=4)


def _write_restored(prediction: Prediction, path: Path) -> None:
    """The overall map at the size of the picture, as MVTec's evaluation code asks for it."""
    assert prediction.image is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tiff(path, restore_size(prediction.maps["overall"], prediction.image.shape[:2]))


def _without_answer(prediction: Prediction, reason: str) -> Prediction:
    return replace(
        prediction,
        pred_score=None,
        pred_label=None,
        regions=None,
        verdict="not_judged",
        reason="unreadable",
        error=f"{prediction.path}: {reason}",
    )


def draw_overlay(model: Model, prediction: Prediction) -> Image.Image:
    """The heat map over the picture at its original size, on the model's one colour scale."""
    assert prediction.image is not None
    roi = model.rois.get(prediction.class_name or "")
    if roi is not None:
        roi = resize_nearest(roi, prediction.image.shape[:2])
    low, high = model.card.color_scale
    return overlay(prediction.image, prediction.maps["overall"], low, high, roi=roi)


def _file_stem(number: int, prediction: Prediction) -> str:
    """The row's number and a part of the picture's name that every file system accepts."""
    stem = Path(prediction.path or "array").stem.encode("ascii", "replace").decode()
    return f"{number:06d}_{_UNSAFE.sub('_', stem)[:80]}"
