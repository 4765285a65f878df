"""Verification where an export is used: it is whole, and it says what it said."""

import json
import shutil

import numpy as np
import pytest

import snlad as package
from snlad.artifacts import format_arrays, load_artifact, save_artifact
from snlad.deploy.verify import Master, read_masters, verify
from snlad.errors import ArtifactError, DataError
from snlad.runtime.exported import Exported


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "copy")


def resave(folder, change) -> None:
    """Save an export again with other content and a hash that fits it."""
    artifact = load_artifact(folder, "export")
    files = dict(artifact.files)
    payload = change(artifact.payload, files) or artifact.payload
    save_artifact(folder, "export", payload, files)


def test_a_whole_export_says_what_it_said(copy):
    found = verify(copy)
    assert found.passed
    assert found.replayed == 4
    assert found.difference <= 1e-3 == found.allowed
    saved = json.loads(found.save(copy).read_text())
    assert saved["export"] == load_artifact(copy, "export").identity
    assert verify(copy).passed  # the certificate is no part of it


@pytest.mark.parametrize("name", ["pred_score", "anomaly_map", "class_distance"])
@pytest.mark.parametrize("by", [1.1, np.nan])
def test_one_that_says_something_else_fails(copy, name, by, monkeypatch):
    session = Exported.session

    def shifted(self):
        run = session(self)
        return lambda images: {k: v * np.float32(by if k == name else 1)
                               for k, v in run(images).items()}  # fmt: skip

    monkeypatch.setattr(Exported, "session", shifted)
    found = verify(copy)
    assert not found.passed
    assert not found.difference <= found.allowed


def test_a_damaged_file_is_named(copy):
    (file,) = copy.glob("replay-*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="replay"):
        verify(copy)


@pytest.mark.parametrize("field", ["card", "calibration", "format", "proof"])
def test_a_manifest_without_a_field_is_refused(copy, field):
    resave(copy, lambda payload, _: {k: v for k, v in payload.items() if k != field})
    with pytest.raises(ArtifactError, match=r"lacks or garbles a field"):
        verify(copy)


@pytest.mark.parametrize(
    "fields", [{"format": "pickle"}, {"proof": {}}, {"proof": 3}, {"proof": {"scale": 0}}]
)
def test_a_field_that_makes_no_sense_is_refused(copy, fields):
    resave(copy, lambda payload, _: {**payload, **fields})
    with pytest.raises(ArtifactError, match=r"lacks or garbles a field"):
        verify(copy)


@pytest.mark.parametrize(
    "images",
    [np.zeros((0, 64, 64, 3), np.uint8), np.zeros((1, 32, 64, 3), np.uint8), np.zeros(3), None],
)
def test_a_replay_that_cannot_be_one_is_refused(copy, images):
    artifact = load_artifact(copy, "export")
    resave(copy, lambda payload, files: _with_images(files, artifact, images))
    with pytest.raises(ArtifactError, match=r"lacks or garbles a field"):
        verify(copy)


def _with_images(files, artifact, images) -> None:
    arrays = {k: v for k, v in artifact.arrays("replay.safetensors").items() if k != "images"}
    if images is not None:
        arrays["images"] = images
    files["replay.safetensors"] = format_arrays(arrays)


def test_a_graph_that_is_none_is_refused(copy):
    def junk(_, files):
        for name in files:
            if name.startswith("model."):
                files[name] = b""

    resave(copy, junk)
    with pytest.raises(ArtifactError):
        verify(copy)


def test_an_openvino_graph_in_another_format_is_refused(copy, graph):
    def foreign(_, files):
        if "model.xml" not in files:
            pytest.skip("only OpenVINO's reader takes other formats")
        files["model.xml"] = graph

    resave(copy, foreign)
    with pytest.raises(ArtifactError, match="no graph of OpenVINO"):
        verify(copy)


def masters(folder, shared_data, model, change=lambda verdict: verdict):
    """A CSV of all test pictures with the verdicts that the model gives them."""
    file = shared_data.parent / f"{folder.name}-masters.csv"
    lines = ["path,verdict,class_name"]
    for path in sorted(shared_data.glob("*/test/*/*.png")):
        name = path.parts[-4]
        verdict = model.predict(path, class_name=name)[0].verdict
        lines.append(f"{path.relative_to(file.parent)},{change(verdict)},{name}")
    file.write_text("\n".join(lines))
    return file


def test_masters_must_have_their_verdicts(snlad, copy, shared_data):
    model = package.load(copy)
    code, out, _ = snlad("verify", copy, masters(copy, shared_data, model))
    assert (code, "8 of 8 masters as expected" in out, "passed" in out) == (0, True, True)
    wrong = masters(copy, shared_data, model, lambda v: "ok" if v == "ng" else "ng")
    code, out, _ = snlad("verify", copy, wrong)
    assert code == 1
    assert "FAILED" in out
    assert "spot" in out
    newest = max((copy / "certificates").iterdir())
    assert not json.loads(newest.read_text())["passed"]


def test_a_master_that_cannot_be_read_never_passes(copy, tmp_path):
    for verdict in ("not_judged", "ok"):
        found = verify(copy, [Master(tmp_path / "absent.png", verdict, "")])
        assert not found.passed
        assert "absent.png" in found.masters[0]["reason"]


def test_a_master_is_judged_as_of_its_class(copy, shared_data):
    picture = next(shared_data.glob("grey/test/good/*.png"))
    found = verify(copy, [Master(picture, "ng", "dark"), Master(picture, "ng", "grey")])
    dark, grey = found.masters
    assert (dark["reason"], dark["threshold"]) != (grey["reason"], grey["threshold"])


def test_a_verdict_that_is_none_is_refused(tmp_path):
    file = tmp_path / "m.csv"
    file.write_text("path,verdict\na.png,bad\n")
    with pytest.raises(DataError, match="'bad' is not one of ok, ng, not_judged"):
        read_masters(file)


def test_a_folder_that_is_no_export_is_refused(snlad, trained_run):
    code, _, err = snlad("verify", trained_run)
    assert (code, "export.json" in err) == (2, True)
