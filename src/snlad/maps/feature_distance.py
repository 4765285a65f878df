"""Feature distance map: where the student's feature vectors point elsewhere than the teacher's."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from snlad.losses.channel import location_distance
from snlad.maps.resizing import resize
from snlad.pyramid import Pyramid


def feature_distances(teacher: Pyramid, student: Pyramid) -> list[Float[Tensor, "B Hl Wl"]]:
    """1 - cos(t_i, s_i) at the locations of each level, in [0, 2]."""
    return [location_distance(t, s).clamp_min(0) for t, s in zip(teacher, student, strict=True)]


def feature_distance_map(
    teacher: Pyramid,
    student: Pyramid,
    size: tuple[int, int],
    *,
    levels: Literal["sum", "product"] = "sum",
    align_corners: bool = True,
) -> Float[Tensor, "B 1 H W"]:
    """Sum or multiply over levels the upsampled 1 - cos(t_i, s_i); in [0, 2] for each level.

    Args:
        teacher: levels of the teacher.
        student: levels of the student, in the teacher's shapes.
        size: (height, width) of the map in pixels.
        levels: sum with aligned corners is RD4AD's map, product without is STFPM's.
        align_corners: whether upsampling puts the outermost locations on the outermost pixels.

    Source: stated in arXiv 2402.17091; the form is RD4AD's (Deng and Li, CVPR 2022).
    """
    distances = torch.stack(
        [
            resize(level[:, None], size, align_corners=align_corners)
            for level in feature_distances(teacher, student)
        ]
    )
    return distances.sum(0) if levels == "sum" else distances.prod(0)
