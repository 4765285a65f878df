"""Plain folders, and one flat folder of mixed pictures.

    <class>/*                         all normal, for training
    <class>/good/*  <class>/<defect>/*   normal for training, each other folder test defects
    good/*  <defect>/*                the same, the opened folder being the one class
    *                                 one flat folder: all normal, the class has the folder's name

With ``good`` there may be ``ground_truth/<defect>/<stem>_mask.png`` beside it.
"""

from pathlib import Path

from snlad.data.listing import Tree
from snlad.data.loading import TRUTH
from snlad.data.mvtec import GOOD, defect_samples, normal_samples, note_spare_masks
from snlad.data.samples import Dataset, Sample
from snlad.errors import DataError


def open_folder(root: Path) -> Dataset:
    """List plain folders, or one flat folder.

    Raises:
        DataError: No picture, or pictures both beside and inside folders.
    """
    tree = Tree(root)
    name = root.resolve().name
    if (root / GOOD).is_dir():
        return tree.dataset("folder", _class_samples(tree, root, name))
    samples = [s for f in tree.folders(root) for s in _class_samples(tree, f, f.name)]
    flat = tree.pictures(root)
    if flat and samples:
        raise DataError(
            f"{str(root)!r} holds pictures beside folders of pictures, so their class is unclear; "
            "move them into a folder"
        )
    if flat:
        return tree.dataset("flat", normal_samples(flat, name, "train"))
    return tree.dataset("folder", samples)


def _class_samples(tree: Tree, folder: Path, class_name: str) -> list[Sample]:
    loose = tree.pictures(folder)
    if (folder / GOOD).is_dir():
        if loose:
            raise DataError(
                f"{str(folder)!r} holds pictures beside its folder 'good', so their label is "
                "unclear; move them into a folder"
            )
        return _labelled_samples(tree, folder, class_name)
    if not loose:
        tree.notes.append(f"the folder {folder.name!r} is skipped: it holds no picture")
    for inner in tree.folders(folder):
        tree.notes.append(f"the folder {str(inner)!r} is ignored: {folder.name!r} has no 'good'")
    return normal_samples(loose, class_name, "train")


def _labelled_samples(tree: Tree, folder: Path, class_name: str) -> list[Sample]:
    good = tree.leaf(folder / GOOD)
    if not good:
        tree.note_empty(folder / GOOD)
    defects = [f for f in tree.folders(folder) if f.name not in (GOOD, TRUTH)]
    samples = normal_samples(good, class_name, "train")
    for defect in defects:
        samples += defect_samples(tree, defect, folder / TRUTH, class_name)
    note_spare_masks(tree, folder / TRUTH, [defect.name for defect in defects])
    return samples
