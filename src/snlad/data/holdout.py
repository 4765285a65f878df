"""A seeded share of the normal pictures set aside, never with a near copy on the other side."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32

import numpy as np

from snlad.data.duplicates import (
    Fingerprint,
    exact_duplicates,
    fingerprint,
    near_duplicates,
)
from snlad.data.images import read_image
from snlad.data.samples import Sample
from snlad.types import Progress, silent

AT_LEAST = 20
"""Pictures of a class that a share is raised to: with fewer, 5 % cannot be promised."""

AT_MOST = 0.25
"""Share of a class that is never exceeded, whatever is asked."""


def hold_out(
    samples: Sequence[Sample], share: float, seed: int, progress: Progress = silent
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Split normal pictures into those to train on and those set aside, class by class.

    Pictures of one group or one part, and exact and near copies, stay together.

    Args:
        samples: normal pictures.
        share: of each class to set aside, in [0, 0.25]; 0 sets nothing aside. It is raised to
            20 pictures where they are at most a quarter of the class.
        seed: of the draw; each class draws by its own name.
        progress: told while pictures are compared.

    Returns:
        The pictures to train on and those set aside, both in their order.

    Raises:
        ImageError: a picture cannot be read; the message names it.
    """
    if share == 0:
        return tuple(samples), ()
    by_class: dict[str, list[list[int]]] = defaultdict(list)
    for group in _groups(samples, progress):
        names = {samples[i].class_name for i in group}
        if len(names) == 1:  # copies in several classes stay in training
            by_class[names.pop()].append(group)
    sizes = Counter(sample.class_name for sample in samples)
    aside: set[int] = set()
    for name, groups in by_class.items():
        random = _generator(name, seed)
        aside.update(_draw(groups, sizes[name], share, random))
    kept = tuple(sample for i, sample in enumerate(samples) if i not in aside)
    return kept, tuple(samples[i] for i in sorted(aside))


def split_folds(
    samples: Sequence[Sample], folds: int, seed: int, progress: Progress = silent
) -> list[list[int]]:
    """Split pictures into folds, the pictures of each class as evenly as whole groups allow.

    Pictures of one group or one part, and exact and near copies, stay together.

    Args:
        samples: normal pictures.
        folds: how many, at least 2.
        seed: of the draw; each class draws by its own name.
        progress: told while pictures are compared.

    Returns:
        The positions in each fold, ascending.

    Raises:
        ImageError: a picture cannot be read; the message names it.
    """
    by_class: dict[str, list[list[int]]] = defaultdict(list)
    for group in _groups(samples, progress):
        by_class[samples[group[0]].class_name].append(group)
    found: list[list[int]] = [[] for _ in range(folds)]
    for name, groups in by_class.items():
        sizes = [0] * folds
        for at in _generator(name, seed).permutation(len(groups)):
            smallest = sizes.index(min(sizes))
            found[smallest] += groups[at]
            sizes[smallest] += len(groups[at])
    return [sorted(fold) for fold in found]


def _generator(class_name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, crc32(class_name.encode(errors="replace"))])


def _fingerprint(sample: Sample) -> Fingerprint:
    return fingerprint(read_image(sample.path))


def _fingerprints(samples: Sequence[Sample], progress: Progress) -> list[Fingerprint]:
    prints = []
    with ThreadPoolExecutor() as pool:
        for one in pool.map(_fingerprint, samples):
            prints.append(one)
            progress("looking for copies", len(prints), len(samples))
    return prints


def _groups(samples: Sequence[Sample], progress: Progress) -> list[list[int]]:
    """Positions that belong together, by union of all that ties them."""
    prints = _fingerprints(samples, progress)
    root = list(range(len(samples)))

    def find(index: int) -> int:
        while root[index] != index:
            root[index] = index = root[root[index]]
        return index

    def tie(members: Iterable[int]) -> None:
        first, *rest = members
        for other in rest:
            root[find(other)] = find(first)

    named: dict[Hashable, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        for kind, name in (("group", sample.group), ("part", sample.part_id)):
            if name:
                named[kind, name].append(index)
    for members in (*named.values(), *exact_duplicates(prints), *near_duplicates(prints)):
        tie(members)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(samples)):
        groups[find(index)].append(index)
    return list(groups.values())


def _draw(
    groups: list[list[int]], n: int, share: float, random: np.random.Generator
) -> Iterable[int]:
    """Whole groups in random order until there are enough; one that would be too many is left."""
    most = int(AT_MOST * n)
    wanted = min(max(round(share * n), AT_LEAST), most)
    drawn: list[int] = []
    for at in random.permutation(len(groups)):
        if len(drawn) >= wanted:
            break
        if len(drawn) + len(groups[at]) <= most:
            drawn += groups[at]
    return drawn
