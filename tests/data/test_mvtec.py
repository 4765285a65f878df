import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from snlad.data.mvtec import open_mvtec, open_mvtec_class
from snlad.data.opening import open_dataset
from snlad.data.samples import Dataset
from snlad.errors import DataError

Paint = Callable[..., Path]


def listed(dataset: Dataset) -> list[tuple[str, str, str, str]]:
    return [(s.class_name, s.split, s.defect_type, s.path.name) for s in dataset.samples]


def masked(dataset: Dataset) -> dict[str, str]:
    return {s.path.name: s.mask.name for s in dataset.samples if s.mask}


def test_a_root_gives_all_classes_in_a_fixed_order(mvtec_root: Path) -> None:
    dataset = open_mvtec(mvtec_root)
    assert dataset.layout == "mvtec"
    assert dataset.class_names == ("bolt", "nut")
    assert listed(dataset)[:7] == [
        ("bolt", "train", "good", "0.png"),
        ("bolt", "train", "good", "1.png"),
        ("bolt", "train", "good", "2.png"),
        ("bolt", "test", "scratch", "0.png"),
        ("bolt", "test", "scratch", "1.png"),
        ("bolt", "test", "good", "0.png"),
        ("bolt", "test", "good", "1.png"),
    ]
    assert [s.is_anomalous for s in dataset.samples[:7]] == [False] * 3 + [True] * 2 + [False] * 2


@pytest.mark.usefixtures("no_open")
def test_listing_opens_no_picture(mvtec_root: Path) -> None:
    assert len(open_mvtec(mvtec_root).samples) == 14


