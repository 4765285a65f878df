"""Anomaly maps and image scores of any method, on disk beside nothing of ours.

DIR/CLASS/test/DEFECT/NAME.tiff   a map a test picture, named as the picture is: TIFF or NPY
DIR/scores.csv                    path,score: image scores by the picture's path in the data set
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from snlad.data.rows import csv_rows
from snlad.data.samples import Sample
from snlad.errors import DataError

SUFFIXES = (".tiff", ".tif", ".npy")


@dataclass(frozen=True)
class GivenMaps:
    """What a folder of maps says of the pictures of one data set.

    Args:
        folder: of maps, and perhaps ``scores.csv``.
        root: of the data set; a map has the path that its picture has there.

    Raises:
        DataError: the folder is not there, or ``scores.csv`` is not as stated.
    """

    folder: Path
    root: Path
    _scores: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise DataError(f"{str(self.folder)!r} is no folder of maps; check --maps")
        table = self.folder / "scores.csv"
        if table.exists():
            for where, row in csv_rows(table, ("path", "score")):
                path = Path(row["path"]).as_posix()
                if path in self._scores:
                    raise DataError(f"{where} scores {path!r} again; keep one row")
                self._scores[path] = _number(row["score"], where)

    def score(self, sample: Sample) -> float | None:
        """The picture's image score; ``None`` where there is no ``scores.csv``.

        Raises:
            DataError: there is one, without this picture.
        """
        if not self._scores:
            return None
        path = self._path(sample).as_posix()
        if path not in self._scores:
            raise DataError(f"{str(self.folder / 'scores.csv')!r} has no row for {path!r}; add it")
        return self._scores[path]

    @property
    def has_scores(self) -> bool:
        """Whether image scores are given as well."""
        return bool(self._scores)

    def expected(self, sample: Sample) -> str:
        """The file in which the picture's map should be."""
        stem = self.folder / self._path(sample)
        return f"{str(stem.with_suffix(SUFFIXES[0]))!r} or {SUFFIXES[-1]}"

    def find(self, sample: Sample) -> Path | None:
        """The picture's map, where there is one."""
        stem = self.folder / self._path(sample)
        found = (stem.with_suffix(suffix) for suffix in SUFFIXES)
        return next((path for path in found if path.exists()), None)

    def _path(self, sample: Sample) -> Path:
        try:
            return sample.path.relative_to(self.root)
        except ValueError:
            raise DataError(
                f"{str(sample.path)!r} lies outside {str(self.root)!r}, so its map has no name; "
                "move the pictures under the data set's folder"
            ) from None


def read_map(path: Path, size: tuple[int, int]) -> NDArray[np.float32]:
    """Read one map and stretch it bilinearly to (H, W), in its own units.

    Raises:
        DataError: the file is no map of numbers (H0, W0).
    """
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            with Image.open(path) as picture:
                values = np.asarray(picture)
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{str(path)!r} cannot be read as a map ({error}); write it anew"
        ) from error
    while values.ndim > 2 and 1 in (values.shape[0], values.shape[-1]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DataError(
            f"{str(path)!r} holds {values.dtype} {values.shape}; a map is numbers of (H, W)"
        )
    anomaly_map: NDArray[np.float32] = values.astype(np.float32)
    if anomaly_map.shape == size:
        return anomaly_map
    resized = Image.fromarray(anomaly_map).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{where}: the score {text!r} is no number; write it as 0.5") from None
