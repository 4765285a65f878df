"""How large the smallest defect that matters is where the network sees it, and what would help."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from snlad.types import INPUT_SIZE

LEAST_PX = 4.0
"""Pixels at network input that a defect needs: the stride of the teacher's finest level.

A smaller one is a part of a single location there, and shares it with the normal surface around.
"""

LARGEST_INPUT = 512
"""Side up to which a larger input is proposed: it takes four times the time of the usual one."""

_MULTIPLE = 32
"""Of which sides of an input are, so that every level of any teacher divides them."""


@dataclass(frozen=True)
class SmallestDefect:
    """A defect of some pixels in the largest picture of a class.

    Attributes:
        class_name: the class.
        defect_px: its size in pixels of the picture.
        size: (H0, W0) of the picture that is shrunk most.
        at_input_px: its size at the usual network input, along the side that is shrunk more.
        input_size: (H, W) of an input at which it would be ``LEAST_PX``.
        tile: side of a tile, in pixels of the picture, at which it would be at the usual input.
    """

    class_name: str
    defect_px: int
    size: tuple[int, int]
    at_input_px: float
    input_size: tuple[int, int]
    tile: int

    @property
    def is_seen(self) -> bool:
        """Whether it is large enough without any change."""
        return self.at_input_px >= LEAST_PX

    def sentence(self) -> str:
        """What it is, and the change that is proposed."""
        found = (
            f"{self.class_name!r}: {self.defect_px} px of {self.size[0]} x {self.size[1]} are "
            f"{self.at_input_px:.2g} px at network input"
        )
        if self.is_seen:
            return f"{found}, enough ({LEAST_PX:g} px)"
        if max(self.input_size) <= LARGEST_INPUT:
            change = f"image_size = {list(self.input_size)} in the configuration"
        else:
            change = f"--tile {self.tile} --overlap {self.tile // 4}"
        return f"{found}, {LEAST_PX:g} px are needed: train with {change}"


def find_smallest(
    class_name: str, sizes: Sequence[tuple[int, int]], defect_px: int
) -> SmallestDefect:
    """What becomes of a defect in the pictures of a class.

    Args:
        class_name: the class.
        sizes: (H0, W0) of its pictures, at least one.
        defect_px: size of the defect in pixels of the picture, at least 1.
    """
    size = max(sizes, key=lambda one: max(one[0] / INPUT_SIZE[0], one[1] / INPUT_SIZE[1]))
    shrunk = min(new / old for new, old in zip(INPUT_SIZE, size, strict=True))
    height, width = (
        max(new, math.ceil(LEAST_PX * old / defect_px / _MULTIPLE) * _MULTIPLE)
        for new, old in zip(INPUT_SIZE, size, strict=True)
    )
    return SmallestDefect(
        class_name=class_name,
        defect_px=defect_px,
        size=size,
        at_input_px=defect_px * shrunk,
        input_size=(height, width),
        tile=int(min(INPUT_SIZE) * defect_px / LEAST_PX),
    )
