"""Training that ends by probing the model on pictures which it never trained on."""

import json
import logging
import shutil
import signal

import pytest

from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.engine.evaluate import evaluate
from snlad.engine.interference import Probes, with_probes
from snlad.engine.pictures import load_pictures
from snlad.engine.probe import probe
from snlad.engine.rundir import RunFolder
from snlad.engine.train import train
from snlad.errors import TrainingError
from snlad.predict import load


def probing(settings, count=6, share=0.2):
    return make_config(**{**settings, "calibration": {"share": share}, "probes": {"count": count}})


def read(run) -> Probes:
    return Probes.model_validate(json.loads((run / "probes.json").read_text()))


@pytest.fixture(scope="module")
def probed(shared_data, tmp_path_factory, tiny_settings):
    """A run that set one picture of each class aside, read only, and what it told."""
    out, told = tmp_path_factory.mktemp("probed") / "run", []
    config = probing(tiny_settings)
    train(open_dataset(shared_data), out, config, progress=lambda *what: told.append(what))
    return out, told


def test_training_ends_by_probing_what_was_set_aside(probed, shared_data):
    run, told = probed
    labels = list(dict.fromkeys(label for label, *_ in told))
    assert labels[-2:] == ["calibrating", "probing"]
    assert told[-1] == ("probing", 14, 14)
    found, model, aside = read(run), load(run), load_pictures(run).calibration
    assert found.model == model.identity
    assert found.source == str(shared_data)
    assert found.normals == {"dark": 1, "grey": 1}
    assert (found.mixup.n, found.cutpaste.n, found.asked, found.seed) == (6, 6, 6, 0)
    assert (run / "probes.png").exists()
    assert not (run / "checkpoint").exists()
    again = probe(model, aside, n=6, source=found.source)
    assert again.summary() == pytest.approx(found.summary(), abs=1e-3)


def test_probes_change_nothing_of_model_and_thresholds(
    probed, shared_data, tmp_path, tiny_settings
):
    run, _ = probed
    other = train(open_dataset(shared_data), tmp_path / "run", probing(tiny_settings, count=0))
    assert not (other / "probes.json").exists()
    assert not (other / "probes.png").exists()
    weights = [next((one / "model").glob("weights-*")).name for one in (run, other)]
    assert weights[0] == weights[1]  # the name holds the hash
    assert load(run).calibration.scores == load(other).calibration.scores


def test_an_evaluation_takes_the_probes_of_its_model_along(probed, shared_data):
    run, _ = probed
    model = load(run)
    found = with_probes(evaluate(model, open_dataset(shared_data)), run, model.identity)
    assert found.to_dict()["probes"] == read(run).summary()
    assert found.notes == []


@pytest.mark.parametrize(("count", "told"), [(6, True), (0, False)])
def test_without_a_picture_set_aside_there_are_no_probes_and_the_log_says_why(
    shared_data, tmp_path, tiny_settings, caplog, count, told
):
    config = probing(tiny_settings, count=count, share=0.0)
    with caplog.at_level(logging.INFO, logger="snlad"):
        run = train(open_dataset(shared_data), tmp_path / "run", config)
    assert not (run / "probes.json").exists()
    assert ("no picture is set aside, so cross-class interference" in caplog.text) is told


def test_given_calibration_pictures_are_probed_and_the_log_tells_the_numbers(
    shared_data, other_data, tmp_path, tiny_settings, caplog
):
    words = (open_dataset(shared_data), tmp_path / "run", probing(tiny_settings, 3, share=0.0))
    with caplog.at_level(logging.INFO, logger="snlad"):
        found = read(train(*words, calibration=open_dataset(other_data)))
    assert found.normals == {"dark": 5, "grey": 5}
    assert found.source == str(other_data)
    assert f"interference: Mixup image AUROC {found.mixup.image_auroc:.3f}" in caplog.text


def test_a_model_of_one_class_ends_well(tiny_data, tmp_path, tiny_settings, caplog):
    shutil.rmtree(tiny_data / "dark")
    with caplog.at_level(logging.INFO, logger="snlad"):
        run = train(open_dataset(tiny_data), tmp_path / "run", probing(tiny_settings))
    found = read(run)
    assert found.normals == {"grey": 1}
    assert found.mixup.image_auroc is found.eta_squared is None
    assert (run / "probes.png").exists()
    assert "a single class has no other" in caplog.text
    assert RunFolder(run).is_finished


def test_a_run_killed_while_it_probes_is_probed_when_it_is_resumed(
    shared_data, tmp_path, tiny_settings
):
    words = (open_dataset(shared_data), tmp_path / "run", probing(tiny_settings))

    def die(label, count, _total):
        if (label, count) == ("probing", 5):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(*words, progress=die)
    assert not (tmp_path / "run/probes.json").exists()
    assert not RunFolder(tmp_path / "run").is_finished
    run = train(*words, resume=True)
    assert RunFolder(run).is_finished
    assert read(run).model == load(run).identity


def test_a_run_killed_between_probes_and_its_end_is_probed_again(
    shared_data, tmp_path, tiny_settings, monkeypatch
):
    """The model is saved anew, so its probes have to be made anew."""
    words = (open_dataset(shared_data), tmp_path / "run", probing(tiny_settings))

    def die(_run):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "discard_checkpoint", die)
        with pytest.raises(KeyboardInterrupt):
            train(*words)
    first = read(tmp_path / "run")
    run = train(*words, resume=True)
    assert read(run).model == load(run).identity
    assert read(run).summary() == pytest.approx(first.summary(), abs=1e-3)


def test_a_signal_stops_the_probes_and_says_how_to_go_on(shared_data, tmp_path, tiny_settings):
    def interrupt(label, done, _total):
        if (label, done) == ("probing", 3):
            signal.raise_signal(signal.SIGINT)

    words = (open_dataset(shared_data), tmp_path / "run", probing(tiny_settings))
    with pytest.raises(TrainingError, match="while probing; the same command") as stopped:
        train(*words, progress=interrupt)
    assert stopped.value.interrupted
    assert RunFolder(train(*words, resume=True)).is_finished
