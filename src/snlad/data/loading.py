"""Pictures from files or arrays to network inputs, a few at a time, in constant memory."""

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from snlad.data.images import IMAGE_SUFFIXES, decode, read_file, resize_image, to_rgb
from snlad.data.samples import Sample
from snlad.errors import DataError, ImageError

Source = Path | str | NDArray[np.uint8]
"""A picture: a file, or an array uint8 (H0, W0, 3) in RGB."""

TRUTH = "ground_truth"
"""The folder of each class's masks in MVTec AD's layout."""

_WORKERS = 2
_BATCHES_AHEAD = 2


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture ready for the network, or the reason why it is not.

    Attributes:
        path: as given; ``None`` for an array.
        sha256: of the file's bytes.
        original: uint8 (H0, W0, 3), RGB; ``None`` where it was not to be kept.
        size: (H0, W0) of it, kept or not.
        fitted: uint8 (H, W, 3), stretched to the network's input size.
        fault: what kind of error it is, ``unreadable`` or ``timeout``.
        error: one sentence; then ``original``, ``size`` and ``fitted`` are ``None``.
    """

    path: str | None
    sha256: str | None = None
    original: NDArray[np.uint8] | None = None
    size: tuple[int, int] | None = None
    fitted: NDArray[np.uint8] | None = None
    fault: Literal["unreadable", "timeout"] = "unreadable"
    error: str | None = None


def load_picture(source: Source, size: tuple[int, int], *, keep_original: bool = True) -> Picture:
    """Read and fit one picture; whatever goes wrong becomes a ``Picture`` with an error."""
    path = None if isinstance(source, np.ndarray) else str(source)
    sha256 = None
    try:
        if isinstance(source, np.ndarray):
            original = _checked(source)
        else:
            data, sha256 = read_file(Path(source))
            decoded = decode(data, str(source))
            del data  # a huge file is not kept while its pixels are copied, nor they in two forms
            original = to_rgb(decoded, str(source))
            del decoded
        fitted = resize_image(original, size)
    except ImageError as error:
        return Picture(path=path, sha256=sha256, error=str(error))
    except Exception as error:  # memory may run out at any line
        reason = " ".join(str(error).split()) or type(error).__name__
        message = f"{path or 'array'!r} cannot be loaded ({reason}); shrink or replace the picture"
        return Picture(path=path, sha256=sha256, error=message)
    kept, (height, width, _) = original if keep_original else None, original.shape
    return Picture(path=path, sha256=sha256, original=kept, size=(height, width), fitted=fitted)


def load_batches(
    sources: Iterable[Source],
    size: tuple[int, int],
    batch_size: int,
    *,
    keep_original: bool = True,
    for_tiles: bool = False,
    timeout_s: float | None = None,
) -> Iterator[list[Picture]]:
    """Batches of pictures in order, decoded in threads at most two batches ahead.

    A picture that is not there in time, on a network drive that hangs for example, becomes one
    with an error; its thread is left behind, and the next pictures wait for another.

    Args:
        sources: files or arrays, any number of them.
        size: network input (H, W).
        batch_size: pictures a batch; the last may have fewer.
        keep_original: False drops the decoded pictures and so the memory of large ones.
        for_tiles: keep them all the same, to be cut; they may be huge, so they come one a batch
            and none is read ahead.
        timeout_s: how long to wait for a picture whose turn has come; ``None`` for ever.
    """
    load = partial(load_picture, size=size, keep_original=keep_original or for_tiles)
    batch_size, most_ahead = (1, 0) if for_tiles else (batch_size, _BATCHES_AHEAD)
    pool = ThreadPoolExecutor(_WORKERS)
    ahead: deque[list[tuple[Source, Future[Picture]]]] = deque()
    rest = iter(sources)
    try:
        while batch := list(islice(rest, batch_size)):
            ahead.append([(source, pool.submit(load, source)) for source in batch])
            if len(ahead) > most_ahead:
                yield [_wait(*one, timeout_s) for one in ahead.popleft()]
        while ahead:
            yield [_wait(*one, timeout_s) for one in ahead.popleft()]
    finally:
        pool.shutdown(wait=timeout_s is None, cancel_futures=True)


def _wait(source: Source, future: Future[Picture], timeout_s: float | None) -> Picture:
    try:
        return future.result(timeout_s)
    except TimeoutError:
        path = None if isinstance(source, np.ndarray) else str(source)
        message = f"{path!r} was not read within {timeout_s:g} s; try again, or copy it here first"
        return Picture(path=path, fault="timeout", error=message)


def load_samples(
    samples: Sequence[Sample], size: tuple[int, int], batch_size: int, *, for_tiles: bool = False
) -> Iterator[tuple[Sequence[Sample], list[Picture]]]:
    """Batches of samples with their fitted pictures, in order; as ``load_batches``."""
    paths, done = (sample.path for sample in samples), 0
    for pictures in load_batches(paths, size, batch_size, keep_original=False, for_tiles=for_tiles):
        yield samples[done : done + len(pictures)], pictures
        done += len(pictures)


def find_images(paths: Iterable[Path], *, exclude: Path | None = None) -> Iterator[Path]:
    """Picture files of files and folders, folders walked in name order.

    Links in a folder are passed over, and so are the masks of MVTec AD's layout: folders in it
    that are called ``ground_truth``.

    Args:
        paths: files, taken whatever their suffix, and folders; each may be a link. One that does
            not exist is handed on, so that whoever reads it says so.
        exclude: a folder that is never walked into, the job's own output for example.

    Raises:
        DataError: a path is the excluded folder, or a folder cannot be listed.
    """
    skipped = None if exclude is None else os.path.realpath(exclude)
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises below a closed folder
            if os.path.realpath(path) == skipped:
                raise DataError(f"{str(path)!r} is the folder of the results; give another for one")
            yield from _walk(path, skipped)
        else:
            yield path


def count_links(paths: Iterable[Path]) -> int:
    """How many links to pictures ``find_images`` passes over in folders."""
    return sum(
        os.path.islink(Path(folder, name))  # noqa: PTH114 - Path.is_symlink raises in one
        for path in paths
        for folder, _, names in os.walk(path)
        for name in names
        if Path(name).suffix.lower() in IMAGE_SUFFIXES
    )


def count_masks(paths: Iterable[Path]) -> int:
    """How many pictures ``find_images`` passes over as masks, without telling them by content."""
    return sum(
        Path(name).suffix.lower() in IMAGE_SUFFIXES
        for path in paths
        for folder, _, names in os.walk(path)
        if TRUTH in Path(folder).relative_to(path).parts
        for name in names
    )


def file_digests(samples: Iterable[Sample]) -> list[str]:
    """SHA-256 of each sample's file, as hex.

    Raises:
        ImageError: a file cannot be read; the message names it.
    """
    return [read_file(sample.path)[1] for sample in samples]


def data_digest(samples: Iterable[Sample], digests: Iterable[str]) -> str:
    """SHA-256 over class, name and file digest of every sample, in order."""
    total = hashlib.sha256()
    for sample, sha256 in zip(samples, digests, strict=True):
        total.update(
            f"{sample.class_name}\0{sample.path.name}\0{sha256}\0".encode(errors="replace")
        )
    return total.hexdigest()


def _checked(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        found = f"{image.dtype} {image.shape}"
        raise ImageError(f"array is {found}; give uint8 (height, width, 3) in RGB")
    return image


def _walk(root: Path, skipped: str | None) -> Iterator[Path]:
    for folder, folders, names in os.walk(root, onerror=_refuse_folder):
        entered = (name for name in folders if name != TRUTH)
        folders[:] = sorted(n for n in entered if os.path.realpath(Path(folder, n)) != skipped)
        for path in (Path(folder, name) for name in sorted(names) if not name.startswith(".")):
            is_link = os.path.islink(path)  # noqa: PTH114 - Path.is_symlink raises in one
            if path.suffix.lower() in IMAGE_SUFFIXES and not is_link:
                yield path


def _refuse_folder(error: OSError) -> NoReturn:
    raise DataError(
        f"{error.filename!r} cannot be listed ({error.strerror}); check its permissions"
    ) from error
