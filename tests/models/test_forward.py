"""The forward student: the teacher's architecture, weights of its own, a module on each level."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from snlad.models.cram import LevelCrams
from snlad.models.forward import ForwardStudent
from snlad.models.teacher import Teacher

Build = Callable[..., Teacher]
SMALL = "test_efficientnet"


class Scale(nn.Module):
    """Stands for CRAM: multiplies by a number that tells the levels apart."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


# The student's pyramid can be compared with the teacher's, and every weight can learn.
def test_shapes_equal_the_teachers_and_gradients_reach_every_parameter(
    teacher: Teacher, images: Tensor
) -> None:
    student = ForwardStudent(teacher).train()
    targets = teacher(images)
    levels = student(images, targets)
    assert [x.shape for x in levels] == [t.shape for t in targets]
    sum(x.square().mean() for x in levels).backward()
    lacking = [n for n, p in student.named_parameters() if p.grad is None]
    assert not lacking
    assert all(p.grad.isfinite().all() for p in student.parameters())


# It must learn what the teacher knows, not start with it; building it leaves the teacher alone.
def test_the_student_starts_from_weights_of_its_own(build_teacher: Build) -> None:
    teacher = build_teacher(SMALL)
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    student = ForwardStudent(teacher)
    assert all(p.requires_grad for p in student.parameters())
    assert not torch.equal(student.network.body.conv_stem.weight, teacher.body.conv_stem.weight)
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())


# Same preprocessing as the teacher: with the teacher's weights it is the teacher.
def test_with_the_teachers_weights_it_is_the_teacher(build_teacher: Build, images: Tensor) -> None:
    teacher = build_teacher(SMALL)
    student = ForwardStudent(teacher).eval()
    student.network.load_state_dict(teacher.state_dict())
    for ours, theirs in zip(student(images, []), teacher(images), strict=True):
        torch.testing.assert_close(ours, theirs)


# Each level's module works on that level alone.
def test_each_cram_is_applied_to_its_level(build_teacher: Build, images: Tensor) -> None:
    plain = ForwardStudent(build_teacher(SMALL)).eval()
    with_crams = LevelCrams(plain, [Scale(2), Scale(3), Scale(5)]).eval()
    pairs = zip(with_crams(images, []), plain(images, []), (2, 3, 5), strict=True)
    assert all(torch.allclose(a, b * factor) for a, b, factor in pairs)


# A level without its module would silently be a plain one.
def test_one_cram_too_few_is_refused(build_teacher: Build, images: Tensor) -> None:
    student = LevelCrams(ForwardStudent(build_teacher(SMALL)), [Scale(2)])
    with pytest.raises(ValueError, match="zip"):
        student(images, [])


# A student saved and loaded answers the same.
def test_state_dict_round_trip(build_teacher: Build, images: Tensor) -> None:
    teacher = build_teacher(SMALL)
    first, second = ForwardStudent(teacher).eval(), ForwardStudent(teacher).eval()
    second.load_state_dict(first.state_dict())
    for a, b in zip(first(images, []), second(images, []), strict=True):
        assert torch.equal(a, b)


# It is the image that it reads, not the teacher's answer.
def test_the_teachers_levels_are_not_read(build_teacher: Build, images: Tensor) -> None:
    student = ForwardStudent(build_teacher(SMALL)).eval()
    wrong = [torch.full((2, 1, 1, 1), torch.nan)] * 3
    for a, b in zip(student(images, wrong), student(images, []), strict=True):
        assert torch.equal(a, b)
