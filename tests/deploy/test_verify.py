"""Verification where an export is used: it is whole, and it says what it said."""

import json
import shutil

import numpy as np
import pytest

import snlad as package
from snlad.artifacts import format_arrays, load_artifact, save_artifact
from snlad.deploy.verify import read_masters, verify
from snlad.errors import ArtifactError, DataError


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


def test_one_that_says_something_else_fails(copy):
    def shift(_, files):
        arrays = dict(artifact.arrays("replay.safetensors"))
        arrays["pred_score"] = arrays["pred_score"] * np.float32(1.1)
        files["replay.safetensors"] = format_arrays(arrays)

    artifact = load_artifact(copy, "export")
    resave(copy, shift)
    found = verify(copy)
    assert not found.passed
    assert found.difference > found.allowed


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


@pytest.mark.parametrize(("field", "value"), [("format", "pickle"), ("precision", "fp8")])
def test_a_format_or_precision_that_is_none_is_refused(copy, field, value):
    resave(copy, lambda payload, _: {**payload, field: value})
    with pytest.raises(ArtifactError, match=r"lacks or garbles a field"):
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


def test_a_verdict_that_is_none_is_refused(tmp_path):
    file = tmp_path / "m.csv"
    file.write_text("path,verdict\na.png,bad\n")
    with pytest.raises(DataError, match="'bad' is not one of ok, ng, not_judged"):
        read_masters(file)


def test_a_folder_that_is_no_export_is_refused(snlad, trained_run):
    code, _, err = snlad("verify", trained_run)
    assert (code, "export.json" in err) == (2, True)
