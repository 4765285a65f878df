"""Hashed folders: what is damaged, foreign or hostile is refused with one sentence."""

import hashlib
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from snlad import artifacts
from snlad.artifacts import format_arrays, load_artifact, read_arrays, save_artifact
from snlad.config import digest
from snlad.errors import ArtifactError

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([3], dtype=np.int64)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_artifact(tmp_path / "m", "model", {"x": 1}, {"weights.safetensors": format_arrays(ARRAYS)})
    return tmp_path / "m"


def stored_file(folder: Path) -> Path:
    return next(folder.glob("weights-*.safetensors"))


def rewrite_manifest(folder: Path, change) -> None:
    """Change the manifest and sign it again, as an attacker would."""
    body = json.loads((folder / "model.json").read_text())
    body.pop("identity")
    change(body)
    body["identity"] = digest(body)
    (folder / "model.json").write_text(json.dumps(body))


def replace_payload(folder: Path, data: bytes) -> None:
    """Put other bytes behind a manifest that fits them."""
    sha256 = hashlib.sha256(data).hexdigest()
    name = f"weights-{sha256[:16]}.safetensors"
    (folder / name).write_bytes(data)
    entry = {"stored": name, "sha256": sha256, "bytes": len(data)}
    rewrite_manifest(folder, lambda body: body["files"].update({"weights.safetensors": entry}))


def refused(folder: Path) -> str:
    """The one sentence of the refusal."""
    with pytest.raises(ArtifactError) as caught:
        load_artifact(folder, "model").arrays("weights.safetensors")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_saved_is_loaded(folder):
    artifact = load_artifact(folder, "model")
    assert artifact.payload == {"x": 1}
    arrays = artifact.arrays("weights.safetensors")
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_the_identity_names_content_and_nothing_else(tmp_path, folder):
    files = {"weights.safetensors": format_arrays(ARRAYS)}
    same = save_artifact(tmp_path / "other", "model", {"x": 1}, files)
    assert load_artifact(folder, "model").identity == same
    assert save_artifact(tmp_path / "third", "model", {"x": 2}, files) != same


def test_any_flipped_byte_of_the_weights_is_refused(folder):
    path = stored_file(folder)
    whole = path.read_bytes()
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 1
        path.write_bytes(bytes(data))
        assert "SHA-256" in refused(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.pop("files"),
        lambda body: body.pop("payload"),
        lambda body: body.update(payload=[]),
        lambda body: body.update(files={"weights.safetensors": "x"}),
        lambda body: body["files"]["weights.safetensors"].pop("sha256"),
        lambda body: body["files"]["weights.safetensors"].update(bytes="1"),
        lambda body: body["files"]["weights.safetensors"].update(extra=1),
        lambda body: body.update(extra=1),
    ],
)
def test_a_signed_manifest_of_another_shape_is_refused(folder, change):
    rewrite_manifest(folder, change)
    assert "lacks or garbles a field" in refused(folder)


def test_a_manifest_nested_without_end_is_refused(folder):
    (folder / "model.json").write_text("[" * 100_000)
    assert "is not a snlad manifest" in refused(folder)


def test_any_flipped_value_of_the_manifest_is_refused(folder):
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace('"x": 1', '"x": 2'))
    assert "changed after it was saved" in refused(folder)


def test_a_missing_file_is_named(folder):
    stored_file(folder).unlink()
    assert "missing" in refused(folder)


