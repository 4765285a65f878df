"""Channel distillation: the direction of the feature vector at each location."""

from jaxtyping import Float
from torch import Tensor

from snlad.affinity import in_full_precision, unit_distance
from snlad.pyramid import Level


@in_full_precision
def location_distance(teacher: Level, student: Level) -> Float[Tensor, "B H W"]:
    """1 - cos(t_i, s_i) at each location i, in [0, 2].

    Computed as |t^_i - s^_i|^2 / 2 with unit vectors, which is the same and keeps its digits near
    0. A vector of zeros has no direction: its distance is 1/2 to any other vector and 0 to another
    of zeros.

    Source: STFPM (Wang et al., BMVC 2021), equation of the position loss.
    """
    return unit_distance(teacher, student, dim=1)


@in_full_precision
def channel_distillation(teacher: Level, student: Level) -> Float[Tensor, ""]:
    """Mean over images and locations of 1 - cos(t_i, s_i), in [0, 2].

    Source: named in arXiv 2402.17091, spatial-channel distillation; the form is ours.
    """
    return location_distance(teacher, student).mean()
