"""The model folder: everything is in it, and what does not fit is refused."""

import json
import shutil

import numpy as np
import pytest

from snlad.artifacts import format_arrays, load_artifact, save_artifact
from snlad.errors import ArtifactError
from snlad.model_folder import load_model
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


def test_teacher_student_and_map_scale_are_all_inside(folder):
    names = load_artifact(folder, "model").arrays("weights.safetensors")
    parts = {name.split(".")[0] for name in names}
    assert parts == {"teacher", "student", "map_mean", "map_spread"}


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


def test_hostile_class_names_cannot_break_the_card(folder):
    card = load_model(folder).card
    text = format_card(card.config, {"a|b\n<script>": 1}, card.record, "none", "0")
    assert "| a\\|b &lt;script> | 1 |" in text
