"""The model folder: everything is in it, and what does not fit is refused."""

import json
import shutil
import struct
import zlib

import numpy as np
import pytest

from snlad.artifacts import format_arrays, load_artifact, save_artifact
from snlad.data.opening import open_dataset
from snlad.engine.evaluate import evaluate
from snlad.errors import ArtifactError, SnladError
from snlad.model_card import write_card
from snlad.model_folder import load_model, save_model
from snlad.predict import load
from snlad.report.card import format_card


@pytest.fixture
def folder(trained_run, tmp_path):
    shutil.copytree(trained_run / "model", tmp_path / "m")
    return tmp_path / "m"


def resave(folder, change_payload=lambda payload: None, change_arrays=lambda arrays: None) -> None:
    """Save the model again with valid hashes around changed content."""
    artifact = load_artifact(folder, "model")
    arrays, payload = artifact.arrays("weights.safetensors"), artifact.payload
    change_payload(payload)
    change_arrays(arrays)
    save_artifact(folder, "model", payload, {"weights.safetensors": format_arrays(arrays)})


def test_teacher_student_and_maps_are_all_inside(folder):
    names = load_artifact(folder, "model").arrays("weights.safetensors")
    parts = {name.split(".")[0] for name in names}
    assert parts == {"teacher", "student", "maps", "map_mean", "map_spread"}


def test_the_card_in_json_says_what_was_trained_on(folder):
    payload = json.loads((folder / "model.json").read_text())["payload"]
    assert payload["classes"] == {"dark": 5, "grey": 5}
    assert payload["config"]["method"] == "rd-snl"
    assert {"config", "data", "teacher", "seconds"} <= payload["record"].keys()


def test_a_loaded_detector_is_in_eval_mode_with_its_scale(folder):
    loaded = load_model(folder)
    assert not loaded.detector.training
    assert float(loaded.detector.map_spread.min()) > 0


def test_a_tensor_of_another_shape_is_refused(folder):
    def shrink(arrays):
        name = next(n for n in arrays if n.startswith("student.") and arrays[n].ndim == 4)
        arrays[name] = arrays[name][:1]

    resave(folder, change_arrays=shrink)
    with pytest.raises(ArtifactError, match="does not fit its own configuration"):
        load_model(folder)


def test_a_missing_tensor_is_refused(folder):
    resave(folder, change_arrays=lambda arrays: arrays.pop("map_mean"))
    with pytest.raises(ArtifactError, match="map_mean"):
        load_model(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: payload.pop("rois"),
        lambda payload: payload.pop("classes"),
        lambda payload: payload.update(_target_="os.system"),
        lambda payload: payload["config"].update(class_path="os.system"),
    ],
)
def test_a_garbled_card_is_refused(folder, change):
    resave(folder, change_payload=change)
    with pytest.raises(ArtifactError, match="lacks or garbles a field"):
        load_model(folder)


def test_an_infinite_weight_is_refused(folder):
    resave(folder, change_arrays=lambda arrays: arrays["map_mean"].__setitem__(0, np.inf))
    with pytest.raises(ArtifactError, match="NaN or infinity"):
        load_model(folder)


def test_a_roi_bomb_is_refused_before_it_is_decoded(folder):
    artifact = load_artifact(folder, "model")
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(
        ">IIBBBBB", 65500, 65500, 8, 0, 0, 0, 0
    )
    bomb = header + struct.pack(">I", zlib.crc32(header[12:])) + b"\x00\x00\x00\x00IEND\xaeB`\x82"
    files = {**artifact.files, "roi_0.png": bomb}
    save_artifact(folder, "model", {**artifact.payload, "rois": {"grey": "roi_0.png"}}, files)
    with pytest.raises(SnladError, match="pixels"):
        load_model(folder)


def test_a_roi_that_names_no_file_is_refused(folder):
    resave(folder, change_payload=lambda payload: payload.update(rois={"grey": "absent.png"}))
    with pytest.raises(ArtifactError, match="lacks or garbles a field"):
        load_model(folder)


def test_the_card_shows_the_scores_of_an_evaluation(folder, trained_run, shared_data):
    loaded = load_model(folder)
    table = evaluate(load(folder), open_dataset(shared_data)).table
    write_card(folder, loaded.card, loaded.identity, table.to_dict())
    text = (folder / "README.md").read_text()
    assert "Of the last `snlad evaluate`" in text
    assert "mean over classes" in text
    assert load_model(folder).identity == loaded.identity


def test_hostile_class_names_cannot_break_the_card(folder):
    card = load_model(folder).card
    classes = {"a|b\n<script>": 1}
    text = format_card(card.label, card.config, classes, card.record, "none", "0")
    assert "| a\\|b &lt;script> | 1 |" in text


def test_what_tells_the_classes_apart_is_saved_and_loaded(trained_run):
    loaded = load_model(trained_run)
    answer = loaded.class_answer
    assert answer.names == ("dark", "grey")
    points = np.random.default_rng(0).random((3, len(answer.transform)), np.float32)
    assert answer.distances(points).shape == (3, 2)
    assert np.isfinite(answer.distances(points)).all()


def test_a_model_saved_without_class_answer_still_loads(trained_run, tmp_path):
    loaded = load_model(trained_run)
    save_model(tmp_path / "model", loaded.detector, loaded.card, {})
    again = load_model(tmp_path / "model")
    assert again.class_answer is None
    assert again.identity != loaded.identity


@pytest.mark.parametrize(
    "arrays",
    [
        {"something": np.ones(3)},
        {"transform": np.eye(7), "means": np.ones((2, 7))},  # of other statistics
        {"transform": np.eye(7)},
    ],
)
def test_foreign_arrays_in_place_of_the_class_answer_are_refused(trained_run, tmp_path, arrays):
    loaded = load_model(trained_run)

    class Foreign:
        @staticmethod
        def to_arrays() -> dict[str, np.ndarray]:
            return arrays

    save_model(tmp_path / "model", loaded.detector, loaded.card, {}, Foreign())
    with pytest.raises(ArtifactError, match=r"not what tells classes apart .*; train again"):
        load_model(tmp_path / "model")
