"""Features for the losses."""

import pytest
import torch
from torch import Tensor


@pytest.fixture
def levels():
    """Make teacher and student features in float64, `difference` apart."""

    def make(
        shape: tuple[int, ...] = (3, 4, 3, 2), difference: float = 0.5
    ) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(3)
        teacher, noise = torch.randn(2, *shape, dtype=torch.float64, generator=generator)
        return teacher, teacher + difference * noise

    return make
