"""Interference probes: pictures that mix two classes, which a model of all classes must not pass.

*Mixup* is the mean of two normal pictures of different classes. *CutPaste* is a normal picture of
one class, the host, with a patch of another, the donor. Neither needs a label: both must score
above the normal pictures that they are made of. All choices are a function of the pictures, their
classes and the seed; the order in which the pictures are given does not matter.

Source: both probes are those of SNL (arXiv 2402.17091); the aspect ratios of a patch are those of
CutPaste (Li et al., CVPR 2021); the other settings are ours.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, permutations
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from snlad.data.foreground import find_foreground
from snlad.data.inputs import load_inputs
from snlad.data.masks import resize_nearest
from snlad.data.samples import Sample
from snlad.data.tiles import Tiling
from snlad.types import MAP_SIZE

T = TypeVar("T")
Pixels = NDArray[np.uint8]
Plane = NDArray[np.bool_]
Window = tuple[slice, slice]

AREA = (0.02, 0.10)
"""Of the picture, covered by a patch; drawn evenly."""

ASPECT = 1 / 0.3
"""Largest ratio of height and width of a patch, as shares of the picture; even in its logarithm."""

ON_FOREGROUND = 0.5
"""Least share of the patch, and of what it covers, that shows the product."""

NEARLY_EQUAL = 8.0
"""Mean absolute difference, in grey levels of 255, below which a patch hides in what it covers."""

_PATCHES = 20
"""Patches tried on two pictures before two others of the same classes are taken."""

_PICTURES = 10
"""Pairs of pictures tried before a probe is given up."""


@dataclass(frozen=True)
class Probe:
    """A picture that no production line makes.

    Attributes:
        host: class of the picture that is pasted into; of a Mixup the first in the alphabet.
        donor: the other class.
        pixels: (H, W, 3) RGB in [0, 255].
        pasted: bool (256, 256), true on the patch; ``None`` for a Mixup.
    """

    host: str
    donor: str
    pixels: Pixels
    pasted: Plane | None = None


def mixups(
    samples: Iterable[Sample],
    size: tuple[int, int],
    n: int,
    seed: int,
    tiling: Tiling | None = None,
) -> Iterator[Probe]:
    """Mix ``n`` pairs of normal pictures, each pair of classes as often as another or once less.

    Args:
        samples: normal pictures; none is made from those of a single class.
        size: network input (H, W).
        n: how many.
        seed: of all choices.
        tiling: mixes the middle tiles of pictures instead of the whole.

    Raises:
        ImageError: a picture cannot be read; the message names it.
    """
    random = np.random.default_rng([seed, 0])
    pictures = _by_class(samples, random)
    for first, second in islice(_shuffled([*combinations(pictures, 2)], random), n):
        pair = load_inputs([next(pictures[first]), next(pictures[second])], size, tiling)
        yield Probe(first, second, mixup(*pair))


def cutpastes(
    samples: Iterable[Sample],
    size: tuple[int, int],
    n: int,
    seed: int,
    inspected: Callable[[str], Plane | None] = lambda _: None,
    tiling: Tiling | None = None,
) -> Iterator[Probe]:
    """Paste ``n`` patches, each pair of host and donor as often as another or once less.

    A pair whose pictures leave no place for a patch gives fewer.

    Args:
        samples: normal pictures; none is made from those of a single class.
        size: network input (H, W).
        n: how many.
        seed: of all choices.
        inspected: by class name the pixels (H, W) that the networks see, ``None`` for all; patches
            come from them and go to them.
        tiling: pastes into the middle tiles of pictures, and from them, instead of the whole.

    Raises:
        ImageError: a picture cannot be read; the message names it.
    """
    random = np.random.default_rng([seed, 1])
    pictures = _by_class(samples, random)
    for pair in islice(_shuffled([*permutations(pictures, 2)], random), n):
        for _ in range(_PICTURES):
            host, donor = load_inputs([next(pictures[name]) for name in pair], size, tiling)
            on_host, on_donor = (
                _usable(picture, inspected(name))
                for picture, name in zip((host, donor), pair, strict=True)
            )
            found = cutpaste(host, donor, on_host, on_donor, random)
            if found is not None:
                yield Probe(*pair, found[0], resize_nearest(found[1], MAP_SIZE))
                break


def mixup(first: Pixels, second: Pixels) -> Pixels:
    """The mean of two pictures (H, W, 3), halves rounded to the even level."""
    return np.rint((first.astype(np.float32) + second) / 2).astype(np.uint8)


def cutpaste(
    host: Pixels, donor: Pixels, on_host: Plane, on_donor: Plane, random: Generator
) -> tuple[Pixels, Plane] | None:
    """Paste a patch of one picture (H, W, 3) into another, from foreground to foreground.

    Args:
        host: is pasted into; it is not changed.
        donor: gives the patch; of the same size.
        on_host: where the host shows its product, (H, W).
        on_donor: where the donor does.
        random: of the patch and its places.

    Returns:
        The picture and the pixels (H, W) that were pasted; ``None`` where no patch that was tried
        has a place on both pictures and differs from what it covers.
    """
    for _ in range(_PATCHES):
        patch = _patch_size(host.shape[:2], random)
        target, source = _place(on_host, patch, random), _place(on_donor, patch, random)
        if target is None or source is None:
            continue
        if np.abs(host[target].astype(np.int16) - donor[source]).mean() >= NEARLY_EQUAL:
            picture, pasted = host.copy(), np.zeros(host.shape[:2], dtype=bool)
            picture[target], pasted[target] = donor[source], True
            return picture, pasted
    return None


def _by_class(samples: Iterable[Sample], random: Generator) -> dict[str, Iterator[Path]]:
    """By class name, sorted, endlessly its pictures: each once in random order, then again."""
    members: dict[str, list[Path]] = {}
    for sample in sorted(samples, key=lambda one: (one.class_name, one.path.as_posix())):
        members.setdefault(sample.class_name, []).append(sample.path)
    return {name: _shuffled(paths, random) for name, paths in members.items()}


def _shuffled(items: Sequence[T], random: Generator) -> Iterator[T]:
    """All in random order, then all again in another, without end; none where there is none."""
    while items:
        yield from (items[i] for i in random.permutation(len(items)))


def _usable(picture: Pixels, inspected: Plane | None) -> Plane:
    foreground = find_foreground(picture)
    return foreground if inspected is None else foreground & inspected


def _patch_size(size: tuple[int, ...], random: Generator) -> tuple[int, int]:
    """Height and width of a patch for a picture (H, W): whole pixels that keep to AREA."""
    pixels = size[0] * size[1]
    share, aspect = random.uniform(*AREA), ASPECT ** random.uniform(-1, 1)
    height = round(size[0] * math.sqrt(share * aspect))
    least, most = math.ceil(AREA[0] * pixels / height), math.floor(AREA[1] * pixels / height)
    return height, min(max(round(share * pixels / height), least), most)


def _place(foreground: Plane, patch: tuple[int, int], random: Generator) -> Window | None:
    """Any of the windows that lie on the foreground with at least half of their pixels."""
    height, width = patch
    sums = np.pad(foreground, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = sums[height:] - sums[:-height]
    inside = inside[:, width:] - inside[:, :-width]
    places = np.flatnonzero(inside >= ON_FOREGROUND * height * width)
    if not len(places):
        return None
    top, left = divmod(int(places[random.integers(len(places))]), inside.shape[1])
    return slice(top, top + height), slice(left, left + width)
