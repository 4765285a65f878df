"""An export of a model that cuts tiles: its graph sees one tile, and what is around cuts alike."""

import shutil

import numpy as np
import pytest

import snlad
from snlad.data.opening import open_dataset
from snlad.data.tiles import Tiling
from snlad.deploy.export import export
from snlad.deploy.verify import Master, verify
from snlad.engine.calibrate import calibrate


@pytest.fixture(scope="module")
def calibrated(tiled_run, other_data, tmp_path_factory):
    """The run with tiles, with thresholds."""
    run = shutil.copytree(tiled_run, tmp_path_factory.mktemp("calibrated") / "run")
    calibrate(run, snlad.load(run), open_dataset(other_data).train_normal, target_fpr=0.5)
    return run


@pytest.fixture(scope="module")
def exported(calibrated, other_data, tmp_path_factory):
    """Its export, with the proof that both say the same."""
    out = tmp_path_factory.mktemp("exported") / "onnx"
    proof = export(calibrated, out, open_dataset(other_data).train_normal)[1]
    assert proof.pictures == 10 + 100
    assert proof.flipped == 0
    return out


def test_an_export_cuts_as_the_trained_model(calibrated, exported, shared_data):
    trained, other = snlad.load(calibrated), snlad.load(exported)
    assert other.card.config.tiling == Tiling(24, 8)
    assert other.calibration == trained.calibration
    paths = sorted(shared_data.glob("*/test/*/0.png"))
    for one, two in zip(trained.predict(paths), other.predict(paths), strict=True):
        assert two.pred_score == pytest.approx(one.pred_score, rel=1e-4)
        assert two.maps["overall"].shape == (48, 48)
        np.testing.assert_allclose(two.maps["overall"], one.maps["overall"], rtol=1e-4, atol=1e-4)
        assert (two.verdict, two.class_name) == (one.verdict, one.class_name)


def test_it_is_verified_where_it_is_used(exported, calibrated, shared_data):
    path = next(shared_data.glob("dark/test/spot/*.png"))
    expected = snlad.load(calibrated).predict(path, class_name="dark")[0].verdict
    certificate = verify(exported, [Master(path, expected, "dark")])
    assert certificate.passed


def test_it_needs_no_torch(exported, shared_data, snlad_without_torch, tmp_path):
    path = next(shared_data.glob("dark/test/spot/*.png"))
    done = snlad_without_torch("predict", exported, path, "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr
