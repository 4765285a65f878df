"""Inter-affinity distillation: how the student's locations relate to the teacher's."""

from jaxtyping import Float
from torch import Tensor

from snlad.affinity import in_full_precision, root_mean, squared_difference_across_networks
from snlad.pyramid import Level


@in_full_precision
def inter_affinity(teacher: Level, student: Level) -> Float[Tensor, ""]:
    """Mean over images of the root mean square of T'S - T'T over its N x N entries, in [0, 2].

    Source: named in arXiv 2402.17091; the form is ours.
    """
    locations = teacher.shape[2] * teacher.shape[3]
    return root_mean(squared_difference_across_networks(teacher, student), locations**2).mean()
