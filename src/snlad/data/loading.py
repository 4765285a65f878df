"""Pictures from files or arrays to network inputs, a few at a time, in constant memory."""

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snlad.data.images import IMAGE_SUFFIXES, read_file, read_image, resize_image
from snlad.data.samples import Sample
from snlad.errors import DataError, ImageError

Source = Path | str | NDArray[np.uint8]
"""A picture: a file, or an array uint8 (H0, W0, 3) in RGB."""

_WORKERS = 2
_BATCHES_AHEAD = 2


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture ready for the network, or the reason why it is not.

    Attributes:
        path: as given; ``None`` for an array.
        sha256: of the file's bytes.
        original: uint8 (H0, W0, 3), RGB.
        fitted: uint8 (H, W, 3), stretched to the network's input size.
        error: one sentence; then ``original`` and ``fitted`` are ``None``.
    """

    path: str | None
    sha256: str | None = None
    original: NDArray[np.uint8] | None = None
    fitted: NDArray[np.uint8] | None = None
    error: str | None = None


def load_picture(source: Source, size: tuple[int, int]) -> Picture:
    """Read and fit one picture; a bad one becomes a ``Picture`` with an error."""
    if isinstance(source, np.ndarray):
        return _from_array(source, size)
    path, sha256 = str(source), None
    try:
        data, sha256 = read_file(Path(source))
        original = read_image(data, name=path)
    except ImageError as error:
        return Picture(path=path, sha256=sha256, error=str(error))
    return Picture(path=path, sha256=sha256, original=original, fitted=resize_image(original, size))


def load_batches(
    sources: Iterable[Source], size: tuple[int, int], batch_size: int
) -> Iterator[list[Picture]]:
    """Batches of pictures in order, decoded in threads at most two batches ahead."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        ahead: deque[list[Future[Picture]]] = deque()
        rest = iter(sources)
        while batch := list(islice(rest, batch_size)):
            ahead.append([pool.submit(load_picture, source, size) for source in batch])
            if len(ahead) > _BATCHES_AHEAD:
                yield [future.result() for future in ahead.popleft()]
        while ahead:
            yield [future.result() for future in ahead.popleft()]


def load_inputs(paths: Sequence[Path], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Fitted pictures (N, H, W, 3), all of them good.

    Raises:
        ImageError: one picture cannot be read; the message names it.
    """
    with ThreadPoolExecutor(_WORKERS) as pool:
        return np.stack(list(pool.map(lambda path: _load_fitted(path, size), paths)))


def find_images(paths: Iterable[Path]) -> Iterator[Path]:
    """Picture files of files and folders, folders walked in name order, links not followed.

    Raises:
        DataError: a path does not exist.
    """
    for path in paths:
        if not path.is_dir():
            if not os.path.lexists(path):
                raise DataError(f"{path} does not exist; give pictures or folders of pictures")
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (
                Path(folder, name)
                for name in sorted(names)
                if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")
            )


def data_digest(samples: Sequence[Sample]) -> str:
    """SHA-256 over class, name and bytes of every sample's picture, in order."""
    total = hashlib.sha256()
    for sample in samples:
        _, sha256 = read_file(sample.path)
        total.update(
            f"{sample.class_name}\0{sample.path.name}\0{sha256}\0".encode(errors="replace")
        )
    return total.hexdigest()


def _load_fitted(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    return resize_image(read_image(path), size)


def _from_array(image: NDArray[np.uint8], size: tuple[int, int]) -> Picture:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        found = f"{image.dtype} {image.shape}"
        return Picture(path=None, error=f"array is {found}; give uint8 (height, width, 3) in RGB")
    return Picture(path=None, original=image, fitted=resize_image(image, size))
