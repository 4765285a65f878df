"""One door to every layout."""

from pathlib import Path

from snlad.data.folder import open_folder
from snlad.data.mvtec import is_class_folder, open_mvtec, open_mvtec_class
from snlad.data.samples import Dataset
from snlad.errors import DataError


def open_dataset(path: Path | str) -> Dataset:
    """List a data set, its layout found by its shape; no picture is opened.

    Args:
        path: A manifest (.csv, .jsonl), an ADer meta file (.json) or a folder.

    Raises:
        DataError: Nothing there, no known layout, or a layout's own rule is broken.
    """
    path = Path(path)
    if path.is_dir():
        return _open_root(path)
    raise DataError(f"{str(path)!r} does not exist; give a folder, a manifest or an ADer meta.json")


def _open_root(root: Path) -> Dataset:
    if is_class_folder(root):
        return open_mvtec_class(root)
    if any(is_class_folder(folder) for folder in root.iterdir()):
        return open_mvtec(root)
    return open_folder(root)
