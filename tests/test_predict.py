"""Inspection: one path for every input, errors as rows, and models that stand on their own."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import snlad
from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.engine.train import train
from snlad.errors import ArtifactError, UsageError
from snlad.predict import load


@pytest.fixture(scope="module")
def model(trained_run):
    return load(trained_run)


@pytest.fixture
def pictures(shared_data) -> list[Path]:
    return sorted(shared_data.glob("*/test/*/*.png"))


def test_the_package_offers_load(trained_run, pictures):
    assert snlad.load(trained_run).predict(pictures[0])[0].error is None


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        snlad.nonsense  # noqa: B018 # the access is the test


def test_a_row_has_the_documented_fields_and_is_json(model, pictures):
    row = model.predict(pictures[0])[0].row()
    assert list(row) == [
        "path", "sha256", "pred_score", "pred_label", "threshold", "p_value", "verdict", "reason",
        "class_name", "is_unknown", "regions", "model", "time", "error",
    ]  # fmt: skip
    assert json.loads(json.dumps(row)) == row


def test_until_calibration_there_is_a_score_and_no_verdict(model, pictures):
    prediction = model.predict(pictures[0])[0]
    assert prediction.pred_score > 0
    assert prediction.pred_label is prediction.threshold is prediction.regions is None
    assert (prediction.verdict, prediction.reason) == ("not_judged", "not_calibrated")
    assert prediction.is_unknown is None


def test_maps_come_by_name_at_protocol_size(model, pictures):
    prediction = model.predict(pictures[0])[0]
    assert set(prediction.maps) == {"feature", "center", "overall"} == set(model.map_names)
    for array in prediction.maps.values():
        assert array.shape == (256, 256)
        assert array.dtype == np.float32


def test_the_score_is_the_mean_of_the_highest_hundredth_of_the_overall_map(model, pictures):
    prediction = model.predict(pictures[0])[0]
    highest = np.sort(prediction.maps["overall"].ravel())[-655:]
    assert prediction.pred_score == pytest.approx(highest.mean(), rel=1e-5)


def test_a_path_a_string_and_its_pixels_give_the_same_score(model, pictures):
    with Image.open(pictures[0]) as picture:
        pixels = np.array(picture)
    scores = [model.predict(x)[0].pred_score for x in (pictures[0], str(pictures[0]), pixels)]
    assert scores[0] == scores[1] == scores[2]


def test_a_batch_gives_the_scores_of_single_pictures(model, pictures):
    together = [p.pred_score for p in model.predict(pictures)]
    alone = [model.predict(path)[0].pred_score for path in pictures]
    np.testing.assert_allclose(together, alone, rtol=1e-4)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_an_array_that_is_no_picture_is_an_error_row(model, array):
    prediction = model.predict(array)[0]
    assert prediction.pred_score is None
    assert "give uint8 (height, width, 3)" in prediction.error


def test_a_bad_picture_is_one_error_row_and_the_rest_is_judged(model, pictures, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(pictures[0].read_bytes()[:50])
    rows = model.predict([pictures[0], bad, tmp_path / "absent.png", pictures[1]])
    assert [row.error is None for row in rows] == [True, False, False, True]
    assert "bad.png" in rows[1].error
    assert len(rows[1].sha256) == 64
    assert rows[2].sha256 is None
    assert rows[1].maps == {}


def test_only_bad_pictures_are_only_error_rows(model, tmp_path):
    assert [row.pred_score for row in model.predict([tmp_path / "a", tmp_path / "b"])] == [None] * 2


def test_the_number_of_threads_changes_a_score_by_rounding_only(model, pictures):
    threads = torch.get_num_threads()
    scores = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            scores.append([p.pred_score for p in model.predict(pictures)])
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)


def test_a_stream_reads_no_further_than_it_must(model, pictures):
    """An endless source: memory stays constant because only a few batches are read ahead."""
    read = itertools.count()

    def endless():
        for path in itertools.cycle(pictures):
            next(read)
            yield path

    stream = model.stream(endless())
    assert len(list(itertools.islice(stream, 3))) == 3
    stream.close()
    assert next(read) <= 8 * 4


def test_a_model_folder_alone_loads_elsewhere(trained_run, model, pictures, tmp_path):
    shutil.copytree(trained_run / "model", tmp_path / "moved")
    moved = load(tmp_path / "moved")
    assert moved.identity == model.identity
    assert moved.predict(pictures[0])[0].pred_score == model.predict(pictures[0])[0].pred_score


def test_a_row_names_the_model(model, pictures):
    assert model.predict(pictures[0])[0].model == model.identity[:12]


def test_a_score_that_is_not_a_number_is_never_normal(trained_run, pictures):
    broken = load(trained_run)
    broken._inspector.network.detector.maps.usual.fill_(float("nan"))
    prediction = broken.predict(pictures[0])[0]
    assert prediction.pred_score is None
    assert "the score is nan" in prediction.error
    assert prediction.maps == {}


def test_a_model_of_several_classes_claims_none_unless_told(model, pictures):
    assert model.predict(pictures[0])[0].class_name is None
    assert model.predict(pictures[0], class_name="grey")[0].class_name == "grey"
    with pytest.raises(UsageError, match=r"'blue' is not one of this model's: dark, grey"):
        model.predict(pictures[0], class_name="blue")


def test_a_model_of_one_class_knows_the_class(tiny_data, tmp_path, tiny_settings):
    shutil.rmtree(tiny_data / "dark")
    run = train(open_dataset(tiny_data), tmp_path / "run", make_config(**tiny_settings))
    picture = next(tiny_data.glob("*/test/*/*.png"))
    assert load(run).predict(picture)[0].class_name == "grey"


def test_outside_a_roi_nothing_counts(tiny_data, tmp_path, tiny_settings):
    roi = np.zeros((48, 48), bool)
    roi[32:] = True
    run = train(
        open_dataset(tiny_data), tmp_path / "run", make_config(**tiny_settings), rois={"grey": roi}
    )
    model = load(run)
    np.testing.assert_array_equal(model.rois["grey"], roi)
    picture = tiny_data / "grey" / "test" / "spot" / "0.png"
    limited = model.predict(picture, class_name="grey")[0]
    inside = np.sort(limited.maps["overall"][171:].ravel())[::-1]
    assert limited.pred_score == pytest.approx(inside[: len(inside) // 100].mean(), rel=1e-5)
    assert model.predict(picture, class_name="dark")[0].pred_score != limited.pred_score


def test_nothing_outside_a_roi_moves_a_score_a_map_or_a_training(
    tiny_data, tmp_path, tiny_settings
):
    """The same pictures with noise painted over all that is not inspected."""
    roi = np.zeros((48, 48), bool)
    roi[:, 16:] = True
    painted = shutil.copytree(tiny_data, tmp_path / "painted")
    random = np.random.default_rng(0)
    for path in painted.glob("grey/t*/*/*.png"):
        pixels = np.array(Image.open(path))
        pixels[:, :16] = random.integers(0, 256, (48, 16, 3))
        Image.fromarray(pixels).save(path)
    config = make_config(**tiny_settings)
    models = [
        load(train(open_dataset(root), tmp_path / name, config, rois={"grey": roi}))
        for name, root in (("a", tiny_data), ("b", painted))
    ]
    for path in tiny_data.glob("grey/test/*/*.png"):
        other = painted / path.relative_to(tiny_data)
        rows = [models[0].predict(p, class_name="grey")[0] for p in (path, other)]
        rows.append(models[1].predict(other, class_name="grey")[0])
        for row in rows[1:]:
            assert row.pred_score == rows[0].pred_score
            np.testing.assert_array_equal(row.maps["overall"], rows[0].maps["overall"])
        free = [models[0].predict(p, class_name="dark")[0].pred_score for p in (path, other)]
        assert free[0] != free[1]


def test_a_damaged_weight_is_refused(trained_run, tmp_path):
    shutil.copytree(trained_run / "model", tmp_path / "m")
    path = next((tmp_path / "m").glob("weights-*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="SHA-256"):
        load(tmp_path / "m")


def test_the_card_tells_people_what_the_model_is(trained_run, model):
    card = (trained_run / "model" / "README.md").read_text()
    assert model.card.config.method_label in card
    assert model.identity in card
    assert "| dark | 5 |" in card
    for head in ("## Metrics", "## Thresholds", "## Limits"):
        assert head in card


def test_a_picture_that_does_not_come_is_not_judged_for_that_reason(trained_run, monkeypatch):
    import threading

    from snlad.data import loading

    release, model = threading.Event(), load(trained_run)
    assert model.timeout_s == 60
    model.timeout_s = 0.2
    monkeypatch.setattr(loading, "load_picture", lambda *_args, **_how: release.wait(30))
    try:
        (row,) = model.predict("/far/away.png")
    finally:
        release.set()
    assert (row.verdict, row.reason, row.pred_score) == ("not_judged", "timeout", None)
    assert "'/far/away.png' was not read within 0.2 s" in row.error


def test_in_bfloat16_the_student_alone_is_rounded(trained_run, tiny_data) -> None:
    pictures = sorted(tiny_data.glob("*/test/*/*.png"))
    whole, lower = (
        load(trained_run, in_bfloat16=lower).predict(pictures) for lower in (False, True)
    )
    scores = [[one.pred_score for one in rows] for rows in (whole, lower)]
    assert scores[0] != scores[1]
    np.testing.assert_allclose(scores[1], scores[0], rtol=0.05, atol=0.05 * np.ptp(scores[0]))
    for one, other in zip(whole, lower, strict=True):
        np.testing.assert_array_equal(other.class_distances, one.class_distances)
