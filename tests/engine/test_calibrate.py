"""Calibrating a trained model: thresholds, versions, labels and regions."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from snlad.calibration.caveats import warnings
from snlad.data.opening import open_dataset
from snlad.engine.calibrate import calibrate
from snlad.errors import ImageError, UsageError
from snlad.model_folder import load_model
from snlad.predict import Model, load
from snlad.torch_network import TorchNetwork


@pytest.fixture
def run(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "run")


@pytest.fixture
def normals(other_data):
    return open_dataset(other_data).train_normal


def test_scores_and_peaks_are_those_of_predict(run, normals):
    model = load(run)
    found = calibrate(run, model, normals, target_fpr=0.3, source="x")
    for name in ("dark", "grey"):
        rows = [model.predict(s.path, class_name=name)[0] for s in normals if s.class_name == name]
        assert found.scores[name] == pytest.approx(sorted(row.pred_score for row in rows), rel=1e-4)
        peaks = sorted(float(row.maps["overall"].max()) for row in rows)
        assert found.peaks[name] == pytest.approx(peaks, rel=1e-4)
        assert found.classes[name].n == len(rows)


def test_a_calibrated_model_labels_by_the_threshold_of_the_class(run, normals, shared_data):
    assert load(run).predict(normals[0].path)[0].pred_label is None
    found = calibrate(run, load(run), normals, target_fpr=0.3)
    model = load(run)  # from disk, as a new process would
    assert model.calibration == found
    for path in sorted(shared_data.glob("grey/test/*/*.png")):
        known = model.predict(path, class_name="grey")[0]
        unknown = model.predict(path)[0]
        assert known.threshold == found.classes["grey"].threshold
        assert unknown.threshold == found.limits(unknown.class_name).threshold
        for row in (known, unknown):
            assert row.pred_label is (row.pred_score > row.threshold)
        limit = found.classes["grey"].pixel_threshold
        np.testing.assert_array_equal(known.pred_mask, known.maps["overall"] > limit)
        assert bool(known.regions) == known.pred_mask.any()
        json.dumps(known.row(), allow_nan=False)


def test_no_calibration_picture_is_ng_or_coloured_where_there_are_too_few(run, normals):
    model = load(run)
    found = calibrate(run, model, normals)
    assert all(limits.is_short for limits in found.classes.values())
    assert [line.split(":")[0] for line in warnings(found, ["dark", "grey"])] == [
        "class dark",
        "class grey",
    ]
    assert "19 would do" in warnings(found, ["dark"])[0]
    for sample in normals:
        row = model.predict(sample.path, class_name=sample.class_name)[0]
        assert (row.pred_label, row.regions) == (False, [])


def test_calibrating_again_needs_no_pictures_and_keeps_the_old_version(run, normals):
    model = load(run)
    first = calibrate(run, model, normals, target_fpr=0.3, source="folder")
    old = (run / "model/calibrations/0001/calibration.json").read_bytes()
    second = calibrate(run, model, target_fpr=0.2)
    assert (first.version, second.version) == (1, 2)
    assert first.previous is None
    assert second.previous == json.loads(old)["identity"]
    assert (second.scores, second.data, second.source) == (first.scores, first.data, "folder")
    assert second.pooled.threshold >= first.pooled.threshold
    assert (run / "model/calibrations/0001/calibration.json").read_bytes() == old
    assert json.loads((run / "calibration.json").read_text()) == second.model_dump(mode="json")


def test_the_card_says_what_is_promised_and_keeps_the_scores(run, normals, shared_data):
    from snlad.engine.rundir import write_json
    from snlad.metrics import Evaluator

    write_json(run / "scores.json", Evaluator().table().to_dict())
    calibrate(run, load(run), normals, target_fpr=0.2)
    card = (run / "model" / "README.md").read_text()
    assert "Of the last `snlad evaluate`" in card
    assert "at most 0.2 of good pictures are called NG" in card
    assert "promised FPR" in card


def test_a_class_without_calibration_pictures_is_named(run, normals):
    grey = [sample for sample in normals if sample.class_name == "grey"]
    found = calibrate(run, load(run), grey, target_fpr=0.5)
    assert warnings(found, ["dark", "grey"]) == [
        "class dark has no calibration picture: it is judged by the pooled threshold"
    ]


def test_training_pictures_are_refused_but_a_copied_model_cannot_know_them(
    run, shared_data, tmp_path
):
    trained = open_dataset(shared_data).train_normal
    with pytest.raises(UsageError, match=r"0\.png is also a training picture"):
        calibrate(run, load(run), trained)
    assert load(run).calibration is None
    copy = shutil.copytree(run / "model", tmp_path / "elsewhere")
    assert calibrate(copy, load(copy), trained).version == 1


def test_test_labels_change_no_stored_number(run, other_data, tmp_path):
    """Swap what is called good and defect in the test split: calibration never looks there."""
    tiny_data = shutil.copytree(other_data, tmp_path / "swapped")
    data = open_dataset(tiny_data)
    before = calibrate(run, load(run), data.train_normal)
    for name in ("grey", "dark"):
        test = tiny_data / name / "test"
        (test / "good").rename(test / "swap")
        (test / "spot").rename(test / "good")
        (test / "swap").rename(test / "spot")
    after = calibrate(run, load(run), open_dataset(tiny_data).train_normal)
    changing = {"version", "previous", "created"}
    assert after.model_dump(exclude=changing) == before.model_dump(exclude=changing)


def test_the_model_answers_the_class_and_contradiction_is_not_judged(run, normals):
    """On its calibration pictures, which it must know."""
    calibrate(run, load(run), normals)
    model = load(run)
    for sample in normals:
        row = model.predict(sample.path)[0]
        assert (row.class_name, row.is_unknown) == (sample.class_name, False)
        assert (row.verdict, row.reason) == ("ok", "score")
        other = "grey" if sample.class_name == "dark" else "dark"
        wrong = model.predict(sample.path, class_name=other)[0]
        assert (wrong.verdict, wrong.reason) == ("not_judged", "class_mismatch")
        assert wrong.class_name == other


def test_a_picture_of_no_class_is_never_ok(run, normals):
    calibrate(run, load(run), normals)
    model = load(run)
    stripes = np.zeros((48, 48, 3), np.uint8)
    stripes[:, ::4] = (255, 40, 0)
    row = model.predict(stripes)[0]
    assert (row.class_name, row.is_unknown) == (None, True)
    assert (row.verdict, row.reason) == ("not_judged", "unknown_class")
    stated = model.predict(stripes, class_name="grey")[0]
    assert (stated.class_name, stated.verdict) == ("grey", "not_judged")
    assert stated.reason == "unknown_class"


def test_calibrating_again_keeps_how_far_is_too_far(run, normals):
    model = load(run)
    first = calibrate(run, model, normals)
    second = calibrate(run, model, target_fpr=0.3)
    assert first.answer_limits == second.answer_limits is not None
    assert first.unknown_rate == pytest.approx(1 / 11)  # of ten pictures


def test_a_copied_model_folder_takes_its_calibration_along(run, normals, tmp_path):
    calibrate(run, load(run), normals)
    copy = shutil.copytree(run / "model", tmp_path / "elsewhere")
    assert load(copy).calibration == load(run).calibration


def test_an_inspection_mask_limits_peaks_and_regions(tiny_data, normals, tmp_path, tiny_settings):
    from snlad.config import make_config
    from snlad.engine.train import train

    roi = np.zeros((48, 48), bool)
    roi[:16] = True
    data = open_dataset(tiny_data)
    out = train(data, tmp_path / "run", make_config(**tiny_settings), rois={"grey": roi})
    model = load(out)
    grey = [s for s in normals if s.class_name == "grey"]
    found = calibrate(out, model, grey)
    inside = [
        float(model.predict(s.path, class_name="grey")[0].maps["overall"][:85].max()) for s in grey
    ]
    assert found.peaks["grey"] == pytest.approx(sorted(inside), rel=1e-4)
    for path in tiny_data.glob("grey/test/*/*.png"):
        row = model.predict(path, class_name="grey")[0]
        assert not row.pred_mask[86:].any()


def test_regions_are_in_pixels_of_the_picture_and_obey_the_minimum(run, normals, tmp_path):
    model = load(run)
    calibrate(run, model, normals)
    picture = np.full((96, 192, 3), 120, np.uint8)
    picture[40:60, 80:120] = 255
    Image.fromarray(picture).save(tmp_path / "spot.png")
    regions = model.predict(tmp_path / "spot.png", class_name="grey")[0].regions
    assert regions
    x, y, width, height = regions[0]["box"]
    assert 0 <= x < x + width <= 192
    assert 0 <= y < y + height <= 96
    model.min_area = 96 * 192 + 1
    assert model.predict(tmp_path / "spot.png", class_name="grey")[0].regions == []


def test_what_cannot_calibrate_is_refused_and_nothing_is_written(
    run, normals, shared_data, tmp_path
):
    model, data = load(run), open_dataset(shared_data)
    with pytest.raises(UsageError, match="no calibration pictures; give some with --calibration"):
        calibrate(run, model)
    defects = [sample for sample in data.test if sample.is_anomalous]
    with pytest.raises(UsageError, match="is no normal picture"):
        calibrate(run, model, defects)
    with pytest.raises(
        UsageError, match="class 'other', which the model does not have: dark, grey"
    ):
        calibrate(run, model, [replace(normals[0], class_name="other")])
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"broken\.png"):
        calibrate(run, model, [replace(normals[0], path=tmp_path / "broken.png")])
    with pytest.raises(UsageError, match=r"target FPR 1\.5"):
        calibrate(run, model, normals, target_fpr=1.5)
    assert not (run / "calibration.json").exists()
    assert load(run).calibration is None


def test_evaluation_counts_what_the_thresholds_decide(run, normals, shared_data):
    from snlad.engine.evaluate import evaluate

    data = open_dataset(shared_data)
    assert evaluate(load(run), data).decisions == {}
    calibrate(run, load(run), normals, target_fpr=0.3)
    model = load(run)
    found = evaluate(model, data)
    policies = ["pooled threshold", "class threshold", "guessed class threshold"]
    assert list(found.decisions) == policies
    rows = [
        (s.is_anomalous, *(model.predict(s.path, class_name=n)[0] for n in (s.class_name, None)))
        for s in data.test
    ]
    expected = {
        "pooled threshold": [
            (bad, one.pred_score > model.calibration.pooled.threshold) for bad, one, _ in rows
        ],
        "class threshold": [(bad, known.pred_label) for bad, known, _ in rows],
        "guessed class threshold": [(bad, guess.verdict != "ok") for bad, _, guess in rows],
    }
    for policy, pairs in expected.items():
        row = found.decisions[policy].pooled
        assert row.false_alarms == pairs.count((False, True)), policy
        assert row.escapes == pairs.count((True, False)), policy
        assert row.defects + row.normals == 8
    assert list(found.to_dict()["decisions"]["class threshold"]["defect_types"]["grey"]) == ["spot"]
    assert "decisions" not in evaluate(model, data, protocol="ader").to_dict()


@pytest.mark.parametrize("content", ["{", "[]", '{"protocol": "snlad-v1"}'])
def test_damaged_scores_do_not_stop_a_calibration(run, normals, content):
    (run / "scores.json").write_text(content)
    calibrate(run, load(run), normals)
    assert "snlad evaluate RUN DATA` measures them" in (run / "model" / "README.md").read_text()


def test_a_picture_unlike_training_is_not_judged_and_says_why(run, normals):
    calibrate(run, load(run), normals)
    model = load(run)
    with Image.open(normals[0].path) as picture:
        pixels = np.asarray(picture)
    for name, limits in model.card.limits.items():
        assert limits.height == pytest.approx((24, 96)), name
    cases = {
        "score": pixels,
        "size": pixels.repeat(3, axis=0),
        "exposure": np.maximum(pixels.astype(int) - 45, 0).astype(np.uint8),
        "sharpness": np.full_like(pixels, pixels.mean().round()),
    }
    # with no picture too far from its class, what remains is how it was taken
    model.calibration = model.calibration.model_copy(update={"unknown_above": 1e9})
    for reason, picture in cases.items():
        row = model.predict(picture, class_name="dark")[0]
        assert (row.reason, row.verdict == "not_judged") == (reason, reason != "score")


def test_a_model_without_limits_judges_every_picture(run, normals):
    """As one that was trained before there were any."""
    calibrate(run, load(run), normals)
    loaded = load_model(run)
    model = Model(
        TorchNetwork(loaded, "cpu"),
        replace(loaded.card, limits={}),
        loaded.identity,
        loaded.rois,
        calibration=load(run).calibration,
    )
    with Image.open(normals[0].path) as picture:
        large = np.asarray(picture.resize((480, 480)))
    assert model.predict(large, class_name="dark")[0].reason in ("score", "unknown_class")


def test_the_rate_is_per_part_and_repeated_shots_are_kept(run, normals):
    """Two views of each of three grey parts, one of them twice; dark pictures are lone."""
    grey = [sample for sample in normals if sample.class_name == "grey"]
    parts = [("p0", "left"), ("p0", "right"), ("p0", "left"), ("p1", "left"), ("p2", "left")]
    grey = [replace(s, part_id=p, view=v) for s, (p, v) in zip(grey, parts, strict=True)]
    dark = [sample for sample in normals if sample.class_name == "dark"]
    model = load(run)
    found = calibrate(run, model, [*grey, *dark], target_fpr=0.25)
    rows = [model.predict(sample.path, class_name="grey")[0].pred_score for sample in grey]
    expected = sorted([max(rows[:3]), rows[3], rows[4]])
    assert found.scores["grey"] == pytest.approx(expected, rel=1e-4)
    assert (found.classes["grey"].n, found.classes["dark"].n) == (3, 5)
    assert found.pictures == {"grey": 5, "dark": 5}
    (shots,) = found.repeats["grey"]
    assert shots == pytest.approx([rows[0], rows[2]], rel=1e-4)
    assert found.repeats["dark"] == []
    assert set(found.repeatability) == {"grey"}
    assert calibrate(run, model, target_fpr=0.5).repeats == found.repeats


def test_the_p_value_of_a_row_is_that_of_its_class(run, normals):
    found = calibrate(run, load(run), normals, target_fpr=0.3)
    model = load(run)
    row = model.predict(normals[0].path, class_name=normals[0].class_name)[0]
    higher = sum(score >= row.pred_score for score in found.scores[normals[0].class_name])
    assert row.p_value == (1 + higher) / 6
    assert found.p_value(None, -1e9) == 1.0  # of ten pictures, all higher
    assert found.p_value("grey", 1e9) == pytest.approx(1 / 6)
    assert found.p_value("never heard of", 1e9) == pytest.approx(1 / 11)
