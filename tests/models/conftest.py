"""One teacher of each family, random weights and small images, built once."""

from collections.abc import Callable
from functools import cache

import pytest
import torch

from snlad.models.teacher import Teacher

FAMILIES = (
    "resnet18",
    "tf_efficientnet_lite0",
    "mobilenetv3_small_050",
    "convnext_atto",
    "swin_tiny_patch4_window7_224",
    "vit_tiny_patch16_224",
)
SIDE = 64


@cache
def _build(name: str, size: tuple[int, int]) -> Teacher:
    return Teacher(name, image_size=size)


@pytest.fixture(params=FAMILIES)
def teacher(request: pytest.FixtureRequest) -> Teacher:
    """A teacher of every family in turn; frozen, so it may be shared."""
    return _build(request.param, (SIDE, SIDE))


@pytest.fixture
def build_teacher() -> Callable[..., Teacher]:
    """A teacher by name and size, shared: do not change it."""

    def build(name: str, size: tuple[int, int] = (SIDE, SIDE)) -> Teacher:
        return _build(name, size)

    return build


@pytest.fixture
def images() -> torch.Tensor:
    """Two images in [0, 1]."""
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
