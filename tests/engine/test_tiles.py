"""A run with tiles from end to end: one tiling in training, calibration, inspection and export."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.data.tiles import Tiling
from snlad.engine.calibrate import calibrate
from snlad.engine.evaluate import evaluate
from snlad.engine.probe import probe
from snlad.engine.train import train
from snlad.errors import ArtifactError, ConfigError
from snlad.predict import load


@pytest.fixture(scope="module")
def settings(tiled_settings):
    return tiled_settings


@pytest.fixture(scope="module")
def normals(other_data):
    return open_dataset(other_data).train_normal


@pytest.fixture(scope="module")
def calibrated(tiled_run, normals, tmp_path_factory):
    """The same with thresholds."""
    run = shutil.copytree(tiled_run, tmp_path_factory.mktemp("calibrated") / "run")
    calibrate(run, load(run), normals, target_fpr=0.5)
    return run


def test_training_sees_the_tiles_of_its_pictures(shared_data, settings, tmp_path):
    told = []
    data, config = open_dataset(shared_data), make_config(**settings)
    run = train(data, tmp_path / "run", config, progress=lambda *step: told.append(step))
    assert ("reading pictures", 90, 90) in told  # 10 pictures of 9 tiles
    assert ("teacher features", 90, 90) in told
    assert ("finding centers", 90, 90) in told
    assert ("measuring pictures", 10, 10) in told
    assert load(run).card.classes == {"dark": 5, "grey": 5}


def test_a_budget_without_room_changes_no_number(shared_data, settings, tmp_path):
    # Without centers: k-means starts elsewhere where many tiles are equal but for rounding.
    plain = {**settings, "maps": {"centers": 0, "center_distance": False}}
    lean_train = {**settings["train"], "cache_gib": 0.0}
    rich, lean = (
        train(open_dataset(shared_data), tmp_path / name, make_config(**some))
        for name, some in (("rich", plain), ("lean", {**plain, "train": lean_train}))
    )
    losses = [
        [json.loads(row)["loss"] for row in (one / "log.jsonl").read_text().splitlines()]
        for one in (lean, rich)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    picture = next(shared_data.glob("*/test/*/*.png"))
    scores = [load(one).predict(picture)[0].pred_score for one in (lean, rich)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-3)


def test_the_map_of_a_picture_is_as_fine_as_its_tiles(tiled_run, shared_data):
    model = load(tiled_run)
    found = model.predict(next(shared_data.glob("dark/test/spot/*.png")))[0]
    assert {one.shape for one in found.maps.values()} == {(48, 48)}
    assert set(found.maps) == set(model.map_names)


def test_a_calibration_is_that_of_the_largest_tile(calibrated, normals):
    model = load(calibrated)
    for sample in normals[:2]:
        found = model.predict(sample.path, class_name=sample.class_name)[0]
        own = model.calibration.scores[sample.class_name]
        assert min(abs(found.pred_score - score) for score in own) < 1e-4 * found.pred_score
        assert found.pred_mask.shape == (48, 48)
        assert found.verdict in ("ok", "ng")


def refuse_thresholds(calibrated, run):
    shutil.copytree(calibrated / "model" / "calibrations", run / "model" / "calibrations")
    words = r"made for model \w+, this is \w+; thresholds hold for one model and one tiling alone"
    with pytest.raises(ArtifactError, match=words):
        load(run)


def test_a_threshold_from_tiles_is_refused_for_whole_pictures(calibrated, trained_run, tmp_path):
    refuse_thresholds(calibrated, shutil.copytree(trained_run, tmp_path / "run"))


def test_a_threshold_from_another_overlap_is_refused(calibrated, shared_data, settings, tmp_path):
    """All else is equal: data, seed and size of the tiles."""
    config = make_config(**{**settings, "tiles": {"size": 24, "overlap": 4}})
    refuse_thresholds(calibrated, train(open_dataset(shared_data), tmp_path / "run", config))


def test_a_changed_tiling_of_a_saved_model_is_refused(calibrated, tmp_path):
    run = shutil.copytree(calibrated, tmp_path / "run")
    manifest = run / "model" / "model.json"
    text = manifest.read_text()
    assert text.count('"overlap": 8') == 1
    manifest.write_text(text.replace('"overlap": 8', '"overlap": 4'))
    with pytest.raises(ArtifactError, match="was changed after it was saved"):
        load(run)


def test_a_run_is_not_resumed_with_another_tiling(shared_data, settings, tmp_path):
    stopped = {**settings, "train": {**settings["train"], "steps": 10**6}}
    data, out = open_dataset(shared_data), tmp_path / "run"

    def stop(label, done, total):
        if label == "training":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, out, make_config(**stopped), progress=stop)
    with pytest.raises(ConfigError, match="other values of tiles"):
        train(data, out, make_config(**{**stopped, "tiles": {}}), resume=True)


def test_evaluation_brings_the_canvas_to_the_protocols_size(calibrated, shared_data):
    found = evaluate(load(calibrated), open_dataset(shared_data))
    assert len(found.pictures) == 8
    assert 0 <= found.table.to_dict()["mean"]["pixel_auroc"] <= 1


def test_probes_are_made_of_tiles_and_compared_with_tiles(calibrated, normals):
    found = probe(load(calibrated), normals, n=4)
    assert found.mixup.n == 4
    assert set(found.normals.values()) == {5}


def test_pictures_come_one_at_a_time(calibrated, shared_data):
    read = []

    def watched():
        for path in sorted(shared_data.glob("*/test/*/*.png")):
            read.append(path)
            yield path

    stream = load(calibrated).stream(watched())
    assert next(stream).error is None
    assert len(read) == 1
    assert len(list(stream)) == 7


def test_a_large_picture_is_predicted_with_regions_overlays_and_maps(
    calibrated, tmp_path, snlad, shared_data
):
    rng = np.random.default_rng(0)
    pixels = np.clip(60 + rng.normal(0, 12, (120, 90, 3)), 0, 255).astype(np.uint8)
    pixels[60:72, 40:60] = 250
    Image.fromarray(pixels).save(tmp_path / "large.png")
    out = tmp_path / "out"
    words = ("--maps", "overall", "--coco", "--mvtec-maps", "--class-name", "dark", "--quiet")
    assert snlad("predict", calibrated, tmp_path / "large.png", "--out", out, *words)[0] == 0
    row = json.loads((out / "predictions.jsonl").read_text())
    assert row["pred_label"] is not None
    for name, size in (("maps/overall", (90, 120)), ("overlays", (90, 120))):
        (path,) = (out / name).iterdir()
        with Image.open(path) as picture:
            assert picture.size == size
    assert json.loads((out / "predictions.coco.json").read_text())["images"][0]["width"] == 90


def test_the_command_line_takes_the_tiling(shared_data, tmp_path, snlad, tiny_settings):
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps({**tiny_settings, "train": {"steps": 1, "batch_size": 4}}))
    words = ("--config", file, "--out", tmp_path / "run", "--quiet")
    code, _, _ = snlad("train", shared_data, *words, "--tile", "24", "--overlap", "6")
    assert code == 0
    assert load(tmp_path / "run").card.config.tiling == Tiling(24, 6)
    assert snlad("train", shared_data, *words, "--overlap", "6")[0] == 2


def test_a_mask_limits_what_tiles_train_and_judge(shared_data, settings, tmp_path, normals):
    roi = np.zeros((48, 48), bool)
    roi[:, :20] = True
    told = []
    run = train(
        open_dataset(shared_data),
        tmp_path / "run",
        make_config(**settings),
        rois={"dark": roi},
        progress=lambda *step: told.append(step),
    )
    assert ("reading pictures", 75, 75) in told  # two of three columns of the dark pictures
    model = load(run)
    calibrate(run, model, normals)
    pixels = np.full((48, 48, 3), 60, np.uint8)
    changed = pixels.copy()
    changed[:, 20:] = 255
    one, other = (model.predict(each, class_name="dark")[0] for each in (pixels, changed))
    assert one.pred_score == other.pred_score
    assert not other.pred_mask[:, 20:].any()
    assert model.peak(one) == model.peak(other)
