"""Rows of a study: JSON lines, one a finished run, that outlive any crash and several writers."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from snlad.errors import ArtifactError

if sys.platform != "win32":
    import fcntl

Row = Mapping[str, Any]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows; a last line that a crash cut off is left out.

    Raises:
        ArtifactError: another line is no row.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [_parse(path, number, line) for number, line in enumerate(lines, start=1) if line]


def append_row(path: Path, row: Row) -> None:
    """Add one row, on disk when this returns; a last line that a crash cut off is removed.

    Several processes may append to one file. The folder is made when missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(row, allow_nan=False).encode() + b"\n"
    with path.open("a+b", buffering=0) as file, _locked(file):
        kept = _end_of_last_line(file)
        if kept < file.seek(0, os.SEEK_END):
            file.truncate(kept)
        file.write(line)
        os.fsync(file.fileno())


def finished(rows: Iterable[Row]) -> dict[str, Row]:
    """The first row of each run that ended well, by key."""
    found: dict[str, Row] = {}
    for row in rows:
        if "error" not in row:
            found.setdefault(row["key"], row)
    return found


def failed(rows: Iterable[Row]) -> dict[str, Row]:
    """The last row of each run that never ended well, by key."""
    rows = list(rows)
    done = finished(rows)
    return {row["key"]: row for row in rows if row["key"] not in done}


@contextmanager
def claim(file: Path) -> Iterator[bool]:
    """Hold a file's lock for the time of the block, and tell whether no other process holds it.

    The lock ends with the process, however that ends. On Windows nothing is locked.
    """
    with _open_lock(file) as held:
        try:
            if sys.platform != "win32":
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def wait_for(file: Path) -> Iterator[None]:
    """Hold a file's lock for the time of the block, after whoever holds it now."""
    with _open_lock(file) as held, _locked(held):
        yield


def _open_lock(file: Path) -> BinaryIO:
    """Open a file in a folder that another process removes whenever it finds it empty."""
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return file.open("ab")


@contextmanager
def _locked(file: BinaryIO | Any) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _end_of_last_line(file: Any) -> int:
    """Position after the last line break; 0 where there is none."""
    file.seek(0)
    return int(file.read().rfind(b"\n")) + 1


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
        row["key"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ArtifactError(
            f"{path}, line {number}, is no row of a study; restore the file or remove the line"
        ) from None
    return row
