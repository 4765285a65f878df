"""Rows of a table in CSV or JSONL, each with the place that an error message names."""

import csv
import json
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from snlad.errors import DataError

Row = tuple[str, dict[str, str]]


def csv_rows(
    path: Path, required: Collection[str], optional: Collection[str] = ()
) -> Iterator[Row]:
    """Yield each row of a UTF-8 CSV file with a header; optional columns default to "".

    Raises:
        DataError: The file cannot be read, or a column or a row is not as stated.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(reader.fieldnames or (), required, optional, _where(path, 1))
            for row in reader:
                where = _where(path, reader.line_num)
                if None in row or None in row.values():
                    raise DataError(f"{where} has not as many fields as the header; repair it")
                yield where, dict.fromkeys(optional, "") | row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def json_rows(
    path: Path, required: Collection[str], optional: Collection[str] = ()
) -> Iterator[Row]:
    """Yield each line of a UTF-8 JSONL file, an object of texts; null and left out are "".

    Raises:
        DataError: The file cannot be read, or a line or a key is not as stated.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    where = _where(path, number)
                    row = _json_object(line, where)
                    _check_columns(list(row), required, optional, where)
                    yield where, dict.fromkeys(optional, "") | row
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _where(path: Path, line: int) -> str:
    return f"{str(path)!r} line {line}"


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{str(path)!r} cannot be read as a UTF-8 table ({error}); repair the file")


def _json_object(line: str, where: str) -> dict[str, str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON ({error}); repair it") from error
    if not isinstance(row, dict):
        raise DataError(f'{where} is not a JSON object; write {{"path": ..., ...}}')
    return {key: _text(key, value, where) for key, value in row.items()}


def _text(key: str, value: Any, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise DataError(f"{where}: {key!r} is {value!r}, not a text; quote it")
    return str(int(value)) if isinstance(value, bool) else str(value)


def _check_columns(
    names: Collection[str], required: Collection[str], optional: Collection[str], where: str
) -> None:
    known = (*sorted(required), *sorted(optional))
    if missing := sorted(set(required) - set(names)):
        raise DataError(f"{where} lacks {', '.join(map(repr, missing))}; add it")
    if unknown := sorted(set(names) - set(known)):
        raise DataError(
            f"{where} has the unknown {', '.join(map(repr, unknown))}; known: {', '.join(known)}"
        )
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{where} has {twice[0]!r} twice; keep one")
