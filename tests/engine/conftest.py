"""A loaded model and its pictures; runs and predictions made by hand."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from snlad.artifacts import save_artifact
from snlad.calibration.record import Calibration, find_limits, save_calibration
from snlad.config import make_config
from snlad.engine.evaluation import decide
from snlad.engine.scored import ScoredPicture, pictures_digest, save_scored
from snlad.metrics import Evaluator
from snlad.model_card import ModelCard
from snlad.types import MAP_SIZE, Prediction

Scores = dict[str, tuple[Sequence[float], Sequence[float]]]
"""Scores of normal and of defect pictures by class."""


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


def write_pictures(scores: Scores, kind: str = "hole") -> Iterator[ScoredPicture]:
    """Test pictures with these scores, ``CLASS/good/I.png`` and ``CLASS/KIND/I.png``."""
    for class_name, (normals, defects) in scores.items():
        for defect_type, values in (("good", normals), (kind, defects)):
            for index, score in enumerate(values):
                yield ScoredPicture(
                    path=f"{class_name}/{defect_type}/{index}.png",
                    sha256="5" * 64,
                    class_name=class_name,
                    defect_type=defect_type,
                    is_anomalous=defect_type != "good",
                    score=score,
                    answer=class_name,
                )


@pytest.fixture(scope="session")
def scored() -> Callable[..., list[ScoredPicture]]:
    """Make test pictures from scores by class."""
    return lambda scores, kind="hole": list(write_pictures(scores, kind))


@pytest.fixture(scope="session")
def make_calibration() -> Callable[..., Calibration]:
    """Make a calibration from scores of normal pictures by class; peaks are twice the scores."""

    def make(
        scores: dict[str, list[float]], model: str = "m", *, target_fpr: float = 0.2
    ) -> Calibration:
        scores = {name: sorted(values) for name, values in scores.items()}
        peaks = {name: [2 * value for value in values] for name, values in scores.items()}
        classes, pooled = find_limits(scores, peaks, target_fpr)
        return Calibration(
            version=1,
            previous=None,
            created="2026-11-25T12:00:00+00:00",
            by="ana",
            target_fpr=target_fpr,
            source="x",
            data="d",
            model=model,
            classes=classes,
            pooled=pooled,
            scores=scores,
            peaks=peaks,
            class_scales=dict.fromkeys(scores, 1.0),
            unknown_above=4.0,
            unknown_rate=0.01,
        )

    return make


@pytest.fixture
def write_run(tmp_path, make_calibration) -> Callable[..., Path]:
    """Write a run: what of it exists follows from what is given."""

    def write(
        name: str = "run",
        pictures: Sequence[ScoredPicture] = (),
        calibration: dict[str, list[float]] | None = None,
        *,
        method: str = "rd-snl",
        protocol: str = "snlad-v1",
        before: bool = False,
    ) -> Path:
        """``before``: the evaluation was made before the calibration."""
        run = tmp_path / name
        classes = dict.fromkeys(sorted({one.class_name for one in pictures}) or ["a"], 5)
        card = ModelCard(
            config=make_config(method),
            classes=classes,
            color_scale=(0.0, 1.0),
            record={},
            own=[],
            license="none",
            created="2026-11-25T11:00:00+00:00",
        )
        payload = {**asdict(card), "config": card.config.model_dump(mode="json"), "rois": {}}
        identity = save_artifact(run / "model", "model", payload, {})
        if calibration is not None:
            made = make_calibration(calibration, identity)
            save_calibration(run / "model", made)
            if not before:
                pictures = decide(made, pictures)[1]
        if pictures:
            evaluator = Evaluator(protocol)
            for one in pictures:
                evaluator.add(
                    one.class_name,
                    score=one.score,
                    is_anomalous=one.is_anomalous,
                    anomaly_map=None,
                    mask=None,
                )
            scores = {**evaluator.table().to_dict(), "data": pictures_digest(pictures)}
            save_scored(run, scores, pictures)
        return run

    return write
