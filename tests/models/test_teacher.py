"""The teacher: any timm name becomes a frozen pyramid with its normalisation inside."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from snlad.errors import WeightsError
from snlad.models.teacher import PyramidNetwork, Teacher

Build = Callable[..., Teacher]


# What the teacher says of itself is what comes out, channels first even where timm puts them last.
def test_levels_have_the_channels_and_strides_that_the_teacher_names(
    teacher: Teacher, images: Tensor
) -> None:
    side, described = images.shape[-1], (teacher.channels, teacher.strides)
    expected = [(2, c, side // s, side // s) for c, s in zip(*described, strict=True)]
    assert [tuple(level.shape) for level in teacher(images)] == expected


# Strides 4, 8, 16 where there are such; three even blocks of a plain ViT; else the finest three.
@pytest.mark.parametrize(
    ("name", "levels", "strides"),
    [
        ("resnet18", (1, 2, 3), (4, 8, 16)),
        ("convnext_atto", (0, 1, 2), (4, 8, 16)),
        ("vit_tiny_patch16_224", (3, 7, 11), (16, 16, 16)),
        ("levit_128s", (0, 1, 2), (16, 32, 64)),
    ],
)
def test_default_levels_follow_the_strides(
    build_teacher: Build, name: str, levels: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    teacher = build_teacher(name)
    assert (teacher.levels, teacher.strides) == (levels, strides)


# A user's own choice of levels is taken as it is.
def test_chosen_levels_are_used() -> None:
    teacher = Teacher("test_resnet", levels=[1, 3], image_size=(64, 64))
    assert (teacher.levels, teacher.channels, teacher.strides) == ((1, 3), (32, 192), (4, 16))
    assert [x.shape[1] for x in teacher(torch.rand(1, 3, 64, 64))] == [32, 192]


# A student's train() reaches the teacher inside a larger module; it must not wake its BatchNorm.
def test_train_does_not_wake_the_teacher(teacher: Teacher, images: Tensor) -> None:
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    both = nn.ModuleDict({"teacher": teacher, "student": nn.BatchNorm2d(3)}).train()
    assert both["student"].training
    assert not any(module.training for module in teacher.modules())
    teacher(images)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


# Nothing that an optimiser or autograd could move.
def test_no_gradient_reaches_the_teacher(teacher: Teacher, images: Tensor) -> None:
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    levels = teacher(images.clone().requires_grad_())
    assert not any(level.requires_grad for level in levels)


# An image's features do not depend on the others in its batch.
def test_a_batch_equals_its_images_one_by_one(build_teacher: Build, images: Tensor) -> None:
    teacher = build_teacher("tf_efficientnet_lite0")
    alone = [teacher(image[None]) for image in images]
    for level, *singles in zip(teacher(images), *alone, strict=True):
        torch.testing.assert_close(level, torch.cat(singles), rtol=1e-4, atol=1e-4)


# The constants belong to the weights: other ones for EfficientNet-Lite than for ResNet.
@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("tf_efficientnet_lite0", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("resnet18", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_images_are_normalised_by_the_constants_of_the_weights(
    build_teacher: Build, images: Tensor, name: str, mean: tuple[float], std: tuple[float]
) -> None:
    teacher = build_teacher(name)
    by_hand = torch.stack(
        [(images[:, c] - mean[c]) / std[c] for c in range(3)],
        dim=1,
    )
    for ours, expected in zip(teacher(images), teacher.body(by_hand), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)


# The constants are saved with the weights, so that a model folder cannot lose them.
def test_the_state_holds_the_normalisation(build_teacher: Build) -> None:
    assert {"mean", "std"} <= set(build_teacher("resnet18").state_dict())


# What lies behind the last level costs time and memory in every later use.
def test_the_network_ends_at_its_last_level(build_teacher: Build) -> None:
    efficient = build_teacher("tf_efficientnet_lite0")
    assert len(efficient.body.blocks) == 5
    assert sum(p.numel() for p in efficient.parameters()) < 750_000
    assert "layer4" not in dict(build_teacher("resnet18").body.named_children())


# Convolutional teachers take any size, and the size they are built for is 256 x 256 by default.
def test_a_convolutional_teacher_takes_odd_sizes(build_teacher: Build) -> None:
    levels = build_teacher("resnet18")(torch.rand(1, 3, 50, 90))
    assert [tuple(x.shape[2:]) for x in levels] == [(13, 23), (7, 12), (4, 6)]
    assert Teacher("test_efficientnet").image_size == (256, 256)


# A transformer is built for the size it is asked for, not for timm's 224.
def test_a_transformer_is_built_for_the_image_size() -> None:
    levels = Teacher("test_vit", image_size=(64, 96))(torch.rand(1, 3, 64, 96))
    assert [tuple(x.shape[2:]) for x in levels] == [(4, 6)] * 3


# Random weights are drawn from torch's generator alone, so a seed repeats them.
def test_a_seed_repeats_the_random_weights() -> None:
    def draw(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return PyramidNetwork("test_resnet", image_size=(64, 64)).state_dict()

    first, again, other = draw(1), draw(1), draw(2)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


# Every refusal names the value and what would be right.
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "resnet81"}, "no network 'resnet81': near names are .*resnet"),
        ({"name": "qqqqqqqq"}, r"no network 'qqqqqqqq': timm.list_models\(\)"),
        ({"name": "resnet18.made_up"}, "no weights 'made_up' of resnet18: .*tv_in1k"),
        ({"name": "hf-hub:someone/net"}, "no network 'hf-hub:someone/net'"),
        ({"name": "test_resnet", "levels": [3, 1]}, r"\[3, 1\] .* must rise within 0..4"),
        ({"name": "test_resnet", "levels": [1, 9]}, r"\[1, 9\] .* strides are \[2, 4, 8, 16"),
        ({"name": "test_resnet", "levels": [-1, 2]}, "must rise"),
        ({"name": "nest_tiny", "image_size": (64, 96)}, "cannot .* at 64 x 96 pixels .*square"),
        ({"name": "test_vit", "image_size": (8, 64)}, "cannot .* at 8 x 64 pixels .*divisible"),
    ],
)
def test_a_wrong_teacher_is_refused_in_one_sentence(
    arguments: dict[str, object], sentence: str
) -> None:
    with pytest.raises(WeightsError, match=sentence):
        Teacher(**arguments)
