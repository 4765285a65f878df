from collections.abc import Callable
from pathlib import Path

import pytest

from snlad.data.visa import open_visa
from snlad.errors import DataError

HEADER = "object,split,label,image,mask\n"
NORMAL = "candle/Data/Images/Normal"
ANOMALY = "candle/Data/Images/Anomaly"
MASKS = "candle/Data/Masks/Anomaly"


@pytest.fixture
def visa_root(tmp_path: Path, paint: Callable[..., Path], paint_mask: Callable[..., Path]) -> Path:
    for place in (f"{NORMAL}/0000.JPG", f"{NORMAL}/0001.JPG", f"{ANOMALY}/000.JPG"):
        paint(tmp_path / place)
    paint_mask(tmp_path / MASKS / "000.png", value=1)
    write(
        tmp_path,
        f"candle,train,normal,{NORMAL}/0000.JPG,\n"
        f"candle,test,normal,{NORMAL}/0001.JPG,\n"
        f"candle,test,anomaly,{ANOMALY}/000.JPG,{MASKS}/000.png\n",
    )
    return tmp_path


def write(root: Path, rows: str, header: str = HEADER) -> None:
    (root / "split_csv").mkdir(exist_ok=True)
    (root / "split_csv" / "1cls.csv").write_text(header + rows)


@pytest.mark.usefixtures("no_open")
def test_the_split_file_says_what_is_what(visa_root: Path) -> None:
    dataset = open_visa(visa_root)
    assert [(s.split, s.defect_type, s.is_anomalous) for s in dataset.samples] == [
        ("train", "good", False),
        ("test", "good", False),
        ("test", "anomaly", True),
    ]
    assert dataset.samples[2].mask == visa_root / MASKS / "000.png"
    assert dataset.class_names == ("candle",)
    assert dataset.notes == ()


def test_an_anomaly_without_a_mask_is_image_level(visa_root: Path) -> None:
    write(visa_root, f"candle,test,anomaly,{ANOMALY}/000.JPG,\n")
    dataset = open_visa(visa_root)
    assert dataset.samples[0].mask is None
    assert len(dataset.notes) == 1


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (f"candle,dev,normal,{NORMAL}/0000.JPG,\n", "line 2: split 'dev'"),
        (f"candle,test,good,{NORMAL}/0000.JPG,\n", "label 'good'"),
        (f"candle,test,normal,{NORMAL}/9.JPG,\n", r"line 2: 'candle/.*9\.JPG' is no file"),
        (f"candle,test,anomaly,{ANOMALY}/000.JPG,{MASKS}/9.png\n", r"9\.png' is no file"),
        ("candle,test,normal\n", "line 2 has not as many fields"),
        (f"candle,test,normal,{NORMAL}/0000.JPG,,extra\n", "line 2 has not as many fields"),
    ],
)
def test_a_wrong_row_is_an_error_with_its_line(visa_root: Path, rows: str, match: str) -> None:
    write(visa_root, rows)
    with pytest.raises(DataError, match=match):
        open_visa(visa_root)


def test_a_row_that_leaves_the_root_is_refused(visa_root: Path, paint: Callable[..., Path]) -> None:
    outside = paint(visa_root.parent / "outside.png")
    for path in (f"../{outside.name}", str(outside)):
        write(visa_root, f"candle,train,normal,{path},\n")
        with pytest.raises(DataError, match=r"outside\.png' leaves"):
            open_visa(visa_root)


def test_another_header_is_refused(visa_root: Path) -> None:
    write(visa_root, "", header="object,split,label,image\n")
    with pytest.raises(DataError, match="line 1 lacks 'mask'"):
        open_visa(visa_root)
