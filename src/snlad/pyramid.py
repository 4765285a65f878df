"""The one shape that teacher, student, losses and maps exchange."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from snlad.errors import TrainingError

Level = Float[Tensor, "B C H W"]
"""Features of one level: B images, C channels, H x W locations."""

Pyramid = Sequence[Tensor]
"""Levels of one network, finest first, each (B, C, H, W)."""


def require_same_shapes(teacher: Pyramid, student: Pyramid) -> None:
    """Refuse a student whose levels cannot be compared with the teacher's.

    Raises:
        TrainingError: the student's levels have not the teacher's shapes.
    """
    wanted, got = ([tuple(level.shape) for level in pyramid] for pyramid in (teacher, student))
    if wanted != got:
        raise TrainingError(
            f"the student returned levels of shapes {got} where the teacher has {wanted}: "
            "return one level for each of the teacher's, in its shape"
        )
