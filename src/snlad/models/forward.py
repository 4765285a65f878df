"""Forward distillation: a student with the teacher's architecture that reads the image."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from snlad.models.teacher import PyramidNetwork
from snlad.pyramid import Pyramid


class ForwardStudent(nn.Module):
    """The teacher's architecture with random weights and, if given, one CRAM a level.

    Args:
        teacher: gives name, levels and image size; none of its weights.
        crams: one module a level, (B, C, H, W) to the same shape, applied to that level's output.

    Source: STFPM (Wang et al., arXiv 2103.04257); the place of CRAM is ours.
    """

    def __init__(
        self, teacher: PyramidNetwork, *, crams: Sequence[nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.network = PyramidNetwork(
            teacher.name, levels=teacher.levels, image_size=teacher.image_size
        )
        self.crams = nn.ModuleList(crams or [nn.Identity() for _ in teacher.levels])

    def forward(self, images: Float[Tensor, "B 3 H W"], teacher: Pyramid) -> list[Tensor]:
        """Levels of the teacher's shapes from images in [0, 1]; the teacher's own are not read."""
        del teacher
        levels = self.network(images)
        return [cram(level) for cram, level in zip(self.crams, levels, strict=True)]
