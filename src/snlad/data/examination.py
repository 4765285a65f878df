"""One picture and its mask, looked at for the data check; only little of them is kept."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snlad.data.duplicates import Fingerprint, fingerprint
from snlad.data.images import decode, read_file, to_rgb
from snlad.data.masks import defect_pixels, read_values
from snlad.data.samples import Sample
from snlad.data.statistics import measure
from snlad.errors import ImageError

MASK_ERRORS = frozenset(["mask unreadable", "mask empty", "mask shape"])


@dataclass(frozen=True)
class Examined:
    """What a readable picture showed.

    Attributes:
        mode: The stored colour mode, as Pillow names it.
        size: (height, width) in pixels, turned upright.
        print: To find its copies.
        measures: The trivial statistics.
        mask_problems: (kind, sentence) of each.
    """

    mode: str
    size: tuple[int, int]
    print: Fingerprint
    measures: NDArray[np.float64]
    mask_problems: tuple[tuple[str, str], ...]


def examine(sample: Sample) -> Examined | str:
    """Examine one picture and its mask, or return the sentence why the picture cannot be read."""
    name = str(sample.path)
    try:
        data, _ = read_file(sample.path)
        picture = decode(data, name)
        image = to_rgb(picture, name)
    except ImageError as error:
        return str(error)
    size = image.shape[:2]
    return Examined(
        mode=picture.mode,
        size=size,
        print=fingerprint(image),
        measures=measure(image, len(data)),
        mask_problems=_mask_problems(sample, size),
    )


def _mask_problems(sample: Sample, size: tuple[int, int]) -> tuple[tuple[str, str], ...]:
    if sample.mask is None:
        return ()
    try:
        values, top = read_values(sample.mask)
    except ImageError as error:
        return (("mask unreadable", str(error)),)
    name = repr(str(sample.mask))
    problems = []
    if not defect_pixels(values, top).any():
        problems.append(("mask empty", f"{name} marks no defect, yet its picture is a defect"))
    if values.shape != size:
        problems.append(_size_problem(name, values.shape, size))
    if len(levels := np.setdiff1d(values, 0)) > 1:
        problems.append(("mask values", f"{name} has {len(levels)} values above 0, not one"))
    return tuple(problems)


def _size_problem(name: str, mask: tuple[int, ...], size: tuple[int, int]) -> tuple[str, str]:
    sizes = f"{mask[0]} x {mask[1]}, its picture {size[0]} x {size[1]}"
    stretch = mask[0] * size[1] / (mask[1] * size[0])
    if 0.95 <= stretch <= 1.05:
        return "mask size", f"{name} is {sizes}: it is stretched"
    return "mask shape", f"{name} is {sizes}: another shape, so it cannot fit"
