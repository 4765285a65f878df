"""A manifest: one row a picture, in CSV or JSONL.

Columns ``path, class_name, split, label`` and, if wanted, ``mask, group, part_id, view, time``.
A relative path starts at the manifest's folder. Pictures of one ``group`` belong together.
"""

from pathlib import Path

from snlad.data.listing import Tree
from snlad.data.rows import csv_rows, json_rows
from snlad.data.samples import Dataset, Sample, Split
from snlad.errors import DataError

MANIFEST_SUFFIXES = (".csv", ".jsonl")

_REQUIRED = ("path", "class_name", "split", "label")
_FREE = ("group", "part_id", "view", "time")
_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}
_NORMAL = ("normal", "good", "ok", "0")
_ANOMALOUS = ("anomalous", "anomaly", "bad", "defect", "ng", "1")


def open_manifest(path: Path) -> Dataset:
    """List what a manifest names, in its order.

    Raises:
        DataError: A column, split, label or file is not as stated; the message has the line.
    """
    read = csv_rows if path.suffix.lower() == ".csv" else json_rows
    tree = Tree(path.parent)
    samples: dict[Path, Sample] = {}
    spare_masks = 0
    for where, row in read(path, required=_REQUIRED, optional=("mask", *_FREE)):
        sample = _sample(path.parent, row, where)
        if sample.path in samples:
            raise DataError(f"{where}: {row['path']!r} is listed twice; keep one row")
        samples[sample.path] = sample
        spare_masks += bool(row["mask"] and not sample.is_anomalous)
    if spare_masks:
        tree.notes.append(f"{spare_masks} masks of normal pictures are ignored")
    return tree.dataset("manifest", list(samples.values()))


def _sample(folder: Path, row: dict[str, str], where: str) -> Sample:
    is_anomalous = _label(row["label"], where)
    if row["split"] not in _SPLITS:
        raise DataError(f"{where}: the split {row['split']!r} is unknown; write train or test")
    if not row["class_name"]:
        raise DataError(f"{where}: the class name is empty; write one")
    return Sample(
        path=_file(folder, row["path"], where),
        class_name=row["class_name"],
        split=_SPLITS[row["split"]],
        is_anomalous=is_anomalous,
        defect_type="defect" if is_anomalous else "good",
        mask=_file(folder, row["mask"], where) if row["mask"] and is_anomalous else None,
        **{name: row[name] or None for name in _FREE},
    )


def _label(text: str, where: str) -> bool:
    if text.lower() in _NORMAL:
        return False
    if text.lower() in _ANOMALOUS:
        return True
    raise DataError(
        f"{where}: the label {text!r} is unknown; write one of {', '.join(_NORMAL)} or one of "
        f"{', '.join(_ANOMALOUS)}"
    )


def _file(folder: Path, text: str, where: str) -> Path:
    path = folder / text
    if "\0" in text or not path.is_file():
        raise DataError(f"{where}: {text!r} is no file (from {str(folder)!r}); correct the path")
    return path
