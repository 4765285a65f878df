"""Text files that keep what a killed job has written, and errors that name their file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FlushedFile:
    """A new UTF-8 text file that is handed to the system at every write.

    What UTF-8 cannot hold, a lone surrogate in a file name for example, is written as an escape.

    Args:
        path: must not exist.

    Raises:
        OSError: the file exists or cannot be written; it is named.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("x", encoding="utf-8", errors="backslashreplace", newline="")

    def write(self, text: str) -> None:
        """Append text as it is."""
        with named_errors(self.path):
            self._file.write(text)
            self._file.flush()

    def close(self) -> None:
        """End the file."""
        with named_errors(self.path):
            self._file.close()


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Name the file in an error of the system that names none, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
