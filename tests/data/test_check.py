import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snlad.data.check import CheckReport, check_dataset
from snlad.data.opening import open_dataset, survey_dataset
from snlad.data.samples import Dataset, Sample
from snlad.errors import DataError

Paint = Callable[..., Path]


def check(root: Path) -> CheckReport:
    return check_dataset(survey_dataset(root))


def kinds(report: CheckReport, severity: str) -> list[str]:
    """Kinds found, trivial cues aside: with a handful of random pictures those are chance."""
    found = [f.kind for f in report.findings if f.severity == severity]
    return [kind for kind in found if not kind.startswith("trivial cue")]


def messages(report: CheckReport, kind: str) -> list[str]:
    return [finding.message for finding in report.findings if finding.kind == kind]


def test_a_clean_data_set_has_no_errors(mvtec_root: Path) -> None:
    report = check(mvtec_root)
    assert not report.has_errors
    assert kinds(report, "error") == kinds(report, "warning") == []


def test_counts_by_class_split_and_kind(mvtec_root: Path, paint: Paint) -> None:
    paint(mvtec_root / "nut" / "test" / "dent" / "0.png")
    bolt, nut = check(mvtec_root).classes
    assert (bolt.class_name, bolt.train_normal, bolt.test_normal) == ("bolt", 3, 2)
    assert (bolt.test_defect, bolt.masks) == ({"scratch": 2}, 2)
    assert (nut.test_defect, nut.masks) == ({"dent": 1, "scratch": 2}, 0)
    assert (bolt.modes, bolt.sizes, bolt.train_defect) == ({"RGB": 7}, {"24x32": 7}, 0)


def test_progress_is_told_of_every_picture(mvtec_root: Path) -> None:
    told: list[tuple[str, int, int]] = []
    check_dataset(open_dataset(mvtec_root), lambda *news: told.append(news))
    assert told == [("checking", done, 14) for done in range(1, 15)]


