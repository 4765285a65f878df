"""Flattened cosine: one direction for a whole level, the loss of plain reverse distillation."""

from jaxtyping import Float
from torch import Tensor

from snlad.affinity import in_full_precision, unit_distance
from snlad.pyramid import Level


@in_full_precision
def flattened_cosine(teacher: Level, student: Level) -> Float[Tensor, ""]:
    """Mean over images of 1 - cos of the whole C*H*W vector, in [0, 2].

    Computed as |t^ - s^|^2 / 2 with unit vectors, which is the same and keeps its digits near 0.

    Source: the public code of RD4AD (Deng and Li, CVPR 2022); its paper has a cosine per location.
    """
    return unit_distance(teacher, student, dim=(1, 2, 3)).mean()
