"""Evaluation: the seven numbers, from the same path that predicts."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.data.samples import Dataset
from snlad.engine.evaluate import evaluate
from snlad.engine.evaluation import CLASS_POLICY
from snlad.engine.scored import load_scored
from snlad.engine.train import train
from snlad.errors import DataError, MetricError, UsageError
from snlad.metrics.protocols import PROTOCOLS
from snlad.metrics.ranking import auroc, rank
from snlad.metrics.scores import METRICS
from snlad.predict import load


@pytest.fixture(scope="module")
def model(trained_run):
    return load(trained_run)


def test_the_table_covers_classes_mean_and_pooled(model, shared_data):
    found = evaluate(model, open_dataset(shared_data))
    table, notes = found.table, found.notes
    scores = table.to_dict()
    assert set(scores) >= {"protocol", "n_classes", "classes", "mean", "pooled"}
    assert scores["protocol"] == "snlad-v1"
    assert set(scores["classes"]) == {"dark", "grey"}
    assert scores["n_classes"] == dict.fromkeys(METRICS, 2)
    assert notes == []


def test_image_numbers_are_those_of_predict(model, shared_data):
    table = evaluate(model, open_dataset(shared_data)).table
    scores = {
        kind: np.array(
            [p.pred_score for p in model.predict(sorted(shared_data.glob(f"*/test/{kind}/*.png")))],
            dtype=np.float32,
        )
        for kind in ("spot", "good")
    }
    expected = auroc(rank(scores["spot"], [np.sort(scores["good"])]))
    assert table.to_dict()["pooled"]["image_auroc"] == pytest.approx(expected)


def test_a_bright_spot_is_found_by_an_untrained_student(model, shared_data):
    """The spot is so plain that even four steps must localize it above chance."""
    table = evaluate(model, open_dataset(shared_data)).table
    assert table.to_dict()["mean"]["pixel_auroc"] > 0.6


def test_progress_ends_at_the_number_of_pictures(model, shared_data):
    seen = []
    evaluate(model, open_dataset(shared_data), progress=lambda *told: seen.append(told))
    assert seen[-1] == ("evaluating", 8, 8)


def test_a_corrupt_test_picture_is_left_out_and_named(model, tiny_data):
    bad = tiny_data / "grey" / "test" / "good" / "1.png"
    bad.write_bytes(b"")
    notes = evaluate(model, open_dataset(tiny_data)).notes
    assert len(notes) == 1
    assert notes[0].startswith("left out: ")
    assert "1.png" in notes[0]


def test_a_score_that_is_not_a_number_is_an_error_that_names_the_picture(trained_run, shared_data):
    broken = load(trained_run)
    broken._inspector.network.detector.maps.usual.fill_(float("nan"))
    with pytest.raises(MetricError, match=r"\.png: the score is nan"):
        evaluate(broken, open_dataset(shared_data))


def test_masks_that_the_resize_would_empty_are_counted(model, tiny_data):
    mask = np.zeros((4000, 4), np.uint8)
    mask[1001, 1] = 255
    Image.fromarray(mask).save(tiny_data / "grey" / "ground_truth" / "spot" / "0_mask.png")
    notes = evaluate(model, open_dataset(tiny_data)).notes
    assert notes == ["1 masks would be empty at 256 x 256: each keeps one pixel"]


def test_without_masks_pixel_numbers_are_null(model, tiny_data):
    for name in ("dark", "grey"):
        shutil.rmtree(tiny_data / name / "ground_truth")
    table = evaluate(model, open_dataset(tiny_data)).table
    scores = table.to_dict()
    assert scores["mean"]["pixel_auroc"] is None
    assert scores["n_classes"]["pixel_auroc"] == 0
    assert scores["mean"]["image_auroc"] is not None


def test_without_test_pictures_the_folders_to_fill_are_named(model, shared_data):
    data = open_dataset(shared_data)
    only_train = Dataset(root=data.root, layout=data.layout, samples=data.train_normal)
    with pytest.raises(DataError, match="CLASS/test/DEFECT"):
        evaluate(model, only_train)


def test_a_roi_limits_what_counts(tiny_data, tmp_path, tiny_settings):
    """With the spot outside the inspected part, the class has no defect pixel left."""
    roi = np.zeros((48, 48), bool)
    roi[32:] = True
    data, config = open_dataset(tiny_data), make_config(**tiny_settings)
    run = train(data, tmp_path / "run", config, rois={"grey": roi})
    table = evaluate(load(run), data).table
    scores = table.to_dict()
    assert scores["classes"]["grey"]["pixel_auroc"] is None
    assert scores["classes"]["dark"]["pixel_auroc"] is not None


def test_the_other_image_score_has_its_own_protocol_name(tiny_data, tmp_path, tiny_settings):
    config = make_config("rd", **tiny_settings, maps={"score": "max"})
    run = train(open_dataset(tiny_data), tmp_path / "run", config)
    table = evaluate(load(run), open_dataset(tiny_data)).table
    assert table.to_dict()["protocol"] == "snlad-v1-max"


def test_a_published_protocol_changes_score_and_map_and_not_the_model(model, shared_data):
    data = open_dataset(shared_data)
    before = model.predict(sorted(shared_data.glob("*/test/spot/*.png")))
    for name in ("ader", "dinomaly-any"):
        table = evaluate(model, data, protocol=name).table
        assert table.protocol == name
    after = model.predict(sorted(shared_data.glob("*/test/spot/*.png")))
    assert [p.pred_score for p in after] == [p.pred_score for p in before]

    highest = model.under(PROTOCOLS["ader"]).predict(next(shared_data.glob("*/test/spot/*.png")))[0]
    assert highest.pred_score == pytest.approx(highest.maps["overall"].max())
    short = model.under(PROTOCOLS["dinomaly-any"]).predict(highest.path)[0]
    steps = [np.abs(np.diff(row.maps["overall"])).mean() for row in (short, highest)]
    assert steps[0] > steps[1]  # smoothed less
    np.testing.assert_array_equal(short.maps["feature"], highest.maps["feature"])


def test_an_unknown_protocol_is_refused_before_any_picture_is_read(model, shared_data):
    seen = []
    with pytest.raises(UsageError, match="'cflow' is unknown"):
        evaluate(model, open_dataset(shared_data), protocol="cflow", progress=seen.append)
    assert seen == []


def test_an_evaluation_is_kept_with_every_picture(trained_run, shared_data, tmp_path):
    data, run = open_dataset(shared_data), tmp_path / "run"
    run.mkdir()
    found = evaluate(load(trained_run), data)
    found.save(run)
    scores, pictures = load_scored(run)
    assert scores == json.loads(json.dumps(found.to_dict()))
    assert pictures == tuple(found.pictures)
    assert [shared_data / one.path for one in pictures] == [sample.path for sample in data.test]
    assert [one.is_anomalous for one in pictures] == [sample.is_anomalous for sample in data.test]
    assert [one.mask_sha256 is not None for one in pictures] == [
        sample.mask is not None for sample in data.test
    ]
    again = evaluate(load(trained_run), data)
    assert again.to_dict()["data"] == scores["data"]


def test_swapped_labels_are_other_data(model, tiny_data):
    before = evaluate(model, open_dataset(tiny_data)).to_dict()["data"]
    (tiny_data / "grey/test/spot").rename(tiny_data / "grey/test/swap")
    assert evaluate(model, open_dataset(tiny_data)).to_dict()["data"] != before


def test_the_thresholds_behind_the_verdicts_are_kept(judged_runs, shared_data):
    """By the class of the test pictures; a class without its own has the pooled one."""
    model = load(judged_runs[1])
    found = evaluate(model, open_dataset(shared_data))
    assert found.thresholds == {"dark": 1e9, "grey": -1e9}
    assert found.to_dict()["thresholds"] == found.thresholds
    assert [one.is_ng[CLASS_POLICY] for one in found.pictures] == [
        one.class_name == "grey" for one in found.pictures
    ]
    only = {"dark": model.calibration.classes["dark"]}
    model.calibration = model.calibration.model_copy(update={"classes": only})
    pooled = model.calibration.pooled.threshold
    found = evaluate(model, open_dataset(shared_data))
    assert found.thresholds == {"dark": 1e9, "grey": pooled}


def test_without_a_calibration_no_thresholds_are_kept(model, shared_data):
    found = evaluate(model, open_dataset(shared_data))
    assert not found.thresholds
    assert not {"thresholds", "decisions"} & set(found.to_dict())


def test_full_resolution_counts_the_pixels_of_the_pictures(model, tiny_data):
    """One picture of another size: its mask is not shrunk, and the map comes to it."""
    from snlad.data.images import restore_size
    from snlad.data.masks import read_mask

    for folder in ("test/spot/0.png", "ground_truth/spot/0_mask.png"):
        path = tiny_data / "grey" / folder
        with Image.open(path) as picture:
            large = picture.resize((96, 144), Image.Resampling.NEAREST)
        large.save(path)
    data = open_dataset(tiny_data)
    table = evaluate(model, data, protocol="snlad-v1-full").table
    assert table.protocol == "snlad-v1-full"
    positives, negatives = [], []
    for sample in data.test:
        if sample.class_name != "grey":
            continue
        row = model.predict(sample.path, class_name="grey")[0]
        full = restore_size(row.maps["overall"], row.image.shape[:2])
        mask = read_mask(sample.mask) if sample.mask else np.zeros(full.shape, bool)
        assert full.shape == mask.shape
        positives.append(full[mask])
        negatives.append(full[~mask])
    assert sum(map(len, positives)) == 16 * 24 + 6 * 16 * 24  # as it was, and 2 x 3 times
    expected = auroc(rank(np.concatenate(positives), [np.sort(np.concatenate(negatives))]))
    assert table.classes["grey"].pixel_auroc == pytest.approx(expected, abs=1e-6)
    assert (
        table.classes["grey"].pixel_auroc != evaluate(model, data).table.classes["grey"].pixel_auroc
    )


def test_full_resolution_leaves_image_scores_alone(model, shared_data):
    data = open_dataset(shared_data)
    full = evaluate(model, data, protocol="snlad-v1-full").table
    assert full.pooled.image_auroc == evaluate(model, data).table.pooled.image_auroc
