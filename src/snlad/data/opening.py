"""One door to every layout."""

from pathlib import Path

from snlad.data.ader import open_ader
from snlad.data.folder import open_folder
from snlad.data.listing import Tree
from snlad.data.manifest import MANIFEST_SUFFIXES, open_manifest
from snlad.data.mvtec import is_class_folder, open_mvtec, open_mvtec_class
from snlad.data.samples import Dataset
from snlad.data.visa import SPLIT_FILE, open_visa
from snlad.errors import DataError


def open_dataset(path: Path | str) -> Dataset:
    """List a data set, its layout found by its shape; no picture is opened.

    Args:
        path: A manifest (.csv, .jsonl), an ADer meta file (.json) or a folder.

    Raises:
        DataError: Nothing there, no known layout, or a layout's own rule is broken.
    """
    dataset = survey_dataset(path)
    if dataset.faults:
        first, *others = dataset.faults
        rest = f" (and {len(others)} faults more: snlad data check lists them)" if others else ""
        raise DataError(first + rest)
    return dataset


def survey_dataset(path: Path | str) -> Dataset:
    """List a data set with its faults, where they leave something to list.

    Raises:
        DataError: Nothing there, no known layout, or what is there cannot be listed.
    """
    path = Path(path)
    if path.is_dir():
        return _open_root(path)
    if not path.is_file():
        raise DataError(f"{str(path)!r} does not exist; give a folder, a manifest or a meta.json")
    if path.suffix.lower() in MANIFEST_SUFFIXES:
        return open_manifest(path)
    if path.suffix.lower() == ".json":
        return open_ader(path)
    raise DataError(
        f"{str(path)!r} is no data set; give a folder, a manifest (.csv, .jsonl) or a meta.json"
    )


def _open_root(root: Path) -> Dataset:
    if (root / SPLIT_FILE).is_file():
        return open_visa(root)
    if is_class_folder(root):
        return open_mvtec_class(root)
    if any(is_class_folder(folder) for folder in Tree(root).folders(root)):
        return open_mvtec(root)
    return open_folder(root)
