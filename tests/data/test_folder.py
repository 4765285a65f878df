from collections.abc import Callable
from pathlib import Path

import pytest

from snlad.data.folder import open_folder
from snlad.errors import DataError

Paint = Callable[..., Path]


def test_each_folder_of_pictures_is_a_class_of_training_normals(
    tmp_path: Path, paint: Paint
) -> None:
    for place in ("nut/b.png", "nut/a.JPG", "bolt/c.png"):
        paint(tmp_path / place)
    dataset = open_folder(tmp_path)
    assert dataset.layout == "folder"
    assert [(s.class_name, s.path.name) for s in dataset.train_normal] == [
        ("bolt", "c.png"),
        ("nut", "a.JPG"),
        ("nut", "b.png"),
    ]
    assert dataset.test == ()


def test_good_trains_and_each_other_folder_tests(tmp_path: Path, paint: Paint) -> None:
    for place in ("bolt/good/0.png", "bolt/dent/0.png", "bolt/rust/0.png", "nut/0.png"):
        paint(tmp_path / place)
    dataset = open_folder(tmp_path)
    assert len(dataset.train_normal) == 2
    assert [(s.class_name, s.defect_type, s.is_anomalous) for s in dataset.test] == [
        ("bolt", "dent", True),
        ("bolt", "rust", True),
    ]
    (note,) = dataset.notes
    assert note.startswith("2 defect pictures without mask")


def test_good_directly_in_the_root_makes_it_one_class(tmp_path: Path, paint: Paint) -> None:
    root = tmp_path / "Schraube M3"
    paint(root / "good" / "0.png")
    paint(root / "bad" / "0.png")
    dataset = open_folder(root)
    assert dataset.class_names == ("Schraube M3",)
    assert [s.defect_type for s in dataset.samples] == ["good", "bad"]


def test_masks_lie_beside_good_in_ground_truth(
    tmp_path: Path, paint: Paint, paint_mask: Paint
) -> None:
    paint(tmp_path / "bolt" / "good" / "0.png")
    paint(tmp_path / "bolt" / "dent" / "0.png")
    mask = paint_mask(tmp_path / "bolt" / "ground_truth" / "dent" / "0_mask.png")
    paint_mask(tmp_path / "bolt" / "ground_truth" / "rust" / "0_mask.png")
    dataset = open_folder(tmp_path)
    assert [s.mask for s in dataset.test] == [mask]
    assert any("ground_truth/rust' belong to no defect folder" in note for note in dataset.notes)


def test_a_flat_folder_is_one_class_of_its_own_name(
    tmp_path: Path, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "mixed products"
    for name in ("b.png", "a.png"):
        paint(root / name)
    (root / "empty").mkdir()
    monkeypatch.chdir(root)
    dataset = open_folder(Path())
    assert dataset.layout == "flat"
    assert dataset.class_names == ("mixed products",)
    assert [s.path.name for s in dataset.train_normal] == ["a.png", "b.png"]


def test_pictures_beside_folders_of_pictures_are_refused(tmp_path: Path, paint: Paint) -> None:
    paint(tmp_path / "0.png")
    paint(tmp_path / "bolt" / "0.png")
    with pytest.raises(DataError, match="pictures beside folders of pictures"):
        open_folder(tmp_path)


@pytest.mark.parametrize("root", [".", "bolt"])
def test_pictures_beside_good_are_refused(tmp_path: Path, paint: Paint, root: str) -> None:
    paint(tmp_path / "bolt" / "good" / "0.png")
    paint(tmp_path / "bolt" / "0.png")
    with pytest.raises(DataError, match="pictures beside its folder 'good'"):
        open_folder(tmp_path / root)


def test_an_empty_good_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bolt" / "good").mkdir(parents=True)
    with pytest.raises(DataError, match="bolt/good' holds no picture"):
        open_folder(tmp_path)


def test_an_empty_good_beside_a_full_class_is_a_fault(tmp_path: Path, paint: Paint) -> None:
    (tmp_path / "bolt" / "good").mkdir(parents=True)
    paint(tmp_path / "nut" / "good" / "0.png")
    (fault,) = open_folder(tmp_path).faults
    assert "bolt/good' holds no picture" in fault


def test_empty_and_nested_folders_are_noted(tmp_path: Path, paint: Paint) -> None:
    paint(tmp_path / "bolt" / "0.png")
    paint(tmp_path / "nut" / "monday" / "0.png")
    dataset = open_folder(tmp_path)
    assert dataset.class_names == ("bolt",)
    assert "the folder 'nut' is skipped: it holds no picture" in dataset.notes
    assert any("nut/monday' is ignored: 'nut' has no 'good'" in note for note in dataset.notes)


# Nothing is dropped in silence, in this layout as in MVTec's.
@pytest.mark.parametrize("place", ["good", "dent"])
def test_pictures_in_folders_of_a_labelled_folder_are_counted_in_a_note(
    tmp_path: Path, paint: Paint, place: str
) -> None:
    for name in ("good/0.png", "dent/0.png", f"{place}/monday/1.png", f"{place}/monday/2.png"):
        paint(tmp_path / "bolt" / name)
    dataset = open_folder(tmp_path)
    assert len(dataset.samples) == 2
    assert any(
        note.startswith("2 pictures in folders inside") and f"bolt/{place}'" in note
        for note in dataset.notes
    )


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        open_folder(tmp_path)
