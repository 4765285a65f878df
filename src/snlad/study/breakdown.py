"""Image AUROC of some defects against all normal pictures: by type, by area, by kind of class."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import NDArray

from snlad.data.masks import read_truth
from snlad.data.samples import Sample
from snlad.metrics.ranking import auroc, rank
from snlad.types import MAP_SIZE

QUARTERS = 4


@dataclass(frozen=True)
class Group:
    """Some defect pictures of a test set.

    Attributes:
        kind: ``defect type``, ``defect area`` or ``trait``.
        name: within its kind.
        members: bool, one a test picture.
    """

    kind: str
    name: str
    members: NDArray[np.bool_]


class Breakdown:
    """The defects of one test set in groups.

    Args:
        samples: test pictures, normal ones among them; masks are read.
        traits: words for classes, by class name.

    Attributes:
        groups: those with at least one defect: types by name, quarters of the area from the
            smallest, traits as they come.

    Raises:
        ImageError: a mask cannot be read.
    """

    def __init__(self, samples: Sequence[Sample], traits: Mapping[str, Sequence[str]]) -> None:
        self._classes = np.array([sample.class_name for sample in samples])
        self._defects = np.array([sample.is_anomalous for sample in samples])
        types = np.array([sample.defect_type for sample in samples])
        groups = (
            *self._of_types(types),
            *_quarters(samples),
            *self._of_traits(traits),
        )
        self.groups = [group for group in groups if group.members.any()]

    def auroc(self, scores: Sequence[float | None], group: Group) -> float:
        """Image AUROC of a group's defects against the normal pictures of their class.

        Args:
            scores: image score of each test picture, ``None`` where it was not read.
            group: one of ``groups``.

        Returns:
            The plain mean over the classes of the group, in [0, 1]; NaN without any.
        """
        known = np.array([np.nan if one is None else one for one in scores], dtype=np.float64)
        is_read = ~np.isnan(known)
        values = []
        for name in self.classes(group):
            of_class = is_read & (self._classes == name)
            defects, normals = known[of_class & group.members], known[of_class & ~self._defects]
            if len(defects) and len(normals):
                values.append(auroc(rank(defects, [np.sort(normals)])))
        return fsum(values) / len(values) if values else float("nan")

    def classes(self, group: Group) -> list[str]:
        """The classes that a group has defects of, sorted."""
        return sorted(map(str, set(self._classes[group.members])))

    def _of_types(self, types: NDArray[np.str_]) -> Iterator[Group]:
        for name in sorted(set(types[self._defects])):
            yield Group("defect type", str(name), self._defects & (types == name))

    def _of_traits(self, traits: Mapping[str, Sequence[str]]) -> Iterator[Group]:
        for word in dict.fromkeys(word for some in traits.values() for word in some):
            named = [name for name, some in traits.items() if word in some]
            yield Group("trait", word, self._defects & np.isin(self._classes, named))


def _quarters(samples: Sequence[Sample]) -> Iterator[Group]:
    """Defects with a mask, the smallest quarter first."""
    areas = np.array([_area(sample) for sample in samples])
    known = areas[~np.isnan(areas)]
    if not len(known):
        return
    ends = np.quantile(known, np.arange(1, QUARTERS) / QUARTERS)
    quarter = np.searchsorted(ends, areas)  # an area at an end belongs below it
    for number in range(QUARTERS):
        members = ~np.isnan(areas) & (quarter == number)
        yield Group("defect area", _describe(number, ends), members)


def _area(sample: Sample) -> float:
    """Share of the picture that a defect's mask covers at 256 x 256; NaN without a mask."""
    if not sample.is_anomalous or sample.mask is None:
        return np.nan
    mask, _ = read_truth(sample, MAP_SIZE)
    return np.nan if mask is None else float(mask.mean())


def _describe(number: int, ends: NDArray[np.float64]) -> str:
    shown = [f"{100 * end:.2g} %" for end in ends]
    if number == 0:
        return f"1: up to {shown[0]}"
    if number == len(ends):
        return f"{number + 1}: above {shown[-1]}"
    return f"{number + 1}: up to {shown[number]}"
