"""Listing of folders: names only; no file is opened, hidden ones are passed over."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from snlad.data.images import IMAGE_SUFFIXES
from snlad.data.loading import find_images
from snlad.data.samples import Dataset, Sample
from snlad.errors import DataError

_SHOWN = 5


class Tree:
    """One root folder, what was found in it, and the notes and faults to hand on.

    Every listing is sorted by name. A symbolic link that leaves the root is refused, because a
    data set that someone else packed must not make us read other files.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes: list[str] = []
        self.faults: list[str] = []
        self._real_root = root.resolve()
        self._foreign: set[str] = set()

    def folders(self, folder: Path) -> list[Path]:
        """List the visible folders directly in a folder; none if it does not exist.

        Raises:
            DataError: The folder cannot be listed, or a link leaves the root.
        """
        return [folder / entry.name for entry in self._entries(folder) if entry.is_dir()]

    def pictures(self, folder: Path) -> list[Path]:
        """List the pictures, by suffix, directly in a folder; other files are counted.

        Raises:
            DataError: The folder cannot be listed, or a link leaves the root.
        """
        pictures = []
        for file in (folder / entry.name for entry in self._entries(folder) if not entry.is_dir()):
            if file.suffix.lower() in IMAGE_SUFFIXES:
                pictures.append(file)
            else:
                self._foreign.add(str(file))
        return pictures

    def leaf(self, folder: Path) -> list[Path]:
        """List the pictures directly in a folder; a note counts those in folders inside it.

        Raises:
            DataError: A folder cannot be listed, or a link leaves the root.
        """
        if inner := sum(1 for _ in find_images(self.folders(folder))):
            self.notes.append(
                f"{inner} pictures in folders inside {str(folder)!r} are ignored: move them up"
            )
        return self.pictures(folder)

    def file(self, relative: str, where: str) -> Path:
        """Return the path of a file that a table names from the root.

        Raises:
            DataError: It is not there, or leaves the root; the message starts with ``where``.
        """
        path = self.root / relative
        if "\0" in relative or not path.is_file():
            raise DataError(f"{where}: {relative!r} is no file in {str(self.root)!r}; correct it")
        if not path.resolve().is_relative_to(self._real_root):
            raise DataError(f"{where}: {relative!r} leaves {str(self.root)!r}; copy the file in")
        return path

    def note_empty(self, folder: Path) -> None:
        """Add the fault that a folder of good pictures has none."""
        self.faults.append(f"{str(folder)!r} holds no picture; add some or remove the class")

    def dataset(self, layout: str, samples: Sequence[Sample]) -> Dataset:
        """Close the listing: the samples with all notes and faults.

        Raises:
            DataError: There is no picture; where a fault explains it, that fault.
        """
        if self.faults and not samples:
            raise DataError(self.faults[0])
        notes = [*self.notes, *unmasked_note(samples)]
        if self._foreign:
            notes.append(
                f"{len(self._foreign)} files that are not pictures are ignored: "
                f"{shorten(sorted(self._foreign))}"
            )
        return Dataset(self.root, layout, tuple(samples), tuple(notes), tuple(self.faults))

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        if not folder.is_dir():
            return []
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(
                f"{str(folder)!r} cannot be listed ({error.strerror}); check its permissions"
            ) from error
        visible = [entry for entry in entries if not entry.name.startswith(".")]
        for entry in visible:
            if entry.is_symlink():
                self._check_link(entry.path)
        return visible

    def _check_link(self, path: str) -> None:
        if not Path(os.path.realpath(path)).is_relative_to(self._real_root):
            raise DataError(f"{path!r} is a link that leaves {str(self.root)!r}; copy the file in")
        try:
            Path(path).stat()
        except FileNotFoundError:
            pass  # a picture that is gone is named when it is read
        except OSError as error:
            raise DataError(
                f"{path!r} is a link that leads nowhere ({error.strerror}); remove it"
            ) from error


def unmasked_note(samples: Sequence[Sample]) -> list[str]:
    """Count the test defects without a mask, in at most one note."""
    counts = Counter(
        f"{s.class_name}/{s.defect_type}"
        for s in samples
        if s.split == "test" and s.is_anomalous and s.mask is None
    )
    if not counts:
        return []
    where = shorten(sorted(counts))
    return [f"{counts.total()} defect pictures without mask, image-level metrics only: {where}"]


def shorten(names: Sequence[str]) -> str:
    """Show the first few names and how many more there are."""
    more = len(names) - _SHOWN
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
