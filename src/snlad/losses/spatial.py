"""Spatial distillation: the direction of each channel's vector over all locations."""

from jaxtyping import Float
from torch import Tensor

from snlad.affinity import in_full_precision, unit_distance
from snlad.pyramid import Level


@in_full_precision
def spatial_distillation(teacher: Level, student: Level) -> Float[Tensor, ""]:
    """Mean over images and channels c of 1 - cos(t_c, s_c), vectors over locations, in [0, 2].

    Source: named in arXiv 2402.17091, spatial-channel distillation; the form is ours.
    """
    return unit_distance(teacher, student, dim=(2, 3)).mean()
