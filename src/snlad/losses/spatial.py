"""Spatial distillation: how each channel spreads over the locations, in two readings."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from snlad.affinity import in_full_precision, unit_distance
from snlad.pyramid import Level


@in_full_precision
def spatial_kl(teacher: Level, student: Level, temperature: float = 1.0) -> Float[Tensor, ""]:
    """tau^2 KL(phi(t) || phi(s)), phi = softmax over locations of x / tau, mean over channels.

    At least 0, with `temperature` tau above 0.

    Source: named in arXiv 2402.17091; the form is that of channel-wise distillation (Shu et al.,
    ICCV 2021), its use here is ours.
    """
    t, s = (F.log_softmax(x.flatten(2) / temperature, dim=2) for x in (teacher, student))
    divergence = F.kl_div(s, t, reduction="none", log_target=True).sum(2)
    return temperature**2 * divergence.mean()


@in_full_precision
def spatial_cosine(teacher: Level, student: Level) -> Float[Tensor, ""]:
    """Mean over images and channels c of 1 - cos(t_c, s_c), vectors over locations, in [0, 2].

    Source: named in arXiv 2402.17091; second reading of the form, ours.
    """
    return unit_distance(teacher, student, dim=(2, 3)).mean()
