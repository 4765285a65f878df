"""Predictions as CSV: for spreadsheets, in which no cell may become a formula."""

import csv
from pathlib import Path

from snlad.report.cells import csv_cell
from snlad.report.flushed import FlushedFile
from snlad.types import Prediction

COLUMNS = (
    "path",
    "class_name",
    "verdict",
    "reason",
    "pred_score",
    "pred_label",
    "threshold",
    "p_value",
    "is_unknown",
    "region_count",
    "error",
    "sha256",
    "model",
    "time",
)


class TableFile:
    """One line a picture under a header, flushed: a killed job keeps its lines.

    UTF-8 and RFC 4180: commas, CRLF, text in double quotes, numbers bare, ``true`` and ``false``;
    what is ``None`` is empty. ``region_count`` stands for the regions, which only JSON can hold.

    Args:
        path: must not exist.
    """

    def __init__(self, path: Path) -> None:
        self._file = FlushedFile(path)
        self._lines = csv.writer(self._file, quoting=csv.QUOTE_NONNUMERIC)
        self._lines.writerow(COLUMNS)

    def add(self, _number: int, prediction: Prediction) -> None:
        """Append one line."""
        regions = prediction.regions
        row = {**prediction.row(), "region_count": None if regions is None else len(regions)}
        self._lines.writerow([csv_cell(row[column]) for column in COLUMNS])

    def close(self) -> None:
        """End the file."""
        self._file.close()
