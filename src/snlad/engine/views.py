"""What training sees of its pictures: each as a whole, or its tiles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from snlad.data.inputs import read_sizes
from snlad.data.roi import FittedRois
from snlad.data.samples import Sample
from snlad.data.tiles import Box, Tiling
from snlad.types import MAP_SIZE


@dataclass(frozen=True, eq=False)
class View:
    """A picture, or a tile of one.

    Attributes:
        sample: the picture, by its index.
        box: the tile's place in it; ``None`` for the whole.
        seen: which pixels (H, W) the networks see; ``None`` for all.
        inspected: which pixels of its maps count; ``None`` for all.
    """

    sample: int
    box: Box | None = None
    seen: Bool[np.ndarray, "H W"] | None = None
    inspected: Bool[np.ndarray, "256 256"] | None = None


def choose_views(
    samples: Sequence[Sample], masks: FittedRois, tiling: Tiling | None
) -> tuple[View, ...]:
    """What the networks learn from, picture by picture; tiles that are not inspected are left out.

    Args:
        samples: the pictures.
        masks: inspection masks by class name.
        tiling: how pictures are cut; ``None`` takes them whole.

    Raises:
        ImageError: a picture that is to be cut cannot be read.
    """
    if tiling is not None:
        return tuple(_tile_views(samples, masks, tiling))
    names = [sample.class_name for sample in samples]
    return tuple(
        View(i, None, seen, None if seen is None else masks.inspected(name))
        for i, name in enumerate(names)
        for seen in [masks.seen(name)]
    )


def valid_pixels(views: Sequence[View]) -> Bool[np.ndarray, "B 1 256 256"] | None:
    """Which pixels of the maps of a batch count; ``None`` where all do."""
    if all(view.inspected is None for view in views):
        return None
    planes = [np.ones(MAP_SIZE, bool) if v.inspected is None else v.inspected for v in views]
    return np.stack(planes)[:, None]


def _tile_views(samples: Sequence[Sample], masks: FittedRois, tiling: Tiling) -> Iterator[View]:
    cut: dict[tuple[str | None, tuple[int, int]], list[View]] = {}
    for i, size in enumerate(read_sizes([sample.path for sample in samples])):
        name = samples[i].class_name if masks.seen(samples[i].class_name) is not None else None
        if (name, size) not in cut:  # pictures of one class and size share their masks
            cut[name, size] = list(_cut(name, size, masks, tiling))
        for view in cut[name, size]:
            yield View(i, view.box, view.seen, view.inspected)


def _cut(
    name: str | None, size: tuple[int, int], masks: FittedRois, tiling: Tiling
) -> Iterator[View]:
    for box in tiling.plan(size).boxes:
        seen, inspected = masks.of_tile(name, size, box)
        if inspected.any():
            yield View(0, box, seen, None if seen is None else inspected)