def test_a_missing_manifest_says_which_folder_to_give(tmp_path):
    assert "holds no model.json" in refused(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", "\xff", '"x"', "null", '{"schema": 1}'])
def test_a_manifest_that_is_no_manifest_is_refused(folder, text):
    (folder / "model.json").write_text(text, encoding="latin-1")
    assert "is not a snlad manifest" in refused(folder)


@pytest.mark.parametrize("schema", [0, 2, "1"])
def test_another_schema_version_says_what_to_do(folder, schema):
    rewrite_manifest(folder, lambda body: body.update(schema=schema))
    assert "use the snlad version that wrote it" in refused(folder)


def test_an_artefact_of_another_kind_is_refused(folder):
    (folder / "model.json").rename(folder / "checkpoint.json")
    with pytest.raises(ArtifactError, match="changed"):
        load_artifact(folder, "checkpoint")


@pytest.mark.parametrize(
    "name", ["../weights.safetensors", "/etc/passwd", "a/b-0123456789abcdef.png", "", "weights.pth"]
)
def test_a_path_that_leaves_the_folder_is_never_opened(folder, name):
    def change(body):
        body["files"]["weights.safetensors"]["stored"] = name

    rewrite_manifest(folder, change)
    assert "not allowed" in refused(folder)


def test_a_linked_payload_is_refused(tmp_path, folder):
    path = stored_file(folder)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "not allowed" in refused(folder)


def test_a_linked_or_giant_manifest_is_refused(tmp_path, folder, monkeypatch):
    manifest = folder / "model.json"
    monkeypatch.setattr(artifacts, "_MAX_MANIFEST_BYTES", 10)
    assert "over 16 MiB" in refused(folder)
    monkeypatch.undo()
    manifest.rename(tmp_path / "elsewhere.json")
    manifest.symlink_to(tmp_path / "elsewhere.json")
    assert "is a link" in refused(folder)


class Bomb:
    """Proof of execution, should a pickle ever be loaded."""

    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_a_pickle_in_disguise_is_refused_and_never_run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    replace_payload(folder, pickle.dumps(Bomb()))
    assert "is not a safetensors file" in refused(folder)
    assert not Path("executed").exists()


def test_a_header_of_100_mb_is_refused(folder):
    replace_payload(folder, struct.pack("<Q", 100 * 2**20 + 1) + b"{" * 64)
    assert "is not a safetensors file" in refused(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_refused(value):
    data = format_arrays({"w": np.array([1.0, value], dtype=np.float32)})
    with pytest.raises(ArtifactError, match="'w' holds NaN or infinity"):
        read_arrays(data, "weights.safetensors")


def test_an_extra_file_is_neither_read_nor_removed(folder):
    (folder / "notes.txt").write_text("mine")
    save_artifact(folder, "model", {"x": 2}, {"weights.safetensors": format_arrays(ARRAYS)})
    assert load_artifact(folder, "model").payload == {"x": 2}
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_second_save_leaves_no_old_payload(folder):
    other = {"weights.safetensors": format_arrays({"a": np.zeros(2, np.float32)})}
    save_artifact(folder, "model", {"x": 2}, other)
    assert len(list(folder.glob("weights-*"))) == 1
    assert load_artifact(folder, "model").arrays("weights.safetensors")["a"].shape == (2,)


@pytest.mark.parametrize("dies_at", [1, 2])
def test_a_save_that_dies_anywhere_leaves_the_old_artefact_whole(folder, monkeypatch, dies_at):
    real, calls = artifacts.write_atomically, []

    def dying(path, data):
        calls.append(path)
        if len(calls) == dies_at:
            raise OSError("disk full")
        real(path, data)

    monkeypatch.setattr(artifacts, "write_atomically", dying)
    other = {"weights.safetensors": format_arrays({"a": np.zeros(2, np.float32)})}
    with pytest.raises(OSError, match="disk full"):
        save_artifact(folder, "model", {"x": 2}, other)
    assert load_artifact(folder, "model").payload == {"x": 1}


def test_a_write_that_fails_leaves_no_temporary_file(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts.os, "fsync", lambda _fd: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        artifacts.write_atomically(tmp_path / "x", b"data")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity"])
def test_a_number_that_is_none_is_refused_in_one_sentence(tmp_path, number):
    save_artifact(tmp_path, "model", {"seconds": 1.5}, {})
    file = tmp_path / "model.json"
    file.write_text(file.read_text().replace("1.5", number))
    with pytest.raises(ArtifactError, match="is not a snlad manifest"):
        load_artifact(tmp_path, "model")
