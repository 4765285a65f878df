"""Features for the losses."""

import pytest
import torch
from torch import Tensor

from snlad.losses.structural import LossWeights


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


@pytest.fixture
def nothing() -> LossWeights:
    """No term at all."""
    return LossWeights(
        flattened=0.0,
        channel=0.0,
        spatial=0.0,
        intra=0.0,
        inter=0.0,
        easy_share=0.0,
    )
