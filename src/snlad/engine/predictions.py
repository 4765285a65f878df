"""Predictions on disk: rows, heat maps and float maps, one picture at a time.

DIR/predictions.jsonl            one row a picture, in order
DIR/overlays/000000_STEM.png     heat map over the picture, original size
DIR/maps/NAME/000000_STEM.tiff   float map (256, 256)
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from snlad.data.masks import resize_nearest
from snlad.errors import UsageError
from snlad.predict import Model
from snlad.report.overlay import overlay, write_tiff
from snlad.types import Prediction

_UNSAFE = re.compile(r"[^\w.-]+")


def write_predictions(
    model: Model,
    paths: Iterable[Path],
    out: Path,
    *,
    map_names: Sequence[str] = (),
    class_name: str | None = None,
    progress: Callable[[int], None] = lambda _count: None,
) -> tuple[int, int]:
    """Inspect pictures in constant memory and write what was found.

    Args:
        model: a loaded model.
        paths: pictures; a bad one becomes a row with an error.
        out: folder to write; it must not hold predictions yet.
        map_names: maps to write as float TIFF as well.
        class_name: the product class of all pictures, where it is known.
        progress: told how many are done.

    Returns:
        The number of rows, and how many of them have an error.

    Raises:
        UsageError: the folder holds predictions, or the model lacks a map of that name.
    """
    _require_maps(model, map_names)
    rows = out / "predictions.jsonl"
    if out.is_file():
        raise UsageError(f"--out {out} is a file; give a folder")
    if rows.exists():
        raise UsageError(f"{rows} exists; give another --out or move it away")
    predictions = model.stream(paths, class_name=class_name)
    for folder in (out / "overlays", *(out / "maps" / name for name in map_names)):
        folder.mkdir(parents=True, exist_ok=True)
    done = failed = 0
    with rows.open("x", encoding="utf-8") as file:
        for prediction in predictions:
            if prediction.error is None:
                stem = _file_stem(done, prediction)
                prediction = _write_pictures(model, prediction, out, stem, map_names)
            file.write(json.dumps(prediction.row(), allow_nan=False) + "\n")
            file.flush()  # a killed job keeps its rows
            done, failed = done + 1, failed + (prediction.error is not None)
            progress(done)
    return done, failed


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


def _require_maps(model: Model, names: Sequence[str]) -> None:
    for name in names:
        if name not in model.map_names:
            listed = ", ".join(model.map_names)
            raise UsageError(f"--maps {name}: this model has {listed}; name some of these")


def _file_stem(index: int, prediction: Prediction) -> str:
    """The row's number and a part of the picture's name that every file system accepts."""
    stem = Path(prediction.path or "array").stem.encode("ascii", "replace").decode()
    return f"{index:06d}_{_UNSAFE.sub('_', stem)[:80]}"


def _write_pictures(
    model: Model, prediction: Prediction, out: Path, stem: str, map_names: Sequence[str]
) -> Prediction:
    """Write a picture's files; one that is too large to draw becomes a row with an error."""
    try:
        draw_overlay(model, prediction).save(out / "overlays" / f"{stem}.png")
    except MemoryError:
        return replace(
            prediction,
            pred_score=None,
            pred_label=None,
            regions=None,
            verdict="not_judged",
            reason="unreadable",
            error=f"{prediction.path}: no memory to draw its heat map; shrink the picture",
        )
    for name in map_names:
        write_tiff(out / "maps" / name / f"{stem}.tiff", prediction.maps[name])
    return prediction
