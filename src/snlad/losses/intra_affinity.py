"""Intra-affinity distillation: how the locations of one image relate to each other."""

from jaxtyping import Float
from torch import Tensor

from snlad.affinity import in_full_precision, root_mean, squared_difference_within
from snlad.pyramid import Level


@in_full_precision
def intra_affinity(teacher: Level, student: Level) -> Float[Tensor, ""]:
    """Mean over images of the root mean square of A_S - A_T over its N x N entries, in [0, 2].

    Source: named in arXiv 2402.17091; the form is ours.
    """
    locations = teacher.shape[2] * teacher.shape[3]
    return root_mean(squared_difference_within(teacher, student), locations**2).mean()
