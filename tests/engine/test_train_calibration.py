"""Training that ends by calibrating on pictures which it never trained on."""

import shutil

import pytest

from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.engine.train import train
from snlad.errors import UsageError
from snlad.predict import load


def test_training_ends_by_calibrating_on_pictures_of_its_own(tiny_data, tmp_path, tiny_settings):
    good = shutil.copytree(tiny_data, tmp_path / "good")
    seen = []
    out = train(
        open_dataset(tiny_data),
        tmp_path / "run",
        make_config(**tiny_settings),
        calibration=open_dataset(good),
        progress=lambda label, *_: seen.append(label),
    )
    assert seen[-1] == "calibrating"
    calibration = load(out).calibration
    assert calibration.version == 1
    assert calibration.source == str(good)
    assert set(calibration.classes) == {"dark", "grey"}
    assert not (out / "checkpoint").exists()


def test_a_calibration_set_that_cannot_be_used_is_refused_before_training(
    tiny_data, tmp_path, tiny_settings
):
    good = shutil.copytree(tiny_data, tmp_path / "good")
    (good / "grey").rename(good / "other")
    words = (open_dataset(tiny_data), tmp_path / "run", make_config(**tiny_settings))
    with pytest.raises(UsageError, match="class 'other', which the model does not have"):
        train(*words, calibration=open_dataset(good))
    assert not (tmp_path / "run").exists()


def test_a_run_killed_between_calibration_and_its_end_is_calibrated_again(
    tiny_data, tmp_path, tiny_settings, monkeypatch
):
    from snlad.engine.rundir import RunFolder

    good = open_dataset(shutil.copytree(tiny_data, tmp_path / "good"))
    words = (open_dataset(tiny_data), tmp_path / "run", make_config(**tiny_settings))

    def die(_run):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "discard_checkpoint", die)
        with pytest.raises(KeyboardInterrupt):
            train(*words, calibration=good)
    first = load(tmp_path / "run").calibration
    train(*words, calibration=good, resume=True)
    second = load(tmp_path / "run").calibration
    assert (first.version, second.version) == (1, 1)
    assert second.scores == first.scores
