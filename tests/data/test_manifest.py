import json
from collections.abc import Callable
from pathlib import Path

import pytest

from snlad.data.manifest import open_manifest
from snlad.errors import DataError

HEADER = "path,class_name,split,label,mask"


@pytest.fixture
def folder(tmp_path: Path, paint: Callable[..., Path], paint_mask: Callable[..., Path]) -> Path:
    for name in ("a.png", "b.png", "sub/ü,\nc.png"):
        paint(tmp_path / name)
    paint_mask(tmp_path / "m.png")
    return tmp_path


def csv_file(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "list.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def jsonl_file(folder: Path, *rows: object) -> Path:
    path = folder / "list.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def row(**fields: object) -> dict[str, object]:
    return {"path": "a.png", "class_name": "bolt", "split": "train", "label": "good"} | fields


@pytest.mark.usefixtures("no_open")
def test_a_csv_gives_its_rows_in_order(folder: Path) -> None:
    path = csv_file(folder, "b.png,nut,train,good,", "a.png,bolt,test,defect,m.png")
    dataset = open_manifest(path)
    assert dataset.layout == "manifest"
    assert dataset.root == folder
    first, second = dataset.samples
    assert (first.path, first.class_name, first.split) == (folder / "b.png", "nut", "train")
    assert (first.is_anomalous, first.defect_type, first.mask) == (False, "good", None)
    assert (second.is_anomalous, second.defect_type) == (True, "defect")
    assert second.mask == folder / "m.png"


def test_jsonl_gives_the_same_as_csv(folder: Path) -> None:
    csv_path = csv_file(folder, "b.png,nut,train,good,", "a.png,bolt,test,defect,m.png")
    jsonl_path = jsonl_file(
        folder,
        row(path="b.png", class_name="nut", mask=None),
        "",
        row(split="test", label="defect", mask="m.png"),
    )
    assert open_manifest(jsonl_path).samples == open_manifest(csv_path).samples


def test_the_optional_columns_are_kept(folder: Path) -> None:
    header = "group,time,view,path,part_id,class_name,split,label"
    path = csv_file(folder, "lot 7,2024-05-01,top,a.png,17,bolt,train,good", header=header)
    (sample,) = open_manifest(path).samples
    assert (sample.group, sample.part_id, sample.view, sample.time) == (
        "lot 7",
        "17",
        "top",
        "2024-05-01",
    )
    (bare,) = open_manifest(jsonl_file(folder, row())).samples
    assert (bare.group, bare.part_id, bare.view, bare.time) == (None,) * 4


def test_quoted_names_with_comma_newline_and_umlaut_work(folder: Path) -> None:
    dataset = open_manifest(csv_file(folder, '"sub/ü,\nc.png",bolt,train,good,'))
    assert dataset.samples[0].path == folder / "sub" / "ü,\nc.png"


def test_a_byte_order_mark_is_no_part_of_the_header(folder: Path) -> None:
    path = csv_file(folder, "a.png,bolt,train,good,", header="\ufeff" + HEADER)
    assert len(open_manifest(path).samples) == 1


def test_an_absolute_path_is_taken_as_it_is(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = csv_file(tmp_path_factory.mktemp("x"), f"{folder / 'a.png'},bolt,train,good,")
    assert open_manifest(elsewhere).samples[0].path == folder / "a.png"


@pytest.mark.parametrize("label", ["good", "Normal", "OK", "0", 0, False])
def test_words_for_normal(folder: Path, label: object) -> None:
    assert not open_manifest(jsonl_file(folder, row(label=label))).samples[0].is_anomalous


@pytest.mark.parametrize("label", ["bad", "Anomaly", "anomalous", "defect", "NG", "1", 1, True])
def test_words_for_anomalous(folder: Path, label: object) -> None:
    assert open_manifest(jsonl_file(folder, row(label=label))).samples[0].is_anomalous


def test_a_mask_of_a_normal_picture_is_noted(folder: Path) -> None:
    dataset = open_manifest(csv_file(folder, "a.png,bolt,train,good,m.png"))
    assert dataset.samples[0].mask is None
    assert dataset.notes == ("1 masks of normal pictures are ignored",)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("a.png,bolt,train,gut,", "line 3: the label 'gut' is unknown"),
        ("a.png,bolt,val,good,", "line 3: the split 'val' is unknown"),
        ("a.png,,train,good,", "line 3: the class name is empty"),
        ("gone.png,bolt,train,good,", r"line 3: 'gone\.png' is no file"),
        (",bolt,train,good,", "line 3: '' is no file"),
        ("sub,bolt,train,good,", "line 3: 'sub' is no file"),
        ("a.png,bolt,test,bad,gone.png", r"line 3: 'gone\.png' is no file"),
        ("b.png,bolt,test,good,", r"line 3: 'b\.png' is listed twice"),
        ("a.png,bolt,train", "line 3 has not as many fields"),
        ("a.png,bolt,train,good,,,", "line 3 has not as many fields"),
        ('"a.png"x,bolt,train,good,', "cannot be read as a UTF-8 table"),
    ],
)
def test_a_wrong_csv_row_is_an_error_with_its_line(folder: Path, line: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        open_manifest(csv_file(folder, "b.png,bolt,train,good,", line))


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("path,class_name,split,mask", "line 1 lacks 'label'"),
        ("path,class_name,split,label,masks", "line 1 has the unknown 'masks'; known: class_name"),
        ("path,class_name,split,label,path", "line 1 has 'path' twice"),
        ("", "line 1 lacks 'class_name', 'label', 'path', 'split'"),
    ],
)
def test_a_wrong_header_is_an_error(folder: Path, header: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        open_manifest(csv_file(folder, header=header))


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("{", "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        ({"path": "a.png"}, "line 2 lacks 'class_name'"),
        (row(colour="red"), "line 2 has the unknown 'colour'"),
        (row(path=["a.png"]), "line 2: 'path' is"),
        (row(path="a\0.png"), "is no file"),
        (row(label=None), "line 2: the label '' is unknown"),
    ],
)
def test_a_wrong_jsonl_row_is_an_error_with_its_line(
    folder: Path, line: object, match: str
) -> None:
    with pytest.raises(DataError, match=match):
        open_manifest(jsonl_file(folder, row(path="b.png"), line))


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl"])
def test_a_file_that_is_not_utf8_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"path,class_name,split,label\n\xff\xfe.png,bolt,train,good\n")
    with pytest.raises(DataError, match=f"{name}' cannot be read as a UTF-8 table"):
        open_manifest(folder / name)


def test_a_manifest_without_rows_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        open_manifest(csv_file(folder))
