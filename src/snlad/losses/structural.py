"""Structural distillation: the weighted sum of all losses over all levels."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from snlad.losses.channel import channel_distillation
from snlad.losses.flattened import flattened_cosine
from snlad.losses.inter_affinity import inter_affinity
from snlad.losses.intra_affinity import intra_affinity
from snlad.losses.loose import loosen
from snlad.losses.spatial import spatial_distillation
from snlad.pyramid import Pyramid, require_same_shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Weight of each term, 0 for none, and the share of easy locations."""

    flattened: float
    channel: float
    spatial: float
    intra: float
    inter: float
    easy_share: float


def structural_loss(teacher: Pyramid, student: Pyramid, weights: LossWeights) -> dict[str, Tensor]:
    """Weigh each term summed over levels; the loss to minimise is the sum of the values.

    Returns:
        Scalars named after the fields of `weights`; a term of weight 0 is absent, not computed.

    Raises:
        TrainingError: the student's levels have not the teacher's shapes.

    Source: arXiv 2402.17091 names the terms; forms and weights are ours.
    """
    require_same_shapes(teacher, student)
    if weights.easy_share:
        pairs = zip(teacher, student, strict=True)
        student = [loosen(t, s, weights.easy_share) for t, s in pairs]
    return {
        name: weight
        * torch.stack([loss(t, s) for t, s in zip(teacher, student, strict=True)]).sum()
        for name, (weight, loss) in _terms(weights).items()
        if weight
    }


def _terms(weights: LossWeights) -> dict[str, tuple[float, Callable[[Tensor, Tensor], Tensor]]]:
    return {
        "flattened": (weights.flattened, flattened_cosine),
        "channel": (weights.channel, channel_distillation),
        "spatial": (weights.spatial, spatial_distillation),
        "intra": (weights.intra, intra_affinity),
        "inter": (weights.inter, inter_affinity),
    }
