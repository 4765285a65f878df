"""Prediction files: one row a picture, in order; pictures to look at; nothing overwritten."""

import csv
import io
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from snlad.data.map_names import MapNames
from snlad.engine import picture_files
from snlad.engine.picture_files import draw_overlay
from snlad.engine.predictions import RowFile, write_predictions
from snlad.errors import StoppedError, UsageError


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def test_rows_follow_the_order_of_the_pictures(model, pictures, tmp_path):
    assert write_predictions(model, pictures, tmp_path / "out") == (8, 0)
    assert [row["path"] for row in rows(tmp_path / "out")] == [str(path) for path in pictures]


def test_each_row_has_its_overlay_at_the_original_size(model, pictures, tmp_path):
    big = tmp_path / "big picture.png"
    Image.fromarray(np.zeros((70, 90, 3), np.uint8)).save(big)
    write_predictions(model, [pictures[0], big], tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "overlays").iterdir())
    assert names == ["000000_0.png", "000001_big_picture.png"]
    with Image.open(tmp_path / "out" / "overlays" / names[1]) as overlay:
        assert overlay.size == (90, 70)


def test_raw_maps_are_float_tiffs_that_other_tools_read(model, pictures, tmp_path):
    write_predictions(model, pictures[:1], tmp_path / "out", map_names=["feature", "overall"])
    expected = model.predict(pictures[0])[0].maps
    for name in ("feature", "overall"):
        read = tifffile.imread(tmp_path / "out" / "maps" / name / "000000_0.tiff")
        np.testing.assert_array_equal(read, expected[name])
    assert not (tmp_path / "out" / "maps" / "affinity").exists()


def test_a_map_that_the_model_lacks_is_refused_before_any_work(model, pictures, tmp_path):
    with pytest.raises(UsageError, match="--maps depth: this model has feature, center, overall"):
        write_predictions(model, pictures, tmp_path / "out", map_names=["depth"])
    assert not (tmp_path / "out").exists()


def test_predictions_are_never_overwritten(model, pictures, tmp_path):
    write_predictions(model, pictures[:1], tmp_path / "out")
    before = (tmp_path / "out" / "predictions.jsonl").read_bytes()
    with pytest.raises(UsageError, match="give another --out"):
        write_predictions(model, pictures[:1], tmp_path / "out")
    assert (tmp_path / "out" / "predictions.jsonl").read_bytes() == before


