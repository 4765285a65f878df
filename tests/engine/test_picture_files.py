"""Overlays and maps of one picture: all of them or none, named safely, on one colour scale."""

import errno
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from snlad.data.images import restore_size
from snlad.data.map_names import MapNames
from snlad.engine import picture_files
from snlad.engine.picture_files import PictureFiles, draw_overlay
from snlad.types import MAP_SIZE


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_a_picture_has_its_overlay_and_the_maps_that_were_asked_for(model, pictures, tmp_path):
    (prediction,) = model.predict(pictures[0])
    PictureFiles(model, tmp_path, ["feature", "overall"]).add(7, prediction)
    assert files_of(tmp_path) == [
        "maps/feature/000007_0.tiff",
        "maps/overall/000007_0.tiff",
        "overlays/000007_0.png",
    ]
    for name in ("feature", "overall"):
        read = tifffile.imread(tmp_path / "maps" / name / "000007_0.tiff")
        np.testing.assert_array_equal(read, prediction.maps[name])
    with Image.open(tmp_path / "overlays" / "000007_0.png") as drawn:
        np.testing.assert_array_equal(drawn, draw_overlay(model, prediction))


def test_a_picture_with_an_error_has_no_file(model, predicted, tmp_path):
    files = PictureFiles(model, tmp_path, ["overall"], MapNames([tmp_path]))
    bad = predicted(error="unreadable", image=None)
    assert files.add(0, bad) is bad
    assert files_of(tmp_path) == []


@pytest.mark.parametrize(
    "error", [ValueError(), KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")]
)
def test_what_fails_half_way_leaves_no_file_of_the_picture(
    model, predicted, tmp_path, monkeypatch, error
):
    def fail(path, anomaly_map):
        path.write_bytes(b"half a ma")
        raise error

    files = PictureFiles(model, tmp_path, ["overall"])
    files.add(0, predicted())
    monkeypatch.setattr(picture_files, "write_tiff", fail)
    with pytest.raises(type(error)):
        files.add(1, predicted())
    assert files_of(tmp_path) == ["maps/overall/000000_b.tiff", "overlays/000000_b.png"]


def test_a_picture_too_large_to_draw_gets_an_error_and_no_file(
    model, predicted, tmp_path, monkeypatch
):
    def fail(_map, _size):
        raise MemoryError

    monkeypatch.setattr(picture_files, "restore_size", fail)
    files = PictureFiles(model, tmp_path, ["overall"], MapNames([tmp_path]))
    regions = [{"box": [0, 0, 1, 1], "area": 1, "score": 1.0}]
    path = str(tmp_path / "x.png")
    lost = files.add(0, predicted(path=path, pred_label=True, regions=regions, verdict="ng"))
    assert lost.error == f"{path}: no memory to draw its heat map; shrink the picture"
    assert (lost.verdict, lost.reason) == ("not_judged", "unreadable")
    assert lost.pred_score is lost.pred_label is lost.regions is None
    assert files_of(tmp_path) == []


@pytest.mark.parametrize("size", [(48, 60), (300, 500), (1, 9), (256, 256)])
def test_a_mirrored_map_is_the_overall_map_at_the_pictures_size(model, predicted, tmp_path, size):
    overall = np.random.default_rng(0).random(MAP_SIZE, np.float32)
    prediction = predicted(
        path=str(tmp_path / "data" / "bolt" / "test" / "hole" / "0.1.png"),
        maps={"overall": overall},
        image=np.zeros((*size, 3), np.uint8),
    )
    (tmp_path / "data").mkdir()
    files = PictureFiles(model, tmp_path / "out", mirrored=MapNames([tmp_path / "data"]))
    assert files.add(0, prediction) is prediction
    read = tifffile.imread(tmp_path / "out" / "anomaly_maps" / "bolt/test/hole/0.1.tiff")
    assert (read.dtype, read.shape) == (np.float32, size)
    np.testing.assert_array_equal(read, restore_size(overall, size))


@pytest.mark.parametrize(
    ("taken", "path", "reason"),
    [
        ("a.tiff", "a.tiff/b.png", "File exists|Not a directory"),  # a map in place of a folder
        ("a.tiff/b.tiff", "a.png", "Is a directory"),  # a folder in place of a map
        ("x.tiff", f"{'n' * 254}.p", "File name too long"),
    ],
)
def test_a_name_that_no_map_can_have_is_an_error_of_its_picture(
    model, predicted, tmp_path, taken, path, reason
):
    files = PictureFiles(model, tmp_path / "out", mirrored=MapNames([tmp_path]))
    files.add(0, predicted(path=str(tmp_path / taken)))
    lost = files.add(1, predicted(path=str(tmp_path / path)))
    assert re.fullmatch(
        rf".*: its map can have no such name \(({reason})\); rename the picture", lost.error
    )
    assert files_of(tmp_path / "out" / "overlays") == ["000000_" + Path(taken).stem + ".png"]
    assert [file.is_file() for file in (tmp_path / "out/anomaly_maps").rglob("*.tiff")].count(
        True
    ) == 1


def test_a_folder_that_cannot_be_made_for_another_reason_ends_the_job(model, predicted, tmp_path):
    """What is wrong with the results' folder is wrong for every picture."""
    files = PictureFiles(model, tmp_path / "out", ["overall"])
    (tmp_path / "out" / "maps" / "overall").rmdir()
    (tmp_path / "out" / "maps" / "overall").touch()
    with pytest.raises(NotADirectoryError):
        files.add(0, predicted())


def test_a_full_disk_names_the_file_and_leaves_no_part_of_it(
    model, predicted, tmp_path, limited_files
):
    files = PictureFiles(model, tmp_path, ["overall"])
    with limited_files(100_000), pytest.raises(OSError, match="map") as caught:
        files.add(0, predicted())  # one float map is larger
    assert caught.value.filename == str(tmp_path / "maps" / "overall" / "000000_b.tiff")
    assert files_of(tmp_path) == []


def test_one_colour_scale_for_all_pictures(model, pictures):
    """A weaker map is drawn paler, not stretched to the same colours."""
    prediction = model.predict(pictures[0], class_name="dark")[0]
    low, high = model.card.color_scale
    strong, weak = prediction.maps["overall"].copy(), prediction.maps["overall"].copy()
    strong[:], weak[:] = high, low
    prediction.maps["overall"] = strong
    red = np.asarray(draw_overlay(model, prediction)).astype(int)
    prediction.maps["overall"] = weak
    pale = np.asarray(draw_overlay(model, prediction)).astype(int)
    assert np.ptp(red, axis=2).mean() > 40
    assert np.ptp(pale, axis=2).max() == 0


def test_the_inspected_part_is_drawn(model, pictures):
    roi = np.zeros((24, 24), bool)
    roi[12:] = True
    prediction = model.predict(pictures[0], class_name="dark")[0]
    plain = np.asarray(draw_overlay(model, prediction))
    model.rois["dark"] = roi
    try:
        drawn = np.asarray(draw_overlay(model, prediction))
    finally:
        del model.rois["dark"]
    assert (drawn[24] != plain[24]).any()
    assert np.ptp(drawn[5].astype(int), axis=-1).max() == 0