def test_a_corrupt_picture_is_an_error_and_the_check_goes_on(mvtec_root: Path) -> None:
    (mvtec_root / "bolt" / "train" / "good" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (mvtec_root / "nut" / "test" / "good" / "0.png").write_bytes(b"")
    report = check(mvtec_root)
    assert report.has_errors
    assert kinds(report, "error") == ["corrupt", "corrupt"]
    assert "bolt/train/good/1.png" in messages(report, "corrupt")[0]
    assert report.classes[0].sizes == {"24x32": 6}
    assert report.classes[0].train_normal == 3


def copy(root: Path, source: str, target: str) -> None:
    (root / target).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(root / source, root / target)


@pytest.mark.parametrize(
    ("source", "target", "severity", "kind"),
    [
        (
            "bolt/train/good/0.png",
            "bolt/test/good/9.png",
            "error",
            "same picture in train and test",
        ),
        ("nut/train/good/0.png", "bolt/test/good/9.png", "error", "same picture in train and test"),
        ("nut/test/good/0.png", "nut/test/scratch/9.png", "error", "same picture as normal and"),
        ("nut/train/good/0.png", "nut/test/scratch/9.png", "error", "same picture as normal and"),
        ("nut/train/good/0.png", "bolt/train/good/9.png", "warning", "same picture in two classes"),
        ("nut/train/good/0.png", "nut/train/good/9.png", "warning", "same picture twice in train"),
        ("nut/test/good/0.png", "nut/test/good/9.png", "warning", "same picture twice in test"),
    ],
)
def test_exact_copies(mvtec_root: Path, source: str, target: str, severity: str, kind: str) -> None:
    copy(mvtec_root, source, target)
    report = check(mvtec_root)
    (found,) = kinds(report, severity)
    assert found.startswith(kind)
    assert report.has_errors == (severity == "error")
    (message,) = messages(report, found)
    assert source in message
    assert target in message


@pytest.mark.parametrize(
    ("target", "where"),
    [("bolt/test/good/9.jpg", "train and test"), ("nut/train/good/9.jpg", "train")],
)
def test_near_copies_are_warnings(mvtec_root: Path, target: str, where: str) -> None:
    source = mvtec_root / "bolt" / "train" / "good" / "big.png"
    smooth = np.asarray(Image.effect_noise((8, 8), 80).resize((160, 120), Image.Resampling.BICUBIC))
    Image.fromarray(smooth).convert("RGB").save(source)
    Image.open(source).save(mvtec_root / target, quality=70)
    report = check(mvtec_root)
    (message,) = messages(report, f"near duplicate in {where}")
    assert "big.png' looks the same as" in message
    assert target in message
    assert not report.has_errors


@pytest.fixture
def mask(mvtec_root: Path) -> Path:
    return mvtec_root / "bolt" / "ground_truth" / "scratch" / "1_mask.png"


@pytest.mark.parametrize(
    ("severity", "kind", "size", "value", "match"),
    [
        ("error", "mask empty", (24, 32), 0, "marks no defect"),
        ("error", "mask shape", (32, 24), 255, "32 x 24, its picture 24 x 32: another shape"),
        ("warning", "mask size", (12, 16), 255, "12 x 16, its picture 24 x 32: it is stretched"),
    ],
)
def test_mask_problems(
    mvtec_root: Path,
    mask: Path,
    paint_mask: Paint,
    severity: str,
    kind: str,
    size: tuple[int, int],
    value: int,
    match: str,
) -> None:
    paint_mask(mask, size, value)
    report = check(mvtec_root)
    assert kinds(report, severity) == [kind]
    assert report.has_errors == (severity == "error")
    (message,) = messages(report, kind)
    assert match in message
    assert "1_mask.png" in message


def test_a_mask_of_several_values_is_a_warning(mvtec_root: Path, mask: Path) -> None:
    Image.fromarray(np.tile(np.array([0, 128, 200, 255], np.uint8), (24, 8))).save(mask)
    report = check(mvtec_root)
    assert kinds(report, "warning") == ["mask values"]
    assert "has 3 values above 0" in messages(report, "mask values")[0]


def test_an_unreadable_mask_is_an_error(mvtec_root: Path, mask: Path) -> None:
    mask.write_bytes(b"nothing")
    report = check(mvtec_root)
    assert kinds(report, "error") == ["mask unreadable"]


def test_mixed_modes_and_sizes_are_warnings(mvtec_root: Path, paint: Paint) -> None:
    paint(mvtec_root / "nut" / "train" / "good" / "8.png", size=(30, 30))
    paint(mvtec_root / "nut" / "train" / "good" / "9.png", mode="L")
    report = check(mvtec_root)
    assert kinds(report, "warning") == ["mixed modes", "mixed sizes"]
    assert messages(report, "mixed modes") == ["'nut' has 2 modes: RGB (8), L (1)"]
    assert messages(report, "mixed sizes") == ["'nut' has 2 sizes: 24x32 (8), 30x30 (1)"]


def test_a_group_cut_by_the_split_is_an_error(mvtec_root: Path) -> None:
    dataset = open_dataset(mvtec_root)
    groups = {"train": ("lot 1", "lot 2"), "test": ("lot 2", "lot 3")}
    samples = tuple(
        replace(s, group=groups[s.split][index % 2]) for index, s in enumerate(dataset.samples)
    )
    report = check_dataset(replace(dataset, samples=samples))
    assert messages(report, "group in train and test") == [
        "the group 'lot 2' has pictures in train and in test"
    ]
    assert report.has_errors


def flat_picture(path: Path, level: int) -> Path:
    """Write a picture of one mean level and its own grain."""
    grain = np.random.default_rng(level).integers(-9, 10, (16, 16, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((grain + level).astype(np.uint8)).save(path)
    return path


def test_a_trivial_cue_is_a_warning(tmp_path: Path) -> None:
    for index in range(6):
        flat_picture(tmp_path / "bolt" / "train" / "good" / f"{index}.png", 100 + index)
        flat_picture(tmp_path / "bolt" / "test" / "good" / f"{index}.png", 110 + index)
        flat_picture(tmp_path / "bolt" / "test" / "dark" / f"{index}.png", 60 + index)
    report = check(tmp_path)
    assert not report.has_errors
    assert any(
        message.startswith("'bolt': mean alone separates 6 from 6 pictures with AUROC 1.000")
        for message in messages(report, "trivial cue in test normals vs test defects")
    )
    assert any(
        "mean alone" in message
        for message in messages(report, "trivial cue in train normals vs test normals")
    )


def test_the_report_is_plain_json_and_repeatable(mvtec_root: Path) -> None:
    copy(mvtec_root, "bolt/train/good/0.png", "bolt/test/good/9.png")
    once, again = (json.dumps(check(mvtec_root).to_dict()) for _ in range(2))
    assert once == again
    content = json.loads(once)
    assert content["has_errors"] is True
    assert content["layout"] == "mvtec"
    assert content["classes"][0]["class_name"] == "bolt"
    assert content["separations"][0]["auroc"].keys() >= {"mean", "file_bytes"}


def test_the_text_shows_counts_cues_notes_and_findings(mvtec_root: Path) -> None:
    copy(mvtec_root, "bolt/train/good/0.png", "bolt/test/good/9.png")
    text = check(mvtec_root).render()
    assert "2 classes, layout mvtec" in text
    assert "    scratch 2" in text
    assert "test normals vs test defects, AUROC of one trivial statistic alone" in text
    assert "note: 2 defect pictures without mask" in text
    assert "error: same picture in train and test (1)" in text
    assert text.splitlines()[-1].startswith("1 errors, ")


def test_the_text_shows_ten_of_a_kind_and_how_many_more(mvtec_root: Path) -> None:
    for index in range(12):
        (mvtec_root / "bolt" / "train" / "good" / f"bad{index}.png").write_bytes(b"x")
    lines = check(mvtec_root).render().splitlines()
    start = lines.index("error: corrupt (12)")
    assert all("bad" in line for line in lines[start + 1 : start + 11])
    assert lines[start + 11] == "    and 2 more"


def test_a_newline_in_a_name_breaks_no_line(tmp_path: Path, paint: Paint) -> None:
    path = paint(tmp_path / "a.png")
    sample = Sample(
        path=path, class_name="bolt", split="test", is_anomalous=True, defect_type="de\nnt"
    )
    text = check_dataset(Dataset(tmp_path, "manifest", (sample,))).render()
    assert r"'de\nnt' 1" in text


def test_the_same_pixels_in_another_file_are_the_same_picture(mvtec_root: Path) -> None:
    with Image.open(mvtec_root / "bolt/train/good/0.png") as picture:
        picture.save(mvtec_root / "bolt/test/good/9.png", compress_level=0)
    found = check(mvtec_root)
    assert ("error", "same picture in train and test") in {
        (finding.severity, finding.kind) for finding in found.findings
    }


def test_every_fault_of_the_layout_is_listed_and_training_names_the_first(
    mvtec_root: Path, paint: Paint
) -> None:
    masks = mvtec_root / "bolt" / "ground_truth" / "scratch"
    for mask in masks.iterdir():
        mask.unlink()
    (mvtec_root / "washer" / "train" / "good").mkdir(parents=True)
    report = check(mvtec_root)
    assert kinds(report, "error") == ["layout"] * 3
    shown = report.render()
    assert "error: layout (3)" in shown
    assert shown.count("has no mask") == 2
    assert "washer/train/good' holds no picture" in shown
    with pytest.raises(
        DataError, match=r"0\.png' has no mask.* \(and 2 faults more: snlad data check"
    ):
        open_dataset(mvtec_root)


def test_a_picture_with_two_masks_has_none_and_both_are_named(
    mvtec_root: Path, paint: Paint
) -> None:
    masks = mvtec_root / "bolt" / "ground_truth" / "scratch"
    shutil.copy(masks / "1_mask.png", masks / "1.png")
    report = check(mvtec_root)
    assert "has two masks" in messages(report, "layout")[0]
    assert not any("without a picture" in note for note in report.notes)
    assert report.classes[0].masks == 1
