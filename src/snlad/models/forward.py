"""Forward distillation: a student with the teacher's architecture that reads the image."""

from jaxtyping import Float
from torch import Tensor, nn

from snlad.models.teacher import PyramidNetwork
from snlad.pyramid import Pyramid


class ForwardStudent(nn.Module):
    """The teacher's architecture with random weights.

    Args:
        teacher: gives name, levels and image size; none of its weights.

    Source: STFPM (Wang et al., arXiv 2103.04257).
    """

    def __init__(self, teacher: PyramidNetwork) -> None:
        super().__init__()
        self.network = PyramidNetwork(
            teacher.name, levels=teacher.levels, image_size=teacher.image_size
        )

    def forward(self, images: Float[Tensor, "B 3 H W"], teacher: Pyramid) -> list[Tensor]:
        """Levels of the teacher's shapes from images in [0, 1]; the teacher's own are not read."""
        del teacher
        levels: list[Tensor] = self.network(images)
        return levels
