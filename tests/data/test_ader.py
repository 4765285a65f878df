import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snlad.data.ader import open_ader
from snlad.errors import DataError


@pytest.fixture
def folder(tmp_path: Path, paint: Callable[..., Path], paint_mask: Callable[..., Path]) -> Path:
    paint(tmp_path / "bolt" / "0.png")
    paint(tmp_path / "bolt" / "1.png")
    paint_mask(tmp_path / "bolt" / "m.png")
    return tmp_path


def picture(**fields: Any) -> dict[str, Any]:
    return {
        "img_path": "bolt/0.png",
        "mask_path": "",
        "cls_name": "bolt",
        "specie_name": "good",
        "anomaly": 0,
    } | fields


def meta(folder: Path, content: object) -> Path:
    path = folder / "meta.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.usefixtures("no_open")
def test_both_splits_are_listed(folder: Path) -> None:
    defect = picture(img_path="bolt/1.png", mask_path="bolt/m.png", specie_name="dent", anomaly=1)
    path = meta(folder, {"train": {"bolt": [picture()]}, "test": {"bolt": [defect], "nut": []}})
    dataset = open_ader(path)
    first, second = dataset.samples
    assert dataset.layout == "ader"
    assert (first.split, first.is_anomalous, first.defect_type) == ("train", False, "good")
    assert first.path == folder / "bolt" / "0.png"
    assert (second.split, second.is_anomalous, second.defect_type) == ("test", True, "dent")
    assert second.mask == folder / "bolt" / "m.png"


def test_a_normal_picture_has_no_mask_and_is_good(folder: Path) -> None:
    normal = picture(mask_path="bolt/m.png", specie_name="whatever")
    (sample,) = open_ader(meta(folder, {"train": {"bolt": [normal]}, "test": {}})).samples
    assert (sample.mask, sample.defect_type) == (None, "good")


@pytest.mark.parametrize("mask_path", ["", None])
def test_a_defect_without_a_kind_or_a_mask_is_a_defect(folder: Path, mask_path: str | None) -> None:
    defect = picture(specie_name="", anomaly=1, mask_path=mask_path)
    dataset = open_ader(meta(folder, {"train": {}, "test": {"bolt": [defect]}}))
    assert (dataset.samples[0].defect_type, dataset.samples[0].mask) == ("defect", None)
    assert len(dataset.notes) == 1


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "is no ADer meta.json: the file: Invalid JSON"),
        ({"train": {}}, "test: Field required"),
        ({"train": {"bolt": [{"img_path": "x"}]}, "test": {}}, "train/bolt/0/cls_name: Field"),
        ({"train": {"bolt": [picture(anomaly="maybe")]}, "test": {}}, "train/bolt/0/anomaly"),
        (
            {"train": {"bolt": [picture(img_path="9.png")]}, "test": {}},
            r"train/bolt\[0\]: '9\.png'",
        ),
        ({"train": {}, "test": {}}, "holds no picture"),
    ],
)
def test_a_wrong_file_is_an_error_with_its_place(folder: Path, content: object, match: str) -> None:
    with pytest.raises(DataError, match=match):
        open_ader(meta(folder, content))


def test_a_path_that_leaves_the_folder_is_refused(folder: Path, paint: Callable[..., Path]) -> None:
    paint(folder / "outside.png")
    path = meta(folder / "bolt", {"train": {"a": [picture(img_path="../outside.png")]}, "test": {}})
    with pytest.raises(DataError, match="leaves"):
        open_ader(path)


def test_an_unreadable_file_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json' cannot be read"):
        open_ader(folder / "gone.json")
