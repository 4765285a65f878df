"""Shared set-up: shapes checked at run time, a tiny data set, and a model trained on it once."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import install_import_hook
from PIL import Image

CHECKED = ["snlad.affinity", "snlad.losses", "snlad.maps", "snlad.models", "snlad.metrics"]

install_import_hook(CHECKED, "beartype.beartype")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests out unless ``-m slow`` asks for them; in CI the date picks one to stay."""
    if "slow" in config.option.markexpr:
        return
    slow = sorted((item for item in items if item.get_closest_marker("slow")), key=str)
    if slow and os.environ.get("CI"):
        del slow[datetime.now(UTC).toordinal() % len(slow)]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


SIDE = 48
TINY = {
    "image_size": (64, 64),
    "teacher": {"name": "test_efficientnet", "weights": "random"},
    "cram": {"centers": 4},
    "train": {"steps": 4, "batch_size": 4, "checkpoint_every": 2, "log_every": 1},
    "calibration": {"share": 0.0},
    "probes": {"count": 0},
}


def _picture(rng: np.random.Generator, tone: int) -> np.ndarray:
    noise = rng.normal(0, 12, (SIDE, SIDE, 3))
    return np.clip(tone + noise, 0, 255).astype(np.uint8)


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_tiny_data(root: Path, seed: int = 0) -> Path:
    """Two classes, grey and dark: 5 normal training, 2 normal and 2 bad test pictures each."""
    rng = np.random.default_rng(seed)
    for name, tone in (("dark", 60), ("grey", 140)):
        for index in range(5):
            _save(root / name / "train" / "good" / f"{index}.png", _picture(rng, tone))
        for index in range(2):
            _save(root / name / "test" / "good" / f"{index}.png", _picture(rng, tone))
            bad = _picture(rng, tone)
            bad[8:24, 16:40] = 250
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[8:24, 16:40] = 255
            _save(root / name / "test" / "spot" / f"{index}.png", bad)
            _save(root / name / "ground_truth" / "spot" / f"{index}_mask.png", mask)
    return root


@pytest.fixture
def tiny_data(tmp_path: Path) -> Path:
    """A fresh tiny data set that a test may damage."""
    return write_tiny_data(tmp_path / "data")


@pytest.fixture(scope="session")
def tiny_settings() -> dict:
    """Overrides that make a training of seconds: a tiny teacher with random weights."""
    return TINY


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set, read only."""
    return write_tiny_data(tmp_path_factory.mktemp("shared") / "data")


@pytest.fixture(scope="session")
def other_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other pictures of the same classes, as for calibration, read only."""
    return write_tiny_data(tmp_path_factory.mktemp("other") / "data", seed=1)


@pytest.fixture(scope="session")
def trained_run(shared_data: Path) -> Path:
    """A finished run of the default method on the tiny data set, read only."""
    from snlad.config import make_config
    from snlad.data.opening import open_dataset
    from snlad.engine.train import train

    return train(open_dataset(shared_data), shared_data.parent / "run", make_config(**TINY))
