"""The demo: the main job on the embedded textures, from pictures to heat maps."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from snlad.config import make_config
from snlad.data.masks import read_mask
from snlad.data.opening import open_dataset
from snlad.data.samples import Dataset, Sample
from snlad.demo.textures import CROP_PX, write_calibration, write_textures
from snlad.engine.evaluate import evaluate
from snlad.engine.interference import with_probes
from snlad.engine.picture_files import draw_overlay
from snlad.engine.train import train
from snlad.errors import UsageError
from snlad.predict import Model, load
from snlad.report.overlay import Picture, contact_sheet
from snlad.types import Progress, silent

DEMO_STEPS = 800
DEMO_STRENGTH = 2.0
"""Defects are painted at twice the spread of their texture: a careful person sees most of them."""
_CAPTIONS = ("picture", "ground truth", "heat map")


def run_demo(
    out: Path, *, method: str = "rd-snl", seed: int = 0, progress: Progress = silent
) -> tuple[dict[str, Any], Path]:
    """Write the embedded data set, train, calibrate and evaluate a model, and draw heat maps.

    Args:
        out: folder to write: ``data``, ``calibration``, ``run`` and ``heatmaps.png``.
        method: ``fd``, ``rd``, ``fd-snl`` or ``rd-snl``.
        seed: of the training.
        progress: told how far the work is.

    Returns:
        The scores, as ``Evaluation.to_dict()``, and the path of the heat maps.

    Raises:
        UsageError: the folder already holds a demo.
        MissingExtraError: the pictures' package is not installed.
    """
    if (out / "run").exists():
        raise UsageError(f"{out} already holds a demo; give another --out or remove it")
    dataset = open_dataset(write_textures(out / "data", strength=DEMO_STRENGTH))
    aside = open_dataset(write_calibration(out / "calibration"))
    config = make_config(
        method, seed=seed, image_size=(CROP_PX, CROP_PX), train={"steps": DEMO_STEPS}
    )
    run = train(dataset, out / "run", config, calibration=aside, progress=progress)
    model = load(run)
    found = with_probes(evaluate(model, dataset, progress=progress), run, model.identity)
    found.save(run)
    rows = [_sheet_row(model, sample) for sample in _one_of_each(dataset)]
    sheet = out / "heatmaps.png"
    Image.fromarray(contact_sheet(rows, _CAPTIONS)).save(sheet)
    return found.to_dict(), sheet


def _one_of_each(dataset: Dataset) -> Iterator[Sample]:
    """For each class a normal test picture and, class by class, another type of defect."""
    for index, name in enumerate(dataset.class_names):
        members = [sample for sample in dataset.test if sample.class_name == name]
        yield next(sample for sample in members if not sample.is_anomalous)
        types = sorted({sample.defect_type for sample in members if sample.is_anomalous})
        for defect in islice(types + types, index % len(types), index % len(types) + 2):
            yield next(sample for sample in members if sample.defect_type == defect)


def _sheet_row(model: Model, sample: Sample) -> list[Picture]:
    prediction = model.predict(sample.path, class_name=sample.class_name)[0]
    assert prediction.image is not None
    truth = np.zeros(prediction.image.shape[:2], dtype=np.uint8)
    if sample.mask is not None:
        truth = read_mask(sample.mask).astype(np.uint8) * 255
    return [prediction.image, truth, np.asarray(draw_overlay(model, prediction))]
