"""What a data set is: a list of named pictures; nothing here opens a file."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from snlad.errors import DataError

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One picture and what the data set says about it.

    The label comes from the folder or the manifest, never from the mask.
    """

    path: Path
    class_name: str
    split: Split
    is_anomalous: bool
    defect_type: str = "good"
    mask: Path | None = None
    group: str | None = None
    part_id: str | None = None
    view: str | None = None
    time: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A listed data set in a deterministic order.

    Attributes:
        root: The folder (or the manifest's folder) that was opened.
        layout: "mvtec", "visa", "folder", "flat", "manifest" or "ader".
        samples: All pictures, train and test.
        notes: One sentence for each thing that was skipped, ignored or is worth knowing.
        faults: One sentence for each thing that breaks a rule of the layout; only the data check
            works on a data set that has some.

    Raises:
        DataError: No picture at all, or class names that a file system may confuse or follow, that
            no file can hold as UTF-8, or that would break a line of a table.
    """

    root: Path
    layout: str
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.samples:
            raise DataError(f"{str(self.root)!r} holds no picture; see docs/datasets.md")
        _refuse_names(self.class_names, str(self.root))

    @property
    def train_normal(self) -> tuple[Sample, ...]:
        """The normal pictures of the train split: all that training may open."""
        return tuple(s for s in self.samples if s.split == "train" and not s.is_anomalous)

    @property
    def test(self) -> tuple[Sample, ...]:
        """The pictures of the test split."""
        return tuple(s for s in self.samples if s.split == "test")

    @property
    def class_names(self) -> tuple[str, ...]:
        """All class names, sorted."""
        return tuple(sorted({s.class_name for s in self.samples}))


def _refuse_names(names: Iterable[str], where: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if reason := _fault(name):
            raise DataError(f"{where!r} has the class {name!r}, which {reason}; rename it")
        first = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if first != name:
            raise DataError(
                f"{where!r} has two classes equal but for case or Unicode form, "
                f"{first!r} and {name!r}; rename one"
            )


def _fault(name: str) -> str | None:
    """Say why a class cannot have this name."""
    kinds = {unicodedata.category(character) for character in name}
    if name in (".", "..") or set(name) & set("/\\\0"):
        return "reads as a path"
    if "Cs" in kinds:
        return "is not valid UTF-8"
    if kinds & {"Cc", "Zl", "Zp"}:
        return "holds control characters"
    return None
