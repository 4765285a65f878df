"""Recipes for teachers that are not at hand: each trains and judges, with random weights.

Gigabytes each, so behind the marker ``slow``; in CI the date picks a slow test. The others check
without memory that teacher, student, losses and maps fit together at the recipe's own size.
"""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from snlad.build import build_detector, build_loss
from snlad.config import merge_settings, parse_config, read_config
from snlad.data.opening import open_dataset
from snlad.engine.evaluate import evaluate
from snlad.engine.train import train
from snlad.metrics.scores import METRICS
from snlad.predict import load

CONFIGS = Path(__file__).parents[1] / "configs"
RECIPES = {"mvtec_wrn50.toml": 64, "visa_wrn50.toml": 64, "vit_dinov2.toml": 70}
"""Side of the pictures that they are tried with."""


@pytest.mark.parametrize("name", RECIPES)
def test_the_parts_of_a_recipe_fit_together(name):
    config = read_config(CONFIGS / name)
    with torch.device("meta"):
        detector = build_detector(config)
        images = torch.rand(2, 3, *config.image_size)
        teacher, student = detector.features(images)
        terms = build_loss(config)(teacher, student)
        maps = detector(images)
    assert [t.shape for t in teacher] == [s.shape for s in student]
    assert all(term.shape == () for term in terms.values())
    assert maps["overall"].shape == (2, 1, 256, 256)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_and_judges(name, shared_data, tmp_path):
    asked = read_config(CONFIGS / name)
    small = {
        "image_size": [RECIPES[name]] * 2,
        "teacher": {"weights": "random"},
        "train": {"steps": 2, "batch_size": 4, "precision": "float32"},
    }
    if asked.maps.centers:
        small["maps"] = {"centers": 8}
    config = parse_config(merge_settings(asked.model_dump(mode="json"), small))
    data = open_dataset(shared_data)
    model = load(train(data, tmp_path / "run", config))
    assert model.card.config.teacher.name == asked.teacher.name
    mean = evaluate(model, data).table.mean
    assert all(np.isfinite(getattr(mean, metric)) for metric in METRICS)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_was_not_measured_and_how_to_measure_it(name):
    text = (CONFIGS / name).read_text()
    head = text[: text.index("\n\n")]
    assert "# Not measured: " in head
    assert f"--config configs/{name}" in head
    assert "snlad evaluate RUN" in head
    assert tomllib.loads(text)["teacher"]["weights"] == "timm"


def test_every_configuration_is_tried_somewhere():
    known = {*RECIPES, "rd_snl.toml", "public_data.toml"}
    assert {path.name for path in CONFIGS.glob("*.toml")} == known
