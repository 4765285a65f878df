"""Predictions as CSV: for spreadsheets, in which no cell may become a formula."""

import csv
import re
import unicodedata
from pathlib import Path
from typing import Any

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
    "is_unknown",
    "region_count",
    "error",
    "sha256",
    "model",
    "time",
)

_FORMULA = "=+-@"
_STARTS = re.compile(r"([;\t\r\n])")
"""Where a cell may start inside a text, should a reader take another delimiter than the comma."""


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
        self._lines.writerow([_cell(row[column]) for column in COLUMNS])

    def close(self) -> None:
        """End the file."""
        self._file.close()


def guard(text: str) -> str:
    """Put a single quote before a text that a spreadsheet would run as a formula.

    That is one that starts with ``= + - @``, tab, CR or LF, also in a full-width form and after
    spaces, quotes or characters that nobody sees, and so after each delimiter inside the text.

    Source: OWASP, CSV Injection.
    """
    first, *rest = _STARTS.split(text)
    if _starts_with(text, _FORMULA + "\t\r\n"):
        first = f"'{first}"
    return first + "".join(f"'{part}" if _starts_with(part, _FORMULA) else part for part in rest)


def _starts_with(text: str, marks: str) -> bool:
    """Whether one of the marks is the first character that a spreadsheet may heed."""
    for character in text:
        form = unicodedata.normalize("NFKC", character)[0]
        if form in marks:
            return True
        is_passed_over = form in "\"'`" or unicodedata.category(form)[0] in "ZC"
        if not is_passed_over and unicodedata.category(form) not in ("Pi", "Pf"):
            return False
    return False


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return guard(value)
        case _:
            return value