def test_one_class_folder_is_a_data_set(mvtec_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_mvtec_class(mvtec_root / "bolt").class_names == ("bolt",)
    monkeypatch.chdir(mvtec_root / "bolt")
    assert open_mvtec_class(Path()).class_names == ("bolt",)


def test_masks_pair_by_stem_whatever_the_order(
    mvtec_root: Path, paint: Paint, paint_mask: Paint
) -> None:
    defect, truth = (mvtec_root / "bolt" / part / "dent" for part in ("test", "ground_truth"))
    for name in ("10", "9", "b c"):
        paint(defect / f"{name}.JPG")
    for name in ("9.png", "10_mask.PNG", "b c_mask.png"):
        paint_mask(truth / name)
    assert masked(open_mvtec(mvtec_root)) == {
        "10.JPG": "10_mask.PNG",
        "9.JPG": "9.png",
        "b c.JPG": "b c_mask.png",
        "0.png": "0_mask.png",
        "1.png": "1_mask.png",
    }


def test_visas_one_class_layout_is_this_layout(
    tmp_path: Path, paint: Paint, paint_mask: Paint
) -> None:
    paint(tmp_path / "candle" / "train" / "good" / "0000.JPG")
    paint(tmp_path / "candle" / "test" / "good" / "0001.JPG")
    paint(tmp_path / "candle" / "test" / "bad" / "000.JPG")
    paint_mask(tmp_path / "candle" / "ground_truth" / "bad" / "000.png")
    dataset = open_mvtec(tmp_path)
    assert masked(dataset) == {"000.JPG": "000.png"}
    assert dataset.samples[1].defect_type == "bad"


def test_stems_pair_across_unicode_forms(mvtec_root: Path, paint: Paint, paint_mask: Paint) -> None:
    name = "pr\u00fcfling"
    paint(mvtec_root / "bolt" / "test" / "dent" / f"{name}.png")
    decomposed = unicodedata.normalize("NFD", name)
    paint_mask(mvtec_root / "bolt" / "ground_truth" / "dent" / f"{decomposed}_mask.png")
    assert f"{name}.png" in masked(open_mvtec(mvtec_root))


def test_odd_names_work(mvtec_root: Path, paint: Paint) -> None:
    paint(mvtec_root / "螺丝 M3 groß zwei" / "train" / "good" / "a b\nc.PnG")
    dataset = open_mvtec(mvtec_root)
    assert "螺丝 M3 groß zwei" in dataset.class_names
    assert "a b\nc.PnG" in {sample.path.name for sample in dataset.samples}


# Such a name cannot be written as UTF-8, so that a training would fail at its very end.
def test_a_class_folder_whose_name_is_no_utf8_is_refused(mvtec_root: Path) -> None:
    name = os.fsdecode(b"M\xfctter")
    try:
        (mvtec_root / "nut").rename(mvtec_root / name)
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    with pytest.raises(DataError, match=r"'M\\udcfctter', which is not valid UTF-8; rename it"):
        open_dataset(mvtec_root)


# Tables and reports print class names: a newline would forge a row, ESC would colour a terminal.
def test_a_class_folder_with_control_characters_is_refused(mvtec_root: Path) -> None:
    (mvtec_root / "nut").rename(mvtec_root / "nut\n\x1b[31mbolt")
    with pytest.raises(DataError, match=r"holds control characters; rename it") as caught:
        open_mvtec(mvtec_root)
    assert str(caught.value).isprintable()


# Whoever sorts pictures by day into folders must be told that none of them is read.
@pytest.mark.parametrize("place", ["train/good", "test/good", "test/scratch"])
def test_pictures_in_folders_of_a_picture_folder_are_counted_in_a_note(
    mvtec_root: Path, paint: Paint, place: str
) -> None:
    folder = mvtec_root / "nut" / place
    for name in ("monday/0.png", "monday/late/1.png", "tuesday/2.JPG"):
        paint(folder / name)
    (folder / "tuesday" / "notes.txt").touch()
    dataset = open_mvtec(mvtec_root)
    assert len(dataset.samples) == 14
    (note,) = [note for note in dataset.notes if "in folders inside" in note]
    assert note.startswith("3 pictures in folders inside ")
    assert f"nut/{place}' are ignored: move them up" in note


def test_a_folder_of_pictures_alone_gives_no_such_note(mvtec_root: Path) -> None:
    (mvtec_root / "nut" / "train" / "good" / "empty").mkdir()
    assert not any("in folders inside" in note for note in open_mvtec(mvtec_root).notes)


def test_a_picture_without_its_mask_is_an_error_naming_it(mvtec_root: Path) -> None:
    (mvtec_root / "bolt" / "ground_truth" / "scratch" / "1_mask.png").unlink()
    with pytest.raises(DataError, match=r"scratch/1\.png' has no mask: neither '1_mask\.png'"):
        open_dataset(mvtec_root)


def test_a_mask_folder_without_any_mask_is_an_error(mvtec_root: Path) -> None:
    (mvtec_root / "nut" / "ground_truth" / "scratch").mkdir(parents=True)
    with pytest.raises(DataError, match=r"nut/test/scratch/0\.png' has no mask"):
        open_dataset(mvtec_root)


def test_two_masks_for_one_picture_are_an_error(mvtec_root: Path, paint_mask: Paint) -> None:
    paint_mask(mvtec_root / "bolt" / "ground_truth" / "scratch" / "1.png")
    with pytest.raises(DataError, match="has two masks"):
        open_dataset(mvtec_root)


@pytest.mark.parametrize("place", ["test/scratch/0.jpg", "ground_truth/scratch/0_mask.bmp"])
def test_two_files_of_one_stem_are_an_error(mvtec_root: Path, paint: Paint, place: str) -> None:
    paint(mvtec_root / "bolt" / place)
    with pytest.raises(DataError, match="have the same stem"):
        open_dataset(mvtec_root)


def test_defects_without_masks_are_counted_in_one_note(mvtec_root: Path, paint: Paint) -> None:
    for kind in "abcdef":
        paint(mvtec_root / "nut" / "test" / kind / "0.png")
    (note,) = open_mvtec(mvtec_root).notes
    assert note.startswith("8 defect pictures without mask, image-level metrics only: 'nut/a', ")
    assert note.endswith(" and 2 more")


def test_a_spare_mask_is_named_in_a_note(mvtec_root: Path, paint_mask: Paint) -> None:
    paint_mask(mvtec_root / "bolt" / "ground_truth" / "scratch" / "7_mask.png")
    assert any(
        note.startswith("1 masks without a picture") and "7_mask.png" in note
        for note in open_mvtec(mvtec_root).notes
    )


@pytest.mark.parametrize("kind", ["good", "gone"])
def test_masks_of_no_defect_folder_are_named_in_a_note(
    mvtec_root: Path, paint_mask: Paint, kind: str
) -> None:
    paint_mask(mvtec_root / "bolt" / "ground_truth" / kind / "0_mask.png")
    assert any(
        f"bolt/ground_truth/{kind}' belong to no defect folder" in note
        for note in open_mvtec(mvtec_root).notes
    )


def test_a_folder_without_train_good_is_skipped_with_a_note(mvtec_root: Path, paint: Paint) -> None:
    paint(mvtec_root / "docs" / "figure.png")
    dataset = open_mvtec(mvtec_root)
    assert "docs" not in dataset.class_names
    assert "the folder 'docs' is skipped: it has no train/good" in dataset.notes


def test_an_empty_train_good_is_an_error(mvtec_root: Path) -> None:
    (mvtec_root / "washer" / "train" / "good").mkdir(parents=True)
    with pytest.raises(DataError, match="washer/train/good' holds no picture"):
        open_dataset(mvtec_root)


def test_an_empty_defect_folder_is_noted(mvtec_root: Path) -> None:
    (mvtec_root / "bolt" / "test" / "dent").mkdir()
    assert any("bolt/test/dent' holds no picture" in n for n in open_mvtec(mvtec_root).notes)


def test_a_class_without_a_test_folder_is_for_training_only(mvtec_root: Path, paint: Paint) -> None:
    paint(mvtec_root / "washer" / "train" / "good" / "0.png")
    washer = [s for s in open_mvtec(mvtec_root).samples if s.class_name == "washer"]
    assert [s.split for s in washer] == ["train"]


def test_pictures_in_unread_places_are_noted(mvtec_root: Path, paint: Paint) -> None:
    paint(mvtec_root / "bolt" / "test" / "loose.png")
    paint(mvtec_root / "bolt" / "train" / "bad" / "0.png")
    dataset = open_mvtec(mvtec_root)
    assert len(dataset.samples) == 14
    assert any("1 pictures directly in" in note for note in dataset.notes)
    assert any("bolt/train/bad' is ignored" in note for note in dataset.notes)


def test_hidden_files_are_passed_over_and_others_counted(mvtec_root: Path, paint: Paint) -> None:
    folder = mvtec_root / "bolt" / "train" / "good"
    paint(folder / ".hidden.png")
    (folder / ".DS_Store").touch()
    paint(mvtec_root / ".trash" / "train" / "good" / "0.png")
    for name in ("Thumbs.db", "readme.txt"):
        (folder / name).touch()
    dataset = open_mvtec(mvtec_root)
    assert len(dataset.samples) == 14
    (note,) = [note for note in dataset.notes if "not pictures" in note]
    assert note.startswith("2 files that are not pictures are ignored: ")
    assert "readme.txt" in note


@pytest.mark.parametrize("place", ["bolt/train/good/9.png", "bolt/test/scratch", "washer"])
def test_a_link_that_leaves_the_root_is_refused(
    mvtec_root: Path, tmp_path: Path, paint: Paint, place: str
) -> None:
    outside = tmp_path / "outside"
    paint(outside / "train" / "good" / "9.png")
    link = mvtec_root / place
    if link.is_dir():
        link.rename(tmp_path / "moved")
    link.symlink_to(outside / "train" / "good" / "9.png" if link.suffix else outside)
    with pytest.raises(DataError, match="is a link that leaves"):
        open_dataset(mvtec_root)


def test_a_link_inside_the_root_and_a_linked_root_are_fine(
    mvtec_root: Path, tmp_path: Path
) -> None:
    (mvtec_root / "bolt" / "train" / "good" / "9.png").symlink_to(
        mvtec_root / "nut" / "train" / "good" / "0.png"
    )
    (tmp_path / "link").symlink_to(mvtec_root)
    assert len(open_mvtec(tmp_path / "link").samples) == 15


def test_classes_equal_by_case_are_refused(mvtec_root: Path, paint: Paint) -> None:
    paint(mvtec_root / "Bolt" / "train" / "good" / "0.png")
    if len({p.name for p in mvtec_root.iterdir()}) == 2:
        pytest.skip("this file system folds case")
    with pytest.raises(DataError, match="'Bolt' and 'bolt'"):
        open_dataset(mvtec_root)


def test_a_folder_that_cannot_be_listed_is_named(
    mvtec_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"products' cannot be listed \(Permission denied\)"):
        open_dataset(mvtec_root)


def test_a_read_only_root_is_enough(mvtec_root: Path) -> None:
    mvtec_root.chmod(0o555)
    try:
        assert len(open_mvtec(mvtec_root).samples) == 14
    finally:
        mvtec_root.chmod(0o755)
