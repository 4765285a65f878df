"""Overlays and maps of one picture: all of them or none, named safely, on one colour scale."""

import errno
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from snlad.engine import picture_files
from snlad.engine.picture_files import PictureFiles, draw_overlay


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
    PictureFiles(model, tmp_path, ["overall"]).add(0, predicted(error="unreadable", image=None))
    assert files_of(tmp_path) == []


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, "Input/output error")])
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
