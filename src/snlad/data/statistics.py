"""How well trivial statistics alone separate pictures: a set they solve proves nothing.

Eight numbers a picture that know nothing of defects. Where one of them alone tells test defects
from test normals, a detector may score high without seeing a defect; where one tells train normals
from test normals, the two were not taken alike.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snlad.data.samples import Sample
from snlad.metrics.ranking import auroc, rank

STATISTICS = (
    "mean",
    "contrast",
    "sharpness",
    "red_green",
    "blue_yellow",
    "height",
    "width",
    "file_bytes",
)
LIMIT = 0.9

Comparison = tuple[str, tuple[str, bool], tuple[str, bool]]
COMPARISONS: tuple[Comparison, ...] = (
    ("test normals vs test defects", ("test", False), ("test", True)),
    ("train normals vs test normals", ("train", False), ("test", False)),
)


@dataclass(frozen=True)
class Separation:
    """How far each statistic alone separates two parts of one class.

    Attributes:
        class_name: The class.
        comparison: Which two parts, one of ``COMPARISONS`` by name.
        counts: How many pictures each part has.
        auroc: Statistic to max(AUROC, 1 - AUROC), in [0.5, 1]; 0.5 is chance.
    """

    class_name: str
    comparison: str
    counts: tuple[int, int]
    auroc: dict[str, float]

    @property
    def best(self) -> str:
        """The statistic that separates most; the first of equals in the order of STATISTICS."""
        return max(self.auroc, key=lambda name: self.auroc[name])


def measure(image: NDArray[np.uint8], file_bytes: int) -> NDArray[np.float64]:
    """Return the STATISTICS of one (H0, W0, 3) picture, in grey levels of 255, pixels and bytes."""
    grey = np.asarray(Image.fromarray(image).convert("L"))
    red, green, blue = image.reshape(-1, 3).mean(axis=0)
    return np.array(
        [
            grey.mean(),
            grey.std(),
            mean_step(grey),
            red - green,
            blue - (red + green) / 2,
            *image.shape[:2],
            file_bytes,
        ]
    )


def separations(
    samples: Sequence[Sample], measures: Sequence[NDArray[np.float64] | None]
) -> tuple[Separation, ...]:
    """Compare the parts of every class that has both of them.

    Args:
        samples: The pictures.
        measures: What ``measure`` gave for each; None leaves that picture out.
    """
    parts: dict[tuple[str, str, bool], list[NDArray[np.float64]]] = {}
    for sample, values in zip(samples, measures, strict=True):
        if values is not None:
            key = (sample.class_name, sample.split, sample.is_anomalous)
            parts.setdefault(key, []).append(values)
    return tuple(
        _compare(name, comparison, parts[name, *left], parts[name, *right])
        for name in sorted({s.class_name for s in samples})
        for comparison, left, right in COMPARISONS
        if (name, *left) in parts and (name, *right) in parts
    )


def trivial_row(separations: Iterable[Separation]) -> dict[str, float]:
    """Return, for each class, the image AUROC that its best trivial statistic reaches on the test.

    The statistic is chosen by the test labels, so this is the most that such a cue can give.
    """
    name = COMPARISONS[0][0]
    return {s.class_name: s.auroc[s.best] for s in separations if s.comparison == name}


def _compare(
    class_name: str,
    comparison: str,
    left: list[NDArray[np.float64]],
    right: list[NDArray[np.float64]],
) -> Separation:
    columns = zip(np.transpose(left), np.transpose(right), strict=True)
    areas = (auroc(rank(high, [np.sort(low)])) for low, high in columns)
    folded = [max(area, 1 - area) for area in areas]
    counts = (len(left), len(right))
    return Separation(class_name, comparison, counts, dict(zip(STATISTICS, folded, strict=True)))


def mean_step(grey: NDArray[np.uint8]) -> float:
    """Return the mean absolute step between neighbours, along rows and columns: sharpness."""
    levels = grey.astype(np.int16)
    steps = [np.abs(np.diff(levels, axis=axis)) for axis in (0, 1)]
    return float(sum(step.sum() for step in steps) / max(1, sum(step.size for step in steps)))
