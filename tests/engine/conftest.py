"""A loaded model, its pictures, and predictions made by hand."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snlad.types import MAP_SIZE, Prediction


@pytest.fixture(scope="module")
def model(trained_run):
    """The tiny model, loaded once a module."""
    from snlad.predict import load

    return load(trained_run)


@pytest.fixture(scope="module")
def calibrated(trained_run, other_data, tmp_path_factory):
    """The same with thresholds, so low that good pictures have regions too."""
    from snlad.data.opening import open_dataset
    from snlad.engine.calibrate import calibrate
    from snlad.predict import load

    run = shutil.copytree(trained_run, tmp_path_factory.mktemp("calibrated") / "run")
    normals = open_dataset(other_data).train_normal
    calibrate(run, load(run), normals, target_fpr=0.9, source="tiny")
    return load(run)


@pytest.fixture
def pictures(shared_data) -> list[Path]:
    """The eight test pictures."""
    return sorted(shared_data.glob("*/test/*/*.png"))


@pytest.fixture(scope="session")
def predicted() -> Callable[..., Prediction]:
    """A judged picture of 48 x 60 pixels, with whatever a test wants otherwise."""

    def make(**fields) -> Prediction:
        return Prediction(
            **{
                "path": "a/b.png",
                "sha256": "0" * 64,
                "pred_score": 0.5,
                "model": "0123456789ab",
                "time": "2026-01-02T03:04:05.678+00:00",
                "maps": {"overall": np.zeros(MAP_SIZE, np.float32)},
                "image": np.zeros((48, 60, 3), np.uint8),
            }
            | fields
        )

    return make
