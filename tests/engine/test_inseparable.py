"""One product photographed into two class folders, from training to verdicts."""

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from snlad.calibration.caveats import guessed_promise, warnings
from snlad.calibration.conformal import p_value
from snlad.calibration.record import find_limits
from snlad.data.opening import open_dataset
from snlad.engine.calibrate import calibrate
from snlad.predict import load

TONES = {"dark": 60, "grey": 140, "silver": 140}


def write_good(root, n: int, seed: int):
    random = np.random.default_rng(seed)
    for name, tone in TONES.items():
        folder = root / name / "train" / "good"
        folder.mkdir(parents=True)
        for index in range(n):
            noise = random.normal(0, 12, (48, 48, 3))
            Image.fromarray(np.clip(tone + noise, 0, 255).astype(np.uint8)).save(
                folder / f"{index}.png"
            )
    return root


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """A model that learned grey and silver, which are one product, and dark; never changed."""
    from snlad.config import make_config
    from snlad.engine.train import train

    folder = tmp_path_factory.mktemp("twins")
    settings = {
        "image_size": (64, 64),
        "teacher": {"name": "test_efficientnet", "weights": "random"},
        "train": {"steps": 2, "batch_size": 4},
        "calibration": {"share": 0.0},
    }
    train(
        open_dataset(write_good(folder / "data", 12, 0)),
        folder / "run",
        make_config("rd", **settings),
    )
    write_good(folder / "good", 20, 1)
    return folder


@pytest.fixture
def run(twins, tmp_path):
    return shutil.copytree(twins / "run", tmp_path / "run")


@pytest.fixture
def normals(twins):
    return open_dataset(twins / "good").train_normal


def test_they_share_the_lowest_thresholds_and_promise_what_holds_for_each(run, normals):
    found = calibrate(run, load(run), normals, target_fpr=0.1)
    assert found.inseparable == [["grey", "silver"]]
    own, _ = find_limits(found.scores, found.peaks, 0.1)
    assert found.classes["dark"] == own["dark"]
    for part in ("threshold", "pixel_threshold"):
        lowest = min(getattr(own[name], part) for name in ("grey", "silver"))
        for name in ("grey", "silver"):
            assert getattr(found.classes[name], part) == lowest
    for name in ("grey", "silver"):
        limits = found.classes[name]
        reached = p_value(limits.threshold, np.array(found.scores[name]))
        assert limits.attainable_fpr == max(reached, 2 / 21)
    assert any(own[n].threshold != found.classes[n].threshold for n in ("grey", "silver"))


def test_verdicts_of_a_new_process_do_not_call_their_mixing_up_a_mismatch(run, twins, normals):
    shared = calibrate(run, load(run), normals, target_fpr=0.1).classes["grey"].threshold
    model = load(run)
    answers = set()
    for sample in normals:
        if sample.class_name == "dark":
            continue
        for stated in ("grey", "silver", None):
            row = model.predict(sample.path, class_name=stated)[0]
            if not row.is_unknown:
                assert (row.reason, row.threshold) == ("score", shared)
                answers.add((stated, row.class_answer))
        row = model.predict(sample.path, class_name="dark")[0]
        assert row.verdict == "not_judged"
    assert {("grey", "silver"), ("silver", "grey")} <= answers


def test_the_same_files_in_two_folders_are_found_out_too(run, twins, tmp_path):
    good = shutil.copytree(twins / "good", tmp_path / "good")
    shutil.rmtree(good / "silver")
    shutil.copytree(good / "grey", good / "silver")
    found = calibrate(run, load(run), open_dataset(good).train_normal)
    assert found.inseparable == [["grey", "silver"]]
    assert found.scores["grey"] == pytest.approx(found.scores["silver"], rel=1e-6)
    grey, silver = (found.classes[name].threshold for name in ("grey", "silver"))
    assert grey == pytest.approx(silver, rel=1e-6)


def test_a_class_without_pictures_of_its_own_is_judged_like_its_twin(run, normals):
    grey = [sample for sample in normals if sample.class_name != "silver"]
    found = calibrate(run, load(run), grey)
    assert found.inseparable == [["grey", "silver"]]
    assert set(found.classes) == {"dark", "grey"}
    (warning,) = (line for line in warnings(found, ["dark", "grey"]) if line.startswith("classes"))
    assert "which promise 0.048 for grey; " in warning
    row = load(run).predict(grey[-1].path, class_name="silver")[0]
    assert row.threshold == found.classes["grey"].threshold


def test_another_target_without_pictures_keeps_what_is_known_of_them(run, normals):
    model = load(run)
    first = calibrate(run, model, normals)
    second = calibrate(run, model, target_fpr=0.3)
    assert second.answers == first.answers
    assert second.inseparable == [["grey", "silver"]]
    assert second.classes["grey"].threshold == second.classes["silver"].threshold
    assert second.guessed_rates[2] == first.guessed_rates[2]


def test_a_calibration_that_did_not_count_answers_can_be_set_anew(run, normals):
    from snlad.artifacts import load_artifact, save_artifact

    model = load(run)
    calibrate(run, model, normals)
    folder = run / "model" / "calibrations" / "0001"
    payload = load_artifact(folder, "calibration").payload
    for name in ("answers", "inseparable"):
        del payload[name]
    shutil.rmtree(folder)
    save_artifact(folder, "calibration", payload, {})
    second = calibrate(run, load(run), target_fpr=0.3)
    assert (second.version, second.inseparable, second.answers) == (2, [], {})
    assert guessed_promise(second) is None


def test_the_promise_for_a_guessed_class_counts_what_strays(run, normals):
    found = calibrate(run, load(run), normals)
    alarms, unknown, strayed = found.guessed_rates
    assert unknown == pytest.approx(1 / 61)
    assert strayed == 0
    weighted = sum(limits.n * limits.attainable_fpr for limits in found.classes.values()) / 60
    assert alarms == pytest.approx(weighted)
    total = f"{alarms + unknown:.3f}"
    assert f"with a guessed class at most {total} of good pictures are" in guessed_promise(found)
    astray = found.model_copy(update={"answers": {"dark": {"grey": 60}}, "inseparable": []})
    assert "at most 1.000 of good" in guessed_promise(astray)


def test_command_warning_and_card_name_them(run, twins, monkeypatch, capsys):
    from snlad.cli import app

    words = ["snlad", "calibrate", str(run), "--calibration", str(twins / "good"), "--quiet"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        app.main()
    shown, error = capsys.readouterr()
    assert "cannot be told apart, thresholds shared: grey, silver" in shown
    assert "and what the table says where thresholds are shared: " in shown
    assert "with a guessed class at most" in shown
    record = json.loads((run / "calibration.json").read_text())
    count = max(record["answers"]["grey"]["silver"], record["answers"]["silver"]["grey"])
    assert f"warning: classes grey, silver cannot be told apart ({count} of 20 calibration" in error
    for name in ("grey", "silver"):
        assert f"{record['classes'][name]['attainable_fpr']:.3f} for {name}" in error
    card = (run / "model" / "README.md").read_text()
    assert "    cannot be told apart, thresholds shared: grey, silver" in card
    assert "Classes that cannot be told apart promise what their rows say." in card
