"""Bootstrap intervals of the image metrics: images drawn again and again, with replacement."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from jaxtyping import Float, Int

from snlad.errors import MetricError
from snlad.metrics.scores import ByRow, Interval

IMAGE_METRICS = ("image_auroc", "image_ap", "image_f1_max")
RESAMPLES = 1000
LEVEL = 0.95

_CHUNK = 1 << 21
"""Images times resamples that are worked on at once."""


@dataclass(frozen=True, slots=True)
class ImageScores:
    """Image scores of one class, by the data set's labels."""

    normal: Float[np.ndarray, " N"]
    anomalous: Float[np.ndarray, " A"]


def bootstrap_intervals(
    classes: Mapping[str, ImageScores], *, resamples: int = RESAMPLES, seed: int = 0
) -> ByRow[Interval]:
    """Percentile intervals at 95 % over the images of each class.

    Normal and defect images are drawn apart, so every resample has as many of each as the data.
    A class draws by its own name: another class in the data moves only the mean and the pool.

    Args:
        classes: scores by class name; a class that lacks one kind has no interval and is not in
            the mean, but counts in the pool.
        resamples: how many.
        seed: of the draws.
    """
    (rows,) = _resample([classes], resamples, seed)
    return _intervals(rows)


def paired_intervals(
    before: Mapping[str, ImageScores],
    after: Mapping[str, ImageScores],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ByRow[Interval]:
    """Percentile intervals at 95 % of the differences, after minus before.

    Every resample draws the same images on both sides, so what makes an image hard for both
    cancels out. Otherwise as ``bootstrap_intervals``.

    Args:
        before: scores by class name.
        after: other scores of the same images, in the same order.
        resamples: how many.
        seed: of the draws.

    Raises:
        MetricError: the two are not of the same number of images of each class and kind.
    """
    if _sizes(before) != _sizes(after):
        raise MetricError(
            f"the scores are of {_sizes(before)} and {_sizes(after)} (normal, defect) images by "
            "class, and only scores of the same images are paired: score both on the same data"
        )
    first, second = _resample([before, after], resamples, seed)
    return _intervals({name: second[name] - rows for name, rows in first.items()})


def _sizes(classes: Mapping[str, ImageScores]) -> dict[str, tuple[int, int]]:
    return {name: (len(one.normal), len(one.anomalous)) for name, one in classes.items()}


def _resample(
    sides: Sequence[Mapping[str, ImageScores]], resamples: int, seed: int
) -> list[dict[str | None, Float[np.ndarray, "R 3"]]]:
    """The image metrics of each resample by class name, and of the pool under None, a side each.

    All sides meet the same draws, so they must hold the same images in the same order.
    """
    names = list(sides[0])
    draws = {
        (name, kind): np.random.default_rng([seed, crc32(name.encode()), kind])
        for name in names
        for kind in (0, 1)
    }
    sizes = _sizes(sides[0])
    pools = [pool_images(side[name] for name in names) for side in sides]
    parts: list[dict[str | None, list[np.ndarray]]] = [defaultdict(list) for _ in sides]
    for n in _chunks(resamples if names else 0, sum(map(sum, sizes.values()))):
        normal = [_draw(draws[name, 0], n, sizes[name][0]) for name in names]
        anomalous = [_draw(draws[name, 1], n, sizes[name][1]) for name in names]
        for side, pool, part in zip(sides, pools, parts, strict=True):
            for name, off, on in zip(names, normal, anomalous, strict=True):
                part[name].append(_numbers(side[name], off, on))
            part[None].append(_numbers(pool, np.hstack(normal), np.hstack(anomalous)))
    return [{name: np.concatenate(rows) for name, rows in part.items()} for part in parts]


def pool_images(classes: Iterable[ImageScores]) -> ImageScores:
    """The scores of several classes as those of one."""
    classes = list(classes)
    nothing = np.empty(0)
    return ImageScores(
        np.concatenate([nothing, *(one.normal for one in classes)]),
        np.concatenate([nothing, *(one.anomalous for one in classes)]),
    )


def _chunks(resamples: int, images: int) -> Iterator[int]:
    size = max(1, _CHUNK // max(1, images))
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def _draw(random: np.random.Generator, resamples: int, n: int) -> Int[np.ndarray, "R N"]:
    """How often each of n images is drawn in each resample of n."""
    picked = random.integers(0, max(n, 1), (resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(picked.ravel(), minlength=resamples * n).reshape(resamples, n)


def _numbers(
    images: ImageScores, normal: Int[np.ndarray, "R N"], anomalous: Int[np.ndarray, "R A"]
) -> Float[np.ndarray, "R 3"]:
    """The image metrics of each resample, NaN where they are undefined.

    The equations are those of `snlad.metrics.ranking`, at every distinct score of any image.
    """
    n_normal, n_anomalous = len(images.normal), len(images.anomalous)
    if not n_normal or not n_anomalous:
        return np.full((len(normal), len(IMAGE_METRICS)), np.nan)
    scores = np.concatenate([images.normal, images.anomalous])
    order = np.argsort(scores)[::-1]
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = _reached(np.hstack([np.zeros_like(normal), anomalous]), order, last)
    alarms = _reached(np.hstack([normal, np.zeros_like(anomalous)]), order, last)
    found, false = np.diff(hits, prepend=0), np.diff(alarms, prepend=0)
    auroc = 1 - (found * (alarms - false / 2)).sum(1) / (n_normal * n_anomalous)
    ap = (found * hits / np.maximum(hits + alarms, 1)).sum(1) / n_anomalous
    f1 = (2 * hits / (hits + alarms + n_anomalous)).max(1)
    return np.stack([auroc, ap, f1], axis=1)


def _reached(
    counts: Int[np.ndarray, "R N"], order: Int[np.ndarray, " N"], last: Int[np.ndarray, " K"]
) -> Int[np.ndarray, "R K"]:
    """Images at or above each distinct score."""
    return np.cumsum(counts[:, order], axis=1)[:, last]


def _intervals(rows: Mapping[str | None, Float[np.ndarray, "R 3"]]) -> ByRow[Interval]:
    """The intervals of what ``_resample`` found, and of the mean over the classes that have one."""
    classes = {name: row for name, row in rows.items() if name is not None}
    defined = [row for row in classes.values() if not np.isnan(row).any()]
    return ByRow(
        {name: _interval(row) for name, row in classes.items()},
        _interval(np.mean(defined, axis=0)) if defined else {},
        _interval(rows[None]) if None in rows else {},
    )


def _interval(rows: Float[np.ndarray, "R 3"]) -> dict[str, Interval]:
    """Percentiles of each metric; nothing where it is undefined."""
    if np.isnan(rows).any():
        return {}
    low, high = np.quantile(rows, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(IMAGE_METRICS, low, high, strict=True)}
