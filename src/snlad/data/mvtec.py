"""MVTec AD layout, and with it VisA's one-class layout.

<class>/train/good/*
<class>/test/good/*              <class>/test/<defect>/*
<class>/ground_truth/<defect>/<stem>_mask.png   (or <stem>.png)
"""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from snlad.data.listing import Tree, shorten
from snlad.data.loading import TRUTH
from snlad.data.samples import Dataset, Sample, Split

GOOD = "good"


def is_class_folder(folder: Path) -> bool:
    """Tell whether a folder is one class in this layout."""
    return (folder / "train" / GOOD).is_dir()


def open_mvtec(root: Path) -> Dataset:
    """List a root of class folders; a folder without ``train/good`` is skipped with a note.

    An empty ``train/good`` and masks that do not pair are faults.

    Raises:
        DataError: No class, or no picture.
    """
    tree = Tree(root)
    samples: list[Sample] = []
    for folder in tree.folders(root):
        if is_class_folder(folder):
            samples += _class_samples(tree, folder, folder.name)
        else:
            tree.notes.append(f"the folder {folder.name!r} is skipped: it has no train/good")
    return tree.dataset("mvtec", samples)


def open_mvtec_class(folder: Path) -> Dataset:
    """List one class folder as a data set of one class; faults as above.

    Raises:
        DataError: No picture.
    """
    tree = Tree(folder)
    return tree.dataset("mvtec", _class_samples(tree, folder, folder.resolve().name))


def normal_samples(pictures: Sequence[Path], class_name: str, split: Split) -> list[Sample]:
    """Make the samples of normal pictures."""
    return [
        Sample(path=path, class_name=class_name, split=split, is_anomalous=False)
        for path in pictures
    ]


def defect_samples(tree: Tree, folder: Path, truth: Path, class_name: str) -> list[Sample]:
    """Make the test samples of one defect folder, masked if ``truth`` has a folder of its name.

    A picture without a mask although the folder of masks is there is a fault.
    """
    pictures = tree.leaf(folder)
    if not pictures:
        tree.notes.append(f"the folder {str(folder)!r} holds no picture")
    masks = truth / folder.name
    paired = _pair(tree, pictures, masks) if masks.is_dir() else {}
    return [
        Sample(
            path=path,
            class_name=class_name,
            split="test",
            is_anomalous=True,
            defect_type=folder.name,
            mask=paired.get(path),
        )
        for path in pictures
    ]


def note_spare_masks(tree: Tree, truth: Path, defects: Sequence[str]) -> None:
    """Note every folder of masks that belongs to no defect folder, ``good`` included."""
    for folder in tree.folders(truth):
        if folder.name not in defects:
            tree.notes.append(f"the masks in {str(folder)!r} belong to no defect folder: ignored")


def _class_samples(tree: Tree, folder: Path, class_name: str) -> list[Sample]:
    train = tree.leaf(folder / "train" / GOOD)
    if not train:
        tree.note_empty(folder / "train" / GOOD)
    _note_strays(tree, folder)
    samples = normal_samples(train, class_name, "train")
    defects = [defect for defect in tree.folders(folder / "test") if defect.name != GOOD]
    for defect in defects:
        samples += defect_samples(tree, defect, folder / TRUTH, class_name)
    samples += normal_samples(tree.leaf(folder / "test" / GOOD), class_name, "test")
    note_spare_masks(tree, folder / TRUTH, [defect.name for defect in defects])
    return samples


def _note_strays(tree: Tree, folder: Path) -> None:
    for part in ("train", "test"):
        if strays := tree.pictures(folder / part):
            tree.notes.append(f"{len(strays)} pictures directly in {str(folder / part)!r}: ignored")
    for other in tree.folders(folder / "train"):
        if other.name != GOOD:
            tree.notes.append(f"the folder {str(other)!r} is ignored: training reads train/good")


def _pair(tree: Tree, pictures: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Pair masks with pictures by stem, never by order."""
    masks = _by_stem(tree, tree.pictures(folder))
    paired: dict[Path, Path] = {}
    used: set[Path] = set()
    for stem, picture in _by_stem(tree, pictures).items():
        found = [masks[key] for key in (f"{stem}_mask", stem) if key in masks]
        used.update(found)
        if not found:
            tree.faults.append(
                f"{str(picture)!r} has no mask: neither {stem + '_mask.png'!r} nor "
                f"{stem + '.png'!r} is in {str(folder)!r}; add it, or move the picture to a "
                "defect folder without masks"
            )
        elif len(found) > 1:
            tree.faults.append(f"{str(picture)!r} has two masks, {shorten_paths(found)}; keep one")
        else:
            paired[picture] = found[0]
    if spare := sorted(set(masks.values()) - used):
        tree.notes.append(f"{len(spare)} masks without a picture: {shorten_paths(spare)}")
    return paired


def _by_stem(tree: Tree, paths: Sequence[Path]) -> dict[str, Path]:
    stems: dict[str, Path] = {}
    for path in paths:
        first = stems.setdefault(unicodedata.normalize("NFC", path.stem), path)
        if first != path:
            tree.faults.append(
                f"{str(first)!r} and {str(path)!r} have the same stem, so a mask fits both; "
                "rename one"
            )
    return stems


def shorten_paths(paths: Sequence[Path]) -> str:
    """Show the first few paths and how many more there are."""
    return shorten([str(path) for path in paths])
