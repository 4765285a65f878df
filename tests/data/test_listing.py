"""Listing: links, folders that are closed, and many files; names only, whatever lies there."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snlad.data.check import check_dataset
from snlad.data.listing import Tree, shorten
from snlad.data.loading import data_digest, file_digests
from snlad.data.mvtec import normal_samples
from snlad.data.opening import open_dataset
from snlad.errors import DataError

Paint = Callable[..., Path]
MANY = 20_000


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything below a folder."""
    states = {str(path): path.stat() for path in sorted(root.rglob("*"))}
    return {name: (state.st_size, state.st_mtime_ns) for name, state in states.items()}


# A link that leads to itself once ended in a RuntimeError of pathlib.
@pytest.mark.parametrize("place", ["loop", "bolt/train/good/loop.png", "nut/test/loop"])
def test_a_link_in_a_circle_is_one_error(mvtec_root: Path, place: str) -> None:
    link = mvtec_root / place
    link.symlink_to(link)
    with pytest.raises(DataError, match=r"loop.*is a link that leads nowhere.*; remove it"):
        open_dataset(mvtec_root)


def test_two_links_in_a_circle_are_one_error(mvtec_root: Path) -> None:
    (mvtec_root / "a").symlink_to(mvtec_root / "b")
    (mvtec_root / "b").symlink_to(mvtec_root / "a")
    with pytest.raises(DataError, match="products/a' is a link that leads nowhere"):
        open_dataset(mvtec_root)


def test_a_root_that_is_a_link_in_a_circle_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match="loop' does not exist"):
        open_dataset(tmp_path / "loop")


# A folder linked into itself is no circle of links: it is listed once and not walked for ever.
def test_a_link_to_the_folder_above_ends(mvtec_root: Path) -> None:
    good = mvtec_root / "bolt" / "train" / "good"
    (good / "again").symlink_to(good)
    dataset = open_dataset(mvtec_root)
    assert len(dataset.samples) == 14
    assert any("3 pictures in folders inside" in note for note in dataset.notes)


# The picture that a link names may come later, or be gone: reading says so, listing does not.
def test_a_link_to_nothing_inside_the_root_is_listed(mvtec_root: Path) -> None:
    good = mvtec_root / "bolt" / "train" / "good"
    (good / "9.png").symlink_to(good / "not yet there.png")
    dataset = open_dataset(mvtec_root)
    assert len(dataset.samples) == 15
    (finding,) = [f for f in check_dataset(dataset).findings if f.kind == "corrupt"]
    assert "9.png" in finding.message


def test_a_link_to_nothing_outside_the_root_is_refused(mvtec_root: Path, tmp_path: Path) -> None:
    (mvtec_root / "bolt" / "9.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(DataError, match="is a link that leaves"):
        Tree(mvtec_root).pictures(mvtec_root / "bolt")


def test_a_closed_folder_inside_a_picture_folder_is_named(
    mvtec_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = mvtec_root / "bolt" / "train" / "good" / "closed"
    closed.mkdir()
    scan = os.scandir

    def refuse(folder: str | Path) -> object:
        if str(folder) == str(closed):
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"good/closed' cannot be listed \(Permission denied\)"):
        open_dataset(mvtec_root)


# A class of one picture is poor but legal: it lists, is checked, and has a digest.
def test_a_class_of_one_picture_is_a_data_set(tmp_path: Path, paint: Paint) -> None:
    paint(tmp_path / "bolt" / "train" / "good" / "only.png")
    dataset = open_dataset(tmp_path)
    assert [sample.path.name for sample in dataset.train_normal] == ["only.png"]
    assert (dataset.test, dataset.notes) == ((), ())
    report = check_dataset(dataset)
    assert not report.has_errors
    assert (report.findings, report.separations) == ((), ())
    assert report.classes[0].train_normal == 1
    assert "0 errors, 0 warnings" in report.render()
    assert len(data_digest(dataset.train_normal, file_digests(dataset.train_normal))) == 64


# One test picture beside it makes comparisons of one with one, and still no number is undefined.
def test_a_class_of_one_picture_a_part_is_compared_without_a_warning_of_numpy(
    tmp_path: Path, paint: Paint
) -> None:
    for place in ("train/good", "test/good", "test/dent"):
        paint(tmp_path / "bolt" / place / "only.png")
    report = check_dataset(open_dataset(tmp_path))
    areas = [area for one in report.separations for area in one.auroc.values()]
    assert len(report.separations) == 2
    assert all(one.counts == (1, 1) for one in report.separations)
    assert set(areas) <= {0.5, 1.0}


# Listing reads names and never stats or opens a file; a quadratic step would take minutes here.
def test_many_files_are_listed_in_seconds(tmp_path: Path) -> None:
    good = tmp_path / "bolt" / "train" / "good"
    good.mkdir(parents=True)
    for index in range(MANY):
        os.close(os.open(good / f"{index:06}.png", os.O_CREAT | os.O_WRONLY))
    start = time.process_time()
    dataset = open_dataset(tmp_path)
    assert time.process_time() - start < 5
    assert len(dataset.samples) == MANY
    assert dataset.samples[-1].path.name == f"{MANY - 1:06}.png"


class Entry:
    """What os.scandir gives for a plain file that nobody made."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.path = name, str(folder / name)

    def is_dir(self) -> bool:
        return False

    def is_symlink(self) -> bool:
        return False


class Scan(list[Entry]):
    """A listing as os.scandir returns it: an iterator that is closed after use."""

    def __enter__(self) -> "Scan":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()


def test_a_hundred_thousand_names_in_any_order_are_sorted_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = np.random.default_rng(0).permutation(100_000)
    names = [f"{index:06}.{'png' if index % 2 else 'txt'}" for index in order]
    monkeypatch.setattr(os, "scandir", lambda folder: Scan(Entry(folder, n) for n in names))
    start = time.process_time()
    tree = Tree(tmp_path)
    pictures = tree.pictures(tmp_path)
    assert time.process_time() - start < 10
    assert [path.name for path in pictures] == sorted(n for n in names if n.endswith("png"))
    (note,) = tree.dataset("flat", normal_samples(pictures, "bolt", "train")).notes
    assert note.startswith("50000 files that are not pictures are ignored: ")
    assert len(note) < 1000


# Production folders are mounted read-only: nothing is written beside the pictures, ever.
def test_a_read_only_data_folder_is_enough_and_stays_as_it_was(mvtec_root: Path) -> None:
    folders = [mvtec_root, *(path for path in mvtec_root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        before = snapshot(mvtec_root)
        dataset = open_dataset(mvtec_root)
        check_dataset(dataset)
        data_digest(dataset.train_normal, file_digests(dataset.train_normal))
        assert snapshot(mvtec_root) == before
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_long_list_of_names_is_shortened() -> None:
    assert shorten(["a", "b"]) == "'a', 'b'"
    assert shorten(list("abcdefg")) == "'a', 'b', 'c', 'd', 'e' and 2 more"
