"""The reverse student: fuse, compress, rebuild the teacher's levels."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snlad.errors import ConfigError
from snlad.models.reverse import ReverseStudent
from snlad.models.teacher import Teacher

Build = Callable[..., Teacher]
NO_IMAGES = torch.empty(2, 3, 1, 1)


def pyramid(channels: Sequence[int], sides: Sequence[int]) -> list[Tensor]:
    return [torch.randn(2, c, s, s) for c, s in zip(channels, sides, strict=True)]


def sketch(teacher: Teacher, **options: Any) -> ReverseStudent:
    """The teacher's student without memory, for counting."""
    with torch.device("meta"):
        return ReverseStudent.for_teacher(teacher, **options)


def parameters(student: nn.Module) -> int:
    return sum(p.numel() for p in student.parameters())


class Probe(nn.Module):
    """Stands for CRAM: remembers what it was given and passes on a multiple."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return x * self.factor


# One plan serves every family: the shapes of the teacher, and every weight can learn.
def test_shapes_equal_the_teachers_and_gradients_reach_every_parameter(
    teacher: Teacher, images: Tensor
) -> None:
    student = ReverseStudent.for_teacher(teacher).train()
    targets = teacher(images)
    levels = student(images, targets)
    assert [x.shape for x in levels] == [t.shape for t in targets]
    sum(x.square().mean() for x in levels).backward()
    assert not [n for n, p in student.named_parameters() if p.grad is None]
    assert all(p.grad.isfinite().all() for p in student.parameters())


# Teachers round odd sizes up (ResNet) or down (ConvNeXt); the student follows both.
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
@pytest.mark.parametrize("size", [(224, 224), (250, 200), (97, 131)])
def test_sizes_that_32_does_not_divide(
    build_teacher: Build, name: str, size: tuple[int, int]
) -> None:
    teacher = build_teacher(name)
    images = torch.rand(1, 3, *size)
    targets = teacher(images)
    levels = ReverseStudent.for_teacher(teacher).eval()(images, targets)
    assert [x.shape for x in levels] == [t.shape for t in targets]


# RD4AD's numbers of parameters, counted by hand from its code without its two unused layers.
def test_resnet18_has_the_parameters_of_rd4ad(build_teacher: Build) -> None:
    bn = 2
    fusion = 64 * 128 * 9 + 128 * bn + 2 * (128 * 256 * 9 + 256 * bn)
    bottleneck = (768 + 3 * 512) * 512 * 9 + 768 * 512 + 5 * 512 * bn
    decoder = sum(
        2 * cin * cout * 4 + 3 * cout * cout * 9 + 5 * cout * bn
        for cin, cout in ((512, 256), (256, 128), (128, 64))
    )
    student = sketch(build_teacher("resnet18"))
    assert parameters(student) == fusion + bottleneck + decoder == 15_383_168


# A ResNet's features are never negative, those of most other networks are: the student follows.
@pytest.mark.parametrize(("name", "negative"), [("resnet18", False), ("convnext_atto", True)])
def test_the_student_reaches_the_signs_of_its_teachers_features(
    build_teacher: Build, images: Tensor, name: str, negative: bool
) -> None:
    teacher = build_teacher(name)
    with torch.no_grad():
        features = teacher(images)
        levels = ReverseStudent.for_teacher(teacher).eval()(images, features)
    for level, feature in zip(levels, features, strict=True):
        assert bool((feature < 0).any()) == bool((level < 0).any()) == negative


# The default student, as the model card prints it.
def test_the_default_student_is_small(build_teacher: Build) -> None:
    student = sketch(build_teacher("tf_efficientnet_lite0"))
    assert parameters(student) == 4_397_824


# A ReLU keeps one sign of a channel: two carry a signed one. RD4AD's own stages stay as they are.
def test_stages_of_signed_levels_are_twice_as_wide(build_teacher: Build) -> None:
    def widths(teacher: Teacher) -> list[int]:
        with torch.no_grad():
            x, found = torch.zeros(2, 2 * teacher.channels[-1], 2, 2), []
            for stage in ReverseStudent.for_teacher(teacher).decoder:
                x = stage(x)
                found.append(x.shape[1])
        return found

    assert widths(build_teacher("tf_efficientnet_lite0")) == [224, 80, 48]
    assert widths(build_teacher("resnet18")) == [256, 128, 64]


# The mirrored ResNets have their own number of blocks, deepest stage first.
def test_decoders_mirror_the_resnets(build_teacher: Build) -> None:
    def depth(name: str, **options: Any) -> list[int]:
        student = sketch(build_teacher(name), **options)
        return [len(student.bottleneck), *(len(stage) for stage in student.decoder)]

    assert depth("resnet18") == depth("resnet18", blocks="auto") == [2, 2, 2, 2]
    assert depth("resnet34") == depth("resnet34", blocks="auto") == [2, 3, 4, 6]
    assert depth("resnet50") == [3, 3, 4, 6]
    assert depth("tf_efficientnet_lite0") == [2, 2, 2, 2]
    assert depth("tf_efficientnet_lite0", blocks="auto") == [1, 1, 1, 1]
    assert depth("resnet34", blocks=2) == [2, 2, 2, 2]


# With other levels than RD4AD's there is nothing to mirror: the general plan holds.
def test_a_resnet_with_other_levels_follows_the_general_plan() -> None:
    teacher = Teacher("resnet34", levels=(1, 2), image_size=(64, 64))
    student = ReverseStudent.for_teacher(teacher)
    assert [len(stage) for stage in student.decoder] == [2, 2]
    targets = teacher(torch.rand(2, 3, 64, 64))
    assert [x.shape for x in student(NO_IMAGES, targets)] == [t.shape for t in targets]


# Neighbouring levels may be equally fine, or 2 or 4 times coarser.
@pytest.mark.parametrize(
    ("strides", "sides"),
    [
        ((4, 8, 16), (16, 8, 4)),
        ((16, 16, 16), (4, 4, 4)),
        ((4, 16), (16, 4)),
        ((4, 16, 16, 32), (16, 4, 4, 2)),
        ((8,), (8,)),
        ((2, 16), (32, 4)),
    ],
)
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_stride_ratios(strides: tuple[int, ...], sides: tuple[int, ...], block: str) -> None:
    channels = [8, 12, 16, 20][: len(strides)]
    student = ReverseStudent(channels, strides, 24, block=block)
    targets = pyramid(channels, sides)
    assert student.embed(targets).shape == (2, 24, sides[-1] // 2, sides[-1] // 2)
    assert [x.shape for x in student(NO_IMAGES, targets)] == [t.shape for t in targets]


# A ratio that no chain of halvings reaches is refused before anything is built.
@pytest.mark.parametrize("strides", [(4, 12), (8, 4), (4, 6), (2, 32)])
def test_other_stride_ratios_are_refused(strides: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="must grow by 1, 2, 4 or 8"):
        ReverseStudent((8, 8), strides, 16)


# The embedding is twice as wide as the deepest level, as in RD4AD; CRAM receives all of it.
def test_cram_sits_between_bottleneck_and_decoder(build_teacher: Build, images: Tensor) -> None:
    teacher = build_teacher("test_efficientnet")
    cram = Probe(factor=0.0)
    student = ReverseStudent.for_teacher(teacher, cram=cram).eval()
    targets = teacher(images)
    levels = student(images, targets)
    (seen,) = cram.seen
    assert seen.shape == (2, 2 * teacher.channels[-1], 2, 2)
    assert torch.equal(seen, student.embed(targets))
    # all that the decoder knows passed through CRAM, which said nothing: both images look alike
    assert all(torch.equal(level[0], level[1]) for level in levels)


# Dropout is noise for training only, and falls on the embedding that CRAM receives.
def test_dropout_falls_on_the_embedding_in_training_only() -> None:
    cram = Probe()
    student = ReverseStudent((8, 12), (4, 8), 64, cram=cram, dropout=0.5)
    targets = pyramid((8, 12), (16, 8))
    student.eval().dropout.train()
    student(NO_IMAGES, targets)
    clean = student.embed(targets)
    (noisy,) = cram.seen
    kept = noisy != 0
    torch.testing.assert_close(noisy[kept], 2 * clean[kept])
    assert 0.3 < (noisy == 0)[clean != 0].float().mean() < 0.7
    student.eval()(NO_IMAGES, targets)
    assert torch.equal(cram.seen[-1], clean)


# Every level reaches the embedding; a lost one would make the student blind to it.
def test_every_level_reaches_the_embedding() -> None:
    student = ReverseStudent((8, 12, 16), (4, 8, 16), 24).eval()
    targets = [t.requires_grad_() for t in pyramid((8, 12, 16), (16, 8, 4))]
    student.embed(targets).sum().backward()
    assert all(t.grad.abs().sum() > 0 for t in targets)


# It rebuilds from the features alone.
def test_the_images_are_not_read() -> None:
    student = ReverseStudent((8, 12), (4, 8), 16).eval()
    targets = pyramid((8, 12), (16, 8))
    nothing = student(torch.full((2, 3, 64, 64), torch.nan), targets)
    assert all(map(torch.equal, nothing, student(NO_IMAGES, targets)))


# The memory format that trains fastest gives the same numbers.
def test_channels_last_gives_the_same_levels() -> None:
    student = ReverseStudent((8, 12, 16), (4, 8, 16), 24).eval()
    targets = pyramid((8, 12, 16), (16, 8, 4))
    plain = student(NO_IMAGES, targets)
    student = student.to(memory_format=torch.channels_last)
    last = student(NO_IMAGES, [t.to(memory_format=torch.channels_last) for t in targets])
    for a, b in zip(plain, last, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


# A student saved and loaded answers the same.
def test_state_dict_round_trip() -> None:
    def build() -> ReverseStudent:
        return ReverseStudent((8, 12), (4, 8), 16).eval()

    first, second = build(), build()
    targets = pyramid((8, 12), (16, 8))
    second.load_state_dict(first.state_dict())
    assert all(map(torch.equal, first(NO_IMAGES, targets), second(NO_IMAGES, targets)))
