"""VisA as it is published: pictures under ``<class>/Data`` and the split in ``split_csv/1cls.csv``.

Each row names ``object, split, label, image, mask`` with paths from the root. (The one-class
layout that VisA's own script writes is MVTec's: see ``mvtec.py``.)
"""

from pathlib import Path

from snlad.data.listing import Tree
from snlad.data.rows import csv_rows
from snlad.data.samples import Dataset, Sample, Split
from snlad.errors import DataError

SPLIT_FILE = Path("split_csv", "1cls.csv")

_COLUMNS = frozenset(["object", "split", "label", "image", "mask"])
_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}
_LABELS = {"normal": False, "anomaly": True}


def open_visa(root: Path) -> Dataset:
    """List VisA's raw tree by its one-class split file.

    Raises:
        DataError: A row with an unknown column, split or label, or a file that is not there.
    """
    tree = Tree(root)
    rows = csv_rows(root / SPLIT_FILE, required=_COLUMNS)
    return tree.dataset("visa", [_sample(tree, row, where) for where, row in rows])


def _sample(tree: Tree, row: dict[str, str], where: str) -> Sample:
    if row["split"] not in _SPLITS or row["label"] not in _LABELS:
        raise DataError(
            f"{where}: split {row['split']!r}, label {row['label']!r}; "
            "the split must be train or test and the label normal or anomaly"
        )
    is_anomalous = _LABELS[row["label"]]
    return Sample(
        path=tree.file(row["image"], where),
        class_name=row["object"],
        split=_SPLITS[row["split"]],
        is_anomalous=is_anomalous,
        defect_type=row["label"] if is_anomalous else "good",
        mask=tree.file(row["mask"], where) if is_anomalous and row["mask"] else None,
    )
