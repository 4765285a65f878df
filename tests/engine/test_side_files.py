"""Files that a report can do without: read where they are whole, a note where they are not."""

import io
import json

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from snlad.engine.side_files import SideFiles

ROW = {"step": 1, "lr": 0.1, "loss": 2.0, "loss_own": 1, "note": "x"}


def test_a_run_without_them_has_none_and_no_notes(tmp_path):
    side = SideFiles(tmp_path)
    assert side.versions() == {}
    assert side.log() == []
    assert side.probes("m") == ({}, None)
    assert side.notes == []


def test_versions_are_read(tmp_path):
    (tmp_path / "versions.json").write_text('{"torch": "2.6", "cores": 2}')
    assert SideFiles(tmp_path).versions() == {"torch": "2.6", "cores": 2}


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000, b"null"])
@pytest.mark.parametrize("name", ["versions.json", "probes.json"])
def test_json_that_is_damaged_is_a_note(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    side = SideFiles(tmp_path)
    assert side.versions() == {}
    assert side.probes("m") == ({}, None)
    assert side.notes == [f"{name} is damaged and left out"]


def test_a_folder_in_place_of_a_file_is_a_note(tmp_path):
    (tmp_path / "versions.json").mkdir()
    side = SideFiles(tmp_path)
    assert side.versions() == {}
    assert side.notes == ["versions.json is damaged and left out"]


def write_log(run, *rows) -> None:
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_log_is_read_but_for_a_last_line_that_was_cut(tmp_path):
    write_log(tmp_path, ROW, {**ROW, "step": 2})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 3, "lr"')
    side = SideFiles(tmp_path)
    assert side.log() == [ROW, {**ROW, "step": 2}]
    assert side.notes == []


@pytest.mark.parametrize(
    "damage",
    [
        {},
        [],
        {"step": 2},
        {**ROW, "loss": "<script>"},
        {**ROW, "loss_own": None},
        {**ROW, "lr": [1]},
        {**ROW, "step": {}},
        {**ROW, "step": 10**400},
        {**ROW, "loss": float("nan")},
    ],
)
def test_a_row_that_cannot_be_drawn_is_a_note(tmp_path, damage):
    write_log(tmp_path, ROW, damage)
    side = SideFiles(tmp_path)
    assert side.log() == []
    assert side.notes == ["log.jsonl is damaged: there are no training curves"]


@pytest.mark.parametrize("content", [b"no json\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"])
def test_a_log_that_is_no_json_is_a_note(tmp_path, content):
    (tmp_path / "log.jsonl").write_bytes(content)
    side = SideFiles(tmp_path)
    assert side.log() == []
    assert len(side.notes) == 1


PROBES = {
    "model": "m",
    "mixup": {"image_auroc": 0.75, "pixel_auroc": None},
    "cutpaste": {"image_auroc": 1, "pixel_auroc": None, "image_pairs": [[0.5]]},
    "eta_squared": 0.25,
}


def test_the_numbers_of_the_probes_are_found_by_their_keys(tmp_path):
    (tmp_path / "probes.json").write_text(json.dumps(PROBES))
    numbers, matrix = SideFiles(tmp_path).probes("m")
    assert matrix is None
    assert list(numbers.values()) == [0.75, 1.0, 0.25]
    assert list(numbers)[:2] == ["Mixup, image AUROC", "CutPaste, image AUROC"]


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"mixup": 3},
        {"mixup": {"image_auroc": "<script>"}},
        {"mixup": {"image_auroc": float("nan")}},
        {"eta_squared": []},
        {"eta_squared": 10**400},
        {"eta_squared": -0.5},
    ],
)
def test_what_is_no_share_is_left_out(tmp_path, content):
    (tmp_path / "probes.json").write_text(json.dumps(content))
    side = SideFiles(tmp_path)
    assert side.probes("m") == ({}, None)
    assert side.notes == []


def test_probes_of_another_model_do_not_count(tmp_path):
    (tmp_path / "probes.json").write_text(json.dumps(PROBES))
    Image.new("RGB", (4, 4)).save(tmp_path / "probes.png")
    side = SideFiles(tmp_path)
    assert side.probes("another") == ({}, None)
    assert side.notes == ["probes.json is of another model and left out; probe again"]


def test_of_the_matrix_nothing_but_its_pixels_comes_in(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "<script>alert(1)</script>")
    Image.fromarray(pixels).save(tmp_path / "probes.png", pnginfo=text)
    matrix = SideFiles(tmp_path).probes("m")[1]
    assert matrix is not None
    assert b"script" not in matrix
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(matrix))), pixels)


def test_a_large_matrix_is_shrunk(tmp_path):
    Image.new("RGB", (4000, 1000), "white").save(tmp_path / "probes.png")
    matrix = SideFiles(tmp_path).probes("m")[1]
    assert matrix is not None
    assert Image.open(io.BytesIO(matrix)).size == (1600, 400)


def test_a_matrix_that_is_no_picture_is_a_note(tmp_path):
    (tmp_path / "probes.png").write_text("<svg onload=alert(1)>")
    (tmp_path / "probes.json").write_text(json.dumps(PROBES))
    side = SideFiles(tmp_path)
    numbers, matrix = side.probes("m")
    assert (len(numbers), matrix) == (3, None)
    assert side.notes == ["probes.png is damaged and left out; probe again"]
