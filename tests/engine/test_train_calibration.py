"""Training that ends by calibrating on pictures which it never trained on."""

import json
import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.engine.pictures import load_pictures
from snlad.engine.train import train
from snlad.errors import UsageError
from snlad.predict import load


def test_training_ends_by_calibrating_on_pictures_of_its_own(
    tiny_data, other_data, tmp_path, tiny_settings
):
    good = shutil.copytree(other_data, tmp_path / "good")
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
    tiny_data, other_data, tmp_path, tiny_settings
):
    good = shutil.copytree(other_data, tmp_path / "good")
    (good / "grey").rename(good / "other")
    words = (open_dataset(tiny_data), tmp_path / "run", make_config(**tiny_settings))
    with pytest.raises(UsageError, match="class 'other', which the model does not have"):
        train(*words, calibration=open_dataset(good))
    assert not (tmp_path / "run").exists()


def test_a_run_killed_between_calibration_and_its_end_is_calibrated_again(
    tiny_data, other_data, tmp_path, tiny_settings, monkeypatch
):
    from snlad.engine.rundir import RunFolder

    good = open_dataset(shutil.copytree(other_data, tmp_path / "good"))
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


def test_a_calibration_picture_that_is_trained_on_is_refused_and_leaves_no_run(
    tiny_data, other_data, tmp_path, tiny_settings
):
    good = shutil.copytree(other_data, tmp_path / "good")
    shutil.copy(tiny_data / "grey/train/good/0.png", good / "grey/train/good/renamed.png")
    words = (open_dataset(tiny_data), tmp_path / "run", make_config(**tiny_settings))
    with pytest.raises(UsageError, match=r"renamed\.png is also a training picture"):
        train(*words, calibration=open_dataset(good))
    assert not (tmp_path / "run").exists()


@pytest.fixture
def larger_data(tiny_data):
    """Sixteen normal training pictures a class."""
    random = np.random.default_rng(5)
    for name, tone in (("dark", 60), ("grey", 140)):
        for index in range(5, 16):
            pixels = np.clip(tone + random.normal(0, 12, (48, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tiny_data / name / "train/good" / f"{index}.png")
    return tiny_data


def sharing(settings, **calibration):
    return make_config(**{**settings, "calibration": calibration})


def test_by_default_a_share_of_each_class_is_set_aside_and_calibrates(
    larger_data, tmp_path, tiny_settings
):
    """Of 16 pictures a quarter, the most that is ever taken."""
    data = open_dataset(larger_data)
    run = train(data, tmp_path / "run", sharing(tiny_settings, target_fpr=0.25))
    used, model = load_pictures(run), load(run)
    assert {s.path for s in (*used.train, *used.calibration)} == {s.path for s in data.train_normal}
    assert not {s.path for s in used.train} & {s.path for s in used.calibration}
    assert model.card.classes == {"dark": 12, "grey": 12}
    assert {name: limits.n for name, limits in model.calibration.classes.items()} == {
        "dark": 4,
        "grey": 4,
    }
    assert model.calibration.target_fpr == 0.25
    assert model.calibration.source == str(larger_data)
    scores = [model.predict(s.path, class_name="grey")[0].pred_score for s in used.calibration[4:]]
    assert model.calibration.scores["grey"] == pytest.approx(sorted(scores), rel=1e-4)


def test_what_is_set_aside_touches_nothing_but_the_thresholds(larger_data, tmp_path, tiny_settings):
    """Spoil the pictures that are set aside: weights, scale and classes stay bit for bit."""
    config = sharing(tiny_settings)
    run = train(open_dataset(larger_data), tmp_path / "run", config)
    for sample in load_pictures(run).calibration:
        with Image.open(sample.path) as picture:
            spoiled = np.asarray(picture).copy()
        spoiled[20:28, 20:28] = (250, 0, 0)
        Image.fromarray(spoiled).save(sample.path)
    other = train(open_dataset(larger_data), tmp_path / "other", config)
    models = [json.loads((one / "model/model.json").read_text()) for one in (run, other)]
    for body in models:
        body.pop("identity")
        body["payload"].pop("created")
        body["payload"]["record"].pop("seconds")
    assert models[0] == models[1]
    assert load(run).calibration.scores != load(other).calibration.scores


def test_a_resumed_run_sets_the_same_pictures_aside(larger_data, tmp_path, tiny_settings):
    words = (open_dataset(larger_data), tmp_path / "run", sharing(tiny_settings))

    def stop(label, done, _total):
        if (label, done) == ("training", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(*words, progress=stop)
    first = (tmp_path / "run/pictures.jsonl").read_bytes()
    run = train(*words, resume=True)
    assert (run / "pictures.jsonl").read_bytes() == first
    assert load(run).calibration.version == 1


@pytest.mark.parametrize(("share", "warned"), [(0.2, True), (0.0, False)])
def test_without_a_picture_set_aside_the_model_is_trained_and_not_calibrated(
    tiny_data, tmp_path, tiny_settings, caplog, share, warned
):
    for path in tiny_data.glob("*/train/good/[1-4].png"):  # one is left a class
        path.unlink()
    settings = {**tiny_settings, "train": {**tiny_settings["train"], "batch_size": 2}}
    with caplog.at_level(logging.WARNING, logger="snlad"):
        run = train(open_dataset(tiny_data), tmp_path / "run", sharing(settings, share=share))
    assert load(run).calibration is None
    assert ("too few pictures to set some aside" in caplog.text) is warned
