"""Affinity difference map: where a location relates to its image otherwise in the student."""

import torch
from jaxtyping import Float
from torch import Tensor

from snlad.affinity import root_mean, row_squared_difference
from snlad.maps.resizing import resize
from snlad.pyramid import Level, Pyramid


def affinity_differences(teacher: Pyramid, student: Pyramid) -> list[Float[Tensor, "B Hl Wl"]]:
    """Root mean square row of A_S - A_T at the locations of each level, in [0, 2]."""
    return [_row_difference(t, s) for t, s in zip(teacher, student, strict=True)]


def affinity_difference_map(
    teacher: Pyramid, student: Pyramid, size: tuple[int, int], *, align_corners: bool = True
) -> Float[Tensor, "B 1 H W"]:
    """Sum over levels the upsampled root mean square row of A_S - A_T; in [0, 2] for each level.

    Args:
        teacher: levels of the teacher.
        student: levels of the student, in the teacher's shapes.
        size: (height, width) of the map in pixels.
        align_corners: whether upsampling puts the outermost locations on the outermost pixels.

    Source: stated in arXiv 2402.17091; the form is ours.
    """
    differences = [
        resize(level[:, None], size, align_corners=align_corners)
        for level in affinity_differences(teacher, student)
    ]
    return torch.stack(differences).sum(0)


def _row_difference(teacher: Level, student: Level) -> Float[Tensor, "B H W"]:
    height, width = teacher.shape[2:]
    rows = root_mean(row_squared_difference(teacher, student), height * width)
    return rows.reshape(-1, height, width)
