"""The frozen teacher, and the timm network with its normalisation that a forward student shares."""

import difflib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import timm
import torch
from jaxtyping import Float
from timm.models import PretrainedCfg
from torch import Tensor, nn

from snlad.errors import WeightsError

DEFAULT_STRIDES = (4, 8, 16)
"""Levels of a hierarchical teacher, in image pixels per location."""

TeacherT = TypeVar("TeacherT", bound="Teacher")  # typing.Self defeats run-time checks in tests


class PyramidNetwork(nn.Module):
    """A timm network cut after its last needed level; random weights, normalisation inside.

    Args:
        name: any timm name, with or without the tag of its weights (``resnet18.a1_in1k``).
        levels: timm's ``out_indices``, finest first. By default those of strides 4, 8 and 16;
            three evenly spaced blocks where all strides are equal, as in a plain ViT.
        image_size: (height, width) in pixels; fixed for ViT and Swin, a hint for the others.

    Attributes:
        channels: of each level.
        strides: image pixels per location, of each level.

    Raises:
        WeightsError: timm does not know the name, the levels or cannot take this image size.
    """

    body: Any
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        *,
        levels: Sequence[int] | None = None,
        image_size: tuple[int, int] = (256, 256),
    ) -> None:
        super().__init__()
        self.name = name
        self.image_size = image_size
        found = _describe(name)
        self.levels = _check_levels(name, levels, found) if levels else _default_levels(found)
        self.channels = tuple(int(found[i]["num_chs"]) for i in self.levels)
        self.strides = tuple(int(found[i]["reduction"]) for i in self.levels)
        self.body = _create(name, image_size, out_indices=self.levels)
        _drop_unused_blocks(self.body)
        self.register_buffer("mean", torch.tensor(published(name).mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(published(name).std).view(1, 3, 1, 1))

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Levels (B, C, H, W), finest first, of images in [0, 1]."""
        outputs: list[Tensor] = self.body((images - self.mean) / self.std)
        layout = getattr(self.body, "output_fmt", None)
        if layout is not None and layout.value == "NHWC":
            return [x.permute(0, 3, 1, 2) for x in outputs]
        return outputs


class Teacher(PyramidNetwork):
    """A frozen ``PyramidNetwork``: always in eval mode, without gradients, whatever is asked.

    ``snlad.models.weights.load_pretrained`` fills it.

    Attributes:
        memory: where it looks features up, see ``snlad.models.memory.remember``; gets images and
            the function that computes levels.
    """

    memory: Callable[[Tensor, Callable[[Tensor], list[Tensor]]], list[Tensor]] | None = None

    def __init__(
        self,
        name: str,
        *,
        levels: Sequence[int] | None = None,
        image_size: tuple[int, int] = (256, 256),
    ) -> None:
        super().__init__(name, levels=levels, image_size=image_size)
        self.requires_grad_(requires_grad=False)
        self.eval()
        try:  # some transformers notice only here that they cannot tile the image
            self(torch.zeros(1, 3, *image_size))
        except (AssertionError, RuntimeError) as error:
            raise _refusal(name, image_size, error) from error

    def train(self: TeacherT, mode: bool = True) -> TeacherT:
        """Stay in eval mode: its BatchNorm statistics are part of what it knows."""
        del mode
        return super().train(mode=False)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Levels (B, C, H, W), finest first, of images in [0, 1]; no gradient reaches them."""
        if self.memory is None:
            return super().forward(images)
        return self.memory(images, super().forward)


def published(name: str) -> PretrainedCfg:
    """What timm knows of a network and of the weights that the name's tag stands for.

    Raises:
        WeightsError: timm has no such network or no such tag; near names are listed.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        hint = f"near names are {', '.join(near)}" if near else "timm.list_models() lists all"
        raise WeightsError(f"timm has no network {name!r}: {hint}")
    try:
        return cast(PretrainedCfg, timm.get_pretrained_cfg(name, allow_unregistered=False))
    except RuntimeError as error:
        tags = [n.partition(".")[2] for n in timm.list_pretrained(f"{architecture}.*")]
        raise WeightsError(
            f"timm has no weights {tag!r} of {architecture}: choose from {', '.join(tags)}"
        ) from error


def size_arguments(name: str, image_size: tuple[int, int]) -> dict[str, Any]:
    """Timm's ``img_size`` argument for the architectures that are built for one size."""
    return {"img_size": image_size} if published(name).fixed_input_size else {}


def _create(name: str, image_size: tuple[int, int], **arguments: Any) -> Any:
    try:
        return timm.create_model(
            name, features_only=True, **size_arguments(name, image_size), **arguments
        )
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise _refusal(name, image_size, error) from error


def _refusal(name: str, image_size: tuple[int, int], error: Exception) -> WeightsError:
    height, width = image_size
    return WeightsError(
        f"{name} cannot be a teacher at {height} x {width} pixels ({error}): "
        "choose another image size or another teacher"
    )


def _describe(name: str) -> list[dict[str, Any]]:
    """Channels and stride of every level of the network, from a copy without memory."""
    _, height, width = published(name).input_size
    with torch.device("meta"):
        levels: list[dict[str, Any]] = _create(name, (height, width)).feature_info.info
    return levels


def _check_levels(name: str, levels: Sequence[int], found: list[dict[str, Any]]) -> tuple[int, ...]:
    if list(levels) != sorted(set(levels)) or not 0 <= levels[0] <= levels[-1] < len(found):
        strides = [level["reduction"] for level in found]
        raise WeightsError(
            f"levels {list(levels)} of {name} must rise within 0..{len(found) - 1}; "
            f"their strides are {strides}"
        )
    return tuple(levels)


def _default_levels(found: list[dict[str, Any]]) -> tuple[int, ...]:
    strides = [level["reduction"] for level in found]
    if len(set(strides)) == 1:
        third = len(strides) / 3
        return tuple(sorted({round(third * k) - 1 for k in (1, 2, 3)} - {-1}))
    at = {stride: index for index, stride in enumerate(strides)}
    wanted = [s for s in DEFAULT_STRIDES if s in at]
    if len(wanted) < len(DEFAULT_STRIDES):
        wanted = sorted(s for s in at if s >= DEFAULT_STRIDES[0])[: len(DEFAULT_STRIDES)]
    return tuple(at[s] for s in wanted)


def _drop_unused_blocks(body: Any) -> None:
    """Cut the blocks after the last level, which timm's EfficientNet family would still compute."""
    *_, last = body.feature_info.module_name()
    if last.startswith("blocks.") and isinstance(getattr(body, "blocks", None), nn.Sequential):
        body.blocks = body.blocks[: int(last.split(".")[1]) + 1]
