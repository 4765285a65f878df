"""Inter-affinity distillation, in two readings: across images, or across networks."""

from jaxtyping import Float
from torch import Tensor

from snlad.affinity import (
    in_full_precision,
    root_mean,
    squared_difference_across_images,
    squared_difference_across_networks,
)
from snlad.pyramid import Level


@in_full_precision
def inter_affinity_across_images(teacher: Level, student: Level) -> Float[Tensor, ""]:
    """Root mean square of S_a'S_b - T_a'T_b over all entries of all pairs a != b, in [0, 2].

    A batch of one image has no pairs: 0, with zero gradient.

    Source: named in arXiv 2402.17091; reading (a), ours.
    """
    images, _, height, width = teacher.shape
    total = squared_difference_across_images(teacher, student)
    if images == 1:
        return total
    return root_mean(total, images * (images - 1) * (height * width) ** 2)


@in_full_precision
def inter_affinity_across_networks(teacher: Level, student: Level) -> Float[Tensor, ""]:
    """Mean over images of the root mean square of T'S - T'T over its N x N entries, in [0, 2].

    Source: named in arXiv 2402.17091; reading (b), ours.
    """
    locations = teacher.shape[2] * teacher.shape[3]
    return root_mean(squared_difference_across_networks(teacher, student), locations**2).mean()
