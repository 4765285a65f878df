"""The evaluator: images in one by one, all seven numbers out, exact or in bounded memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, inf, isfinite

import numpy as np
from jaxtyping import Float, Float32, Shaped

from snlad.errors import MetricError
from snlad.metrics.aupro import region_areas
from snlad.metrics.bootstrap import ImageScores, bootstrap_intervals, pool_images
from snlad.metrics.exact import ExactPixels, exact_numbers
from snlad.metrics.protocols import find_protocol
from snlad.metrics.ranking import auroc, average_precision, f1_max, rank
from snlad.metrics.scores import ByRow, ScoreRow, ScoreTable
from snlad.metrics.streaming import StreamedPixels, streamed_numbers

EXACT_PIXELS = 1 << 28
"""Above this number of pixels (1 GiB of scores) the evaluator goes on streaming."""


@dataclass(slots=True)
class _Class:
    """What is kept of one class."""

    pixels: ExactPixels | StreamedPixels
    normal: list[float] = field(default_factory=list)
    anomalous: list[float] = field(default_factory=list)
    has_masks: bool = False


class Evaluator:
    """All seven numbers of every image added, per class and pooled.

    Exact up to ``exact_pixels``, holding 4 bytes a pixel and 8 a defect pixel. Beyond, what was
    kept is counted into histograms of a few MB a class, and each pixel metric is reported with
    a bound on its error that holds for any data. Image metrics are always exact.

    Args:
        protocol: one of `PROTOCOLS`. Scores and masks are to follow its rules before they are
            added; what it changes here are pixel F1 and AUPRO. The rules of published tables
            need all pixels and are always exact.
        exact_pixels: pixels of all classes up to which they are kept; 0 streams from the start.

    Raises:
        UsageError: the protocol is unknown.
    """

    def __init__(self, protocol: str = "snlad-v1", *, exact_pixels: int = EXACT_PIXELS) -> None:
        self.protocol = find_protocol(protocol)
        self._room = inf if self.protocol.is_published else exact_pixels
        self._streams = self._room == 0
        self._classes: dict[str, _Class] = {}

    def add(
        self,
        class_name: str,
        *,
        score: float,
        is_anomalous: bool,
        anomaly_map: Float[np.ndarray, "H W"] | None,
        mask: Shaped[np.ndarray, "..."] | None,
        roi: Shaped[np.ndarray, "..."] | None = None,
    ) -> None:
        """Take in one image; nothing is scaled, squashed or averaged per image or batch.

        Args:
            class_name: product class.
            score: image score, any finite number.
            is_anomalous: the data set's label; a mask never changes it.
            anomaly_map: raw map, ranked as float32; None leaves the image out of pixel metrics.
            mask: true on defect pixels, bool (H, W). None leaves a defect image out of pixel
                metrics; a normal image counts with an empty mask whatever is given.
            roi: true where pixels count, bool (H, W); everywhere when None.

        Raises:
            MetricError: a score or map is not finite, or a mask or roi is not bool (H, W).
        """
        if not isfinite(score):
            raise MetricError(f"class {class_name!r}: an image score is {score}, {_NOT_FINITE}")
        pixels = None if anomaly_map is None else _finite(class_name, anomaly_map)
        if pixels is not None:
            _check_plane(class_name, "mask", mask, pixels)
            _check_plane(class_name, "roi", roi, pixels)
        kept = self._classes.setdefault(class_name, _Class(self._new_pixels()))
        (kept.anomalous if is_anomalous else kept.normal).append(float(score))
        if pixels is not None and (mask is not None or not is_anomalous):
            self._add_pixels(kept, pixels, mask if is_anomalous else None, roi)

    def table(self) -> ScoreTable:
        """Compute every row; images may be added afterwards and the table asked for again."""
        classes = dict(sorted(self._classes.items()))
        for kept in classes.values():
            if kept.has_masks:
                kept.pixels.settle()
        images = {
            name: ImageScores(np.array(kept.normal), np.array(kept.anomalous))
            for name, kept in classes.items()
        }
        found = {name: self._pixel_numbers([kept]) for name, kept in classes.items()}
        pooled, pooled_bounds = self._pixel_numbers(
            [kept for kept in classes.values() if kept.has_masks]
        )
        bounds = {name: row for name, (_, row) in found.items()}
        return ScoreTable(
            self.protocol.name,
            {name: ScoreRow(**_image_numbers(images[name]), **found[name][0]) for name in found},
            ScoreRow(**_image_numbers(pool_images(images.values())), **pooled),
            "streaming" if self._streams else "exact",
            bootstrap_intervals(images),
            ByRow(bounds, _mean_of_rows(list(bounds.values())), pooled_bounds),
        )

    def _new_pixels(self) -> ExactPixels | StreamedPixels:
        if self._streams:
            return StreamedPixels()
        return ExactPixels(self.protocol.aupro if self.protocol.by_image else None)

    def _add_pixels(
        self,
        kept: _Class,
        pixels: Float32[np.ndarray, "H W"],
        defect: np.ndarray | None,
        roi: np.ndarray | None,
    ) -> None:
        """Keep or count the pixels inside the roi; all are negatives where there is no mask."""
        inside = np.ones(pixels.shape, bool) if roi is None else roi
        if not self._streams and inside.size > self._room:
            self._start_streaming()
        self._room -= inside.size
        if defect is None:
            kept.pixels.add(pixels[inside], _NO_PIXELS, _NO_AREAS)
        else:
            kept.has_masks = True
            areas = region_areas(defect, inside)
            kept.pixels.add(pixels[inside & ~defect], pixels[inside & defect], areas)

    def _start_streaming(self) -> None:
        """Count what was kept so far, and keep nothing from now on."""
        self._streams = True
        for kept in self._classes.values():
            streamed = StreamedPixels()
            assert isinstance(kept.pixels, ExactPixels)
            while kept.pixels.negatives:
                streamed.add(kept.pixels.negatives.pop(), _NO_PIXELS, _NO_AREAS)
            for positives, areas in zip(kept.pixels.positives, kept.pixels.areas, strict=True):
                streamed.add(_NO_PIXELS, positives, areas)
            kept.pixels = streamed

    def _pixel_numbers(self, kept: Sequence[_Class]) -> tuple[dict[str, float], dict[str, float]]:
        """Pixel metrics of these classes together, and the bounds of their errors."""
        stores = [one.pixels for one in kept]
        if self._streams:
            return streamed_numbers([one for one in stores if isinstance(one, StreamedPixels)])
        exact = [one for one in stores if isinstance(one, ExactPixels)]
        return exact_numbers(exact, self.protocol), {}


_NO_PIXELS, _NO_AREAS = np.empty(0, np.float32), np.empty(0, np.int32)


def _image_numbers(images: ImageScores) -> dict[str, float]:
    """The image metrics; none without one image of each kind."""
    if not len(images.normal) or not len(images.anomalous):
        return {}
    ranking = rank(images.anomalous, [np.sort(images.normal)])
    return {
        "image_auroc": auroc(ranking),
        "image_ap": average_precision(ranking),
        "image_f1_max": f1_max(ranking),
    }


def _mean_of_rows(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each metric over the rows that have it: as a mean of numbers errs, so its bound."""
    names = dict.fromkeys(name for row in rows for name in row)
    having = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: fsum(values) / len(values) for name, values in having.items()}


_NOT_FINITE = "and only finite numbers can be ranked: look for a diverged model or a broken input"


def _finite(class_name: str, anomaly_map: np.ndarray) -> np.ndarray:
    """Bring a map to float32, which must stay finite."""
    with np.errstate(over="ignore"):  # overflow becomes inf, which is refused below
        pixels = anomaly_map.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise MetricError(f"class {class_name!r}: a map holds NaN or inf, {_NOT_FINITE}")
    return pixels


def _check_plane(class_name: str, name: str, plane: np.ndarray | None, pixels: np.ndarray) -> None:
    """Refuse a mask or roi that is not bool or does not lie on its map."""
    if plane is not None and (plane.dtype != np.bool_ or plane.shape != pixels.shape):
        raise MetricError(
            f"class {class_name!r}: a {name} is {plane.dtype} {plane.shape} on a map of "
            f"{pixels.shape}, it must be bool of the map's shape: use fit_{name} first"
        )
