"""Loose loss: locations that the student reproduces already pull less at it."""

import torch

from snlad.losses.channel import location_distance
from snlad.pyramid import Level

EASY_GRADIENT = 0.1
"""What is left of the gradient at an easy location."""


def loosen(teacher: Level, student: Level, easy_share: float) -> Level:
    """The student's values, of which the easiest locations pass on a tenth of the gradient.

    Args:
        teacher: (B, C, H, W).
        student: the same shape.
        easy_share: in [0, 1), of all locations of the mini-batch; those with the smallest
            1 - cos(t_i, s_i) are easy.

    Source: hard mining by gradients of ReContrast (Guo et al., NeurIPS 2023), the loose loss of
    Dinomaly (arXiv 2405.14325); a constant share in place of their ramp is ours.
    """
    with torch.no_grad():
        distance = location_distance(teacher, student)
        count = int(easy_share * distance.numel())
        easy = torch.zeros_like(distance, dtype=torch.bool).flatten()
        easy[distance.flatten().argsort()[:count]] = True
    pull = torch.where(easy.view_as(distance), EASY_GRADIENT, 1.0)[:, None].to(student.dtype)
    return student.detach() + pull * (student - student.detach())
