import json
from collections.abc import Callable
from pathlib import Path

import pytest

from snlad.data.opening import open_dataset
from snlad.errors import DataError

Paint = Callable[..., Path]


def test_a_root_of_classes_is_found(mvtec_root: Path) -> None:
    dataset = open_dataset(str(mvtec_root))
    assert dataset.layout == "mvtec"
    assert dataset.root == mvtec_root


def test_one_class_folder_is_found(mvtec_root: Path) -> None:
    assert open_dataset(mvtec_root / "nut").class_names == ("nut",)


def test_visa_is_found_by_its_split_file(tmp_path: Path, paint: Paint) -> None:
    paint(tmp_path / "candle" / "Data" / "Images" / "Normal" / "0.JPG")
    (tmp_path / "split_csv").mkdir()
    (tmp_path / "split_csv" / "1cls.csv").write_text(
        "object,split,label,image,mask\ncandle,train,normal,candle/Data/Images/Normal/0.JPG,\n"
    )
    assert open_dataset(tmp_path).layout == "visa"


def test_plain_folders_and_a_flat_folder_are_found(tmp_path: Path, paint: Paint) -> None:
    paint(tmp_path / "bolt" / "0.png")
    assert open_dataset(tmp_path).layout == "folder"
    assert open_dataset(tmp_path / "bolt").layout == "flat"


@pytest.mark.parametrize("name", ["list.csv", "LIST.CSV"])
def test_a_csv_file_is_a_manifest(tmp_path: Path, paint: Paint, name: str) -> None:
    paint(tmp_path / "0.png")
    (tmp_path / name).write_text("path,class_name,split,label\n0.png,bolt,train,good\n")
    assert open_dataset(tmp_path / name).layout == "manifest"


def test_a_jsonl_file_is_a_manifest(tmp_path: Path, paint: Paint) -> None:
    row = {"path": paint(tmp_path / "0.png").name, "class_name": "bolt"}
    (tmp_path / "list.jsonl").write_text(json.dumps(row | {"split": "train", "label": "good"}))
    assert open_dataset(tmp_path / "list.jsonl").layout == "manifest"


def test_a_json_file_is_aders_meta(tmp_path: Path, paint: Paint) -> None:
    picture = {"img_path": paint(tmp_path / "0.png").name, "cls_name": "bolt", "anomaly": 0}
    (tmp_path / "meta.json").write_text(json.dumps({"train": {"bolt": [picture]}, "test": {}}))
    assert open_dataset(tmp_path / "meta.json").layout == "ader"


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone' does not exist"):
        open_dataset(tmp_path / "gone")


def test_a_file_of_another_kind_is_refused(tmp_path: Path, paint: Paint) -> None:
    with pytest.raises(DataError, match=r"0\.png' is no data set"):
        open_dataset(paint(tmp_path / "0.png"))
