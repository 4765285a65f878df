"""Predictions on disk: rows, heat maps and float maps, one picture at a time.

DIR/predictions.jsonl            one row a picture, in order
DIR/predictions.csv              the same without the regions, for spreadsheets
DIR/predictions.coco.json        the regions as COCO annotations
DIR/overlays/000000_STEM.png     heat map over the picture, original size
DIR/maps/NAME/000000_STEM.tiff   float map (256, 256)
DIR/anomaly_maps/PATH.tiff       overall map, original size, named as the picture is
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Protocol

from snlad.data.map_names import MapNames
from snlad.engine.coco_file import CocoFile
from snlad.engine.interrupt import stop_signals
from snlad.engine.picture_files import MIRRORED, PictureFiles
from snlad.errors import StoppedError, UsageError
from snlad.predict import Model
from snlad.report.flushed import FlushedFile
from snlad.report.prediction_table import TableFile
from snlad.types import Prediction

ROWS = "predictions.jsonl"


class Writer(Protocol):
    """A file that every prediction is added to."""

    def add(self, number: int, prediction: Prediction, /) -> None:
        """Write what belongs to row ``number``, on disk when this returns."""
        ...

    def close(self) -> None:
        """End the file."""
        ...


class RowFile:
    """One JSON object a line and a picture.

    Args:
        path: must not exist.
    """

    def __init__(self, path: Path) -> None:
        self._file = FlushedFile(path)

    def add(self, _number: int, prediction: Prediction) -> None:
        """Append one row."""
        self._file.write(json.dumps(prediction.row(), allow_nan=False) + "\n")

    def close(self) -> None:
        """End the file."""
        self._file.close()


def write_predictions(
    model: Model,
    paths: Iterable[Path],
    out: Path,
    *,
    map_names: Sequence[str] = (),
    csv: bool = False,
    coco: bool = False,
    mirrored: MapNames | None = None,
    class_name: str | None = None,
    progress: Callable[[int], None] = lambda _count: None,
) -> tuple[int, int]:
    """Inspect pictures in constant memory and write what was found.

    Args:
        model: a loaded model.
        paths: pictures; a bad one becomes a row with an error.
        out: folder to write; it must not hold predictions yet.
        map_names: maps to write as float TIFF as well.
        csv: write the rows as a table as well.
        coco: write the regions as COCO annotations as well.
        mirrored: names for overall maps at the pictures' own size, which are then written as well.
        class_name: the product class of all pictures, where it is known.
        progress: told how many are done.

    Returns:
        The number of rows, and how many of them have an error.

    Raises:
        UsageError: the folder holds predictions, or the model lacks a map of that name, or the
            thresholds that regions need.
        StoppedError: a signal asked for the end; the rows so far are complete.
        OSError: a file cannot be written, on a full disk for example; it is named.
    """
    _require_maps(model, map_names)
    files = _files(model, out, csv=csv, coco=coco)
    _require_free(out, [*files, *([out / MIRRORED] if mirrored else [])])
    predictions = model.stream(paths, class_name=class_name)
    pictures = PictureFiles(model, out, map_names, mirrored)
    done = failed = 0
    is_stopped = False
    try:
        with stop_signals() as received, ExitStack() as opened:
            writers = [opened.enter_context(closing(kind(path))) for path, kind in files.items()]
            for found in predictions:
                prediction = pictures.add(done, found)
                for writer in writers:
                    writer.add(done, prediction)
                done, failed = done + 1, failed + (prediction.error is not None)
                progress(done)
                if received:
                    is_stopped = True
                    break
    except KeyboardInterrupt:  # the second signal waits for nothing
        is_stopped = True
    if is_stopped:
        raise StoppedError(
            f"stopped; {done} rows are kept in {out / ROWS}; give another --out to inspect the rest"
        )
    return done, failed


def _files(
    model: Model, out: Path, *, csv: bool, coco: bool
) -> dict[Path, Callable[[Path], Writer]]:
    """What to open: the rows last, so that what has a row is complete."""
    files: dict[Path, Callable[[Path], Writer]] = {}
    if csv:
        files[out / "predictions.csv"] = TableFile
    if coco:
        if model.calibration is None:
            raise UsageError(
                "--coco needs regions, which need thresholds; run  snlad calibrate  first"
            )
        classes = tuple(model.card.classes)
        files[out / "predictions.coco.json"] = partial(
            CocoFile, classes=classes, min_area=model.min_area
        )
    return {**files, out / ROWS: RowFile}


def _require_maps(model: Model, names: Sequence[str]) -> None:
    for name in names:
        if name not in model.map_names:
            listed = ", ".join(model.map_names)
            raise UsageError(f"--maps {name}: this model has {listed}; name some of these")


def _require_free(out: Path, files: Iterable[Path]) -> None:
    if out.is_file():
        raise UsageError(f"--out {out} is a file; give a folder")
    for path in files:
        if os.path.lexists(path):
            raise UsageError(f"{path} exists; give another --out or move it away")