def test_a_bad_picture_is_counted_and_has_no_overlay(model, pictures, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    counts = []
    done = write_predictions(model, [bad, pictures[0]], tmp_path / "out", progress=counts.append)
    assert done == (2, 1)
    assert counts == [1, 2]
    assert rows(tmp_path / "out")[0]["error"]
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 1


@pytest.mark.parametrize(
    "name", ["名前.png", "a\nb.png", "x" * 200 + ".png", "..png.png", "CON.png", "=cmd|calc.png"]
)
def test_hostile_names_give_safe_files_and_exact_rows(model, pictures, tmp_path, name):
    picture = tmp_path / name
    picture.write_bytes(pictures[0].read_bytes())
    write_predictions(model, [picture], tmp_path / "out")
    assert rows(tmp_path / "out")[0]["path"] == str(picture)
    (overlay,) = (tmp_path / "out" / "overlays").iterdir()
    assert overlay.name.startswith("000000_")
    assert len(overlay.name) < 100
    assert os.path.basename(overlay.name).isascii()  # noqa: PTH119 # a name, not a path
    assert not set(overlay.name) & set('\n<>:"/\\|?*=')


def test_a_picture_too_large_to_draw_is_one_error_row_and_the_job_goes_on(
    model, pictures, tmp_path, monkeypatch
):
    def draw(given, prediction):
        if prediction.path == str(pictures[0]):
            raise MemoryError
        return draw_overlay(given, prediction)

    monkeypatch.setattr(picture_files, "draw_overlay", draw)
    done, failed = write_predictions(model, pictures, tmp_path / "out")
    assert (done, failed) == (len(pictures), 1)
    first, *others = rows(tmp_path / "out")
    assert first["error"].endswith("no memory to draw its heat map; shrink the picture")
    assert (first["pred_score"], first["verdict"]) == (None, "not_judged")
    assert all(row["error"] is None for row in others)


def test_every_row_is_on_disk_as_soon_as_it_is_told(model, pictures, tmp_path):
    seen = []
    write_predictions(
        model,
        pictures,
        tmp_path / "out",
        progress=lambda count: seen.append((count, len(rows(tmp_path / "out")))),
    )
    assert seen == [(n, n) for n in range(1, len(pictures) + 1)]


def test_a_file_in_place_of_the_folder_is_refused(model, pictures, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(UsageError, match="is a file; give a folder"):
        write_predictions(model, pictures, tmp_path / "out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_job_says_which_rows_are_kept(model, pictures, tmp_path, number):
    def interrupt(done: int) -> None:
        if done == 3:
            signal.raise_signal(number)

    before, out = signal.getsignal(number), tmp_path / "out"
    with pytest.raises(StoppedError) as caught:
        write_predictions(model, pictures, out, progress=interrupt)
    assert str(caught.value) == (
        f"stopped; 3 rows are kept in {out / 'predictions.jsonl'}; "
        "give another --out to inspect the rest"
    )
    assert [row["path"] for row in rows(out)] == [str(path) for path in pictures[:3]]
    assert len(list((out / "overlays").iterdir())) == 3
    assert signal.getsignal(number) == before


def test_a_second_signal_stops_at_once_and_says_the_same(model, pictures, tmp_path, monkeypatch):
    def stop(_files, number, prediction):
        for _ in range(2 if number == 2 else 0):
            signal.raise_signal(signal.SIGINT)
        return prediction

    monkeypatch.setattr(picture_files.PictureFiles, "add", stop)
    with pytest.raises(StoppedError, match="stopped; 2 rows are kept in"):
        write_predictions(model, pictures, tmp_path / "out")
    assert len(rows(tmp_path / "out")) == 2


def lines(out: Path) -> list[dict[str, str]]:
    text = (out / "predictions.csv").read_bytes().decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_table_says_what_the_rows_say(model, pictures, tmp_path):
    bad = tmp_path / "-bad.png"
    bad.write_bytes(b"")
    write_predictions(model, [pictures[0], bad, pictures[1]], tmp_path / "out", csv=True)
    for line, row in zip(lines(tmp_path / "out"), rows(tmp_path / "out"), strict=True):
        shown = {name: "" if row.get(name) is None else str(row[name]) for name in line}
        assert line == shown
    assert line["pred_score"]


def test_there_is_no_table_unless_it_is_asked_for(model, pictures, tmp_path):
    write_predictions(model, pictures[:1], tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"overlays", "predictions.jsonl"}


@pytest.mark.parametrize("name", ["predictions.jsonl", "predictions.csv", "predictions.coco.json"])
def test_a_file_that_is_there_is_refused_and_nothing_is_made(calibrated, pictures, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=rf"{name} exists; give another --out"):
        write_predictions(calibrated, pictures, tmp_path, csv=True, coco=True)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("is_link", [False, True])
def test_maps_that_are_there_are_refused(model, pictures, tmp_path, is_link):
    maps = tmp_path / "anomaly_maps"
    if is_link:
        maps.symlink_to(tmp_path / "nowhere")
    else:
        maps.mkdir()
    with pytest.raises(UsageError, match="anomaly_maps exists; give another --out"):
        write_predictions(model, pictures, tmp_path, mirrored=MapNames(pictures))
    assert list(tmp_path.iterdir()) == [maps]
    write_predictions(
        model, pictures[:1], tmp_path
    )  # where no map is asked for, none is in the way


def test_maps_of_a_data_set_mirror_it_and_a_bad_picture_has_none(model, tiny_data, tmp_path):
    bad = tiny_data / "grey" / "test" / "good" / "0.png"
    bad.write_bytes(b"")
    found = sorted(tiny_data.glob("*/test/*/*.png"))
    out = tmp_path / "out"
    assert write_predictions(model, found, out, mirrored=MapNames([tiny_data])) == (8, 1)
    made = {path.relative_to(out / "anomaly_maps") for path in out.rglob("*.tiff")}
    assert made == {p.relative_to(tiny_data).with_suffix(".tiff") for p in found if p != bad}


def coco_of(out: Path) -> dict:
    return json.loads((out / "predictions.coco.json").read_text())


def test_annotations_are_the_regions_of_the_rows(calibrated, pictures, tmp_path, monkeypatch):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    monkeypatch.setattr(calibrated, "min_area", 2.0)
    write_predictions(calibrated, [bad, *pictures], tmp_path / "out", coco=True)
    found, written = coco_of(tmp_path / "out"), rows(tmp_path / "out")
    assert [image["file_name"] for image in found["images"]] == [str(path) for path in pictures]
    assert all(written[image["id"]]["path"] == image["file_name"] for image in found["images"])
    regions = [(n, one["score"]) for n, row in enumerate(written) for one in row["regions"] or []]
    assert [(one["image_id"], one["score"]) for one in found["annotations"]] == regions != []
    names = {one["id"]: one["name"] for one in found["categories"]}
    for one in found["annotations"]:
        name = written[one["image_id"]]["class_name"]
        assert names[one["category_id"]] == (f"{name} anomaly" if name else "anomaly")


def test_a_stopped_job_has_whole_annotations_of_the_kept_rows(calibrated, pictures, tmp_path):
    def interrupt(done: int) -> None:
        if done == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        write_predictions(calibrated, pictures, tmp_path / "out", coco=True, progress=interrupt)
    assert [image["id"] for image in coco_of(tmp_path / "out")["images"]] == [0, 1, 2]


def test_annotations_of_a_job_that_an_error_ended_are_whole(
    calibrated, pictures, tmp_path, monkeypatch
):
    def fail(_files, number, prediction):
        if number == 2:
            raise OSError(28, "No space left on device", "overlay")
        return prediction

    monkeypatch.setattr(picture_files.PictureFiles, "add", fail)
    with pytest.raises(OSError, match="overlay"):
        write_predictions(calibrated, pictures, tmp_path / "out", coco=True)
    assert [image["id"] for image in coco_of(tmp_path / "out")["images"]] == [0, 1]


def test_a_picture_too_large_to_draw_is_not_annotated(calibrated, pictures, tmp_path, monkeypatch):
    def fail(_model, _prediction):
        raise MemoryError

    monkeypatch.setattr(picture_files, "draw_overlay", fail)
    write_predictions(calibrated, pictures[:2], tmp_path / "out", coco=True, csv=True)
    assert coco_of(tmp_path / "out")["images"] == coco_of(tmp_path / "out")["annotations"] == []
    assert all("no memory" in line["error"] for line in lines(tmp_path / "out"))


def test_a_model_without_thresholds_has_no_annotations_to_write(model, pictures, tmp_path):
    with pytest.raises(UsageError, match=r"--coco needs regions, .* run  snlad calibrate"):
        write_predictions(model, pictures, tmp_path / "out", coco=True)
    assert not (tmp_path / "out").exists()


def test_table_and_rows_end_together_when_the_job_is_stopped(model, pictures, tmp_path):
    def interrupt(done: int) -> None:
        assert len(lines(tmp_path / "out")) == len(rows(tmp_path / "out")) == done
        if done == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        write_predictions(model, pictures, tmp_path / "out", csv=True, progress=interrupt)
    assert len(lines(tmp_path / "out")) == 3


def test_a_row_holds_any_name_exactly(predicted, tmp_path):
    names = ["a\nb.png", "\udcff.png", '"=1,;\t.png', "名前.png"]
    file = RowFile(tmp_path / "rows")
    for number, name in enumerate(names):
        file.add(number, predicted(path=name))
    file.close()
    lines = (tmp_path / "rows").read_bytes().split(b"\n")
    assert [json.loads(line)["path"] for line in lines[:-1]] == names


def test_a_number_that_json_cannot_hold_is_no_row(predicted, tmp_path):
    file = RowFile(tmp_path / "rows")
    with pytest.raises(ValueError, match="JSON"):
        file.add(0, predicted(pred_score=float("nan")))
    file.close()
    assert (tmp_path / "rows").read_bytes() == b""
